"""Draws a mixture: sounds at known times over pink or real noise."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_preprocessing.sounds.recordings import Library
from unloc_jax.media.sound import RATE

SECONDS = 45.0
_LENGTH = int(SECONDS * RATE)
# Classes that are also backgrounds, of mixtures that do not ask for them.
BACKGROUNDS = ("rain", "sea waves")
_MOST = 8
_EDGE = int(0.005 * RATE)  # Faded, so that no cut clicks.
_FADE = int(0.5 * RATE)  # Over which recordings of a background change.
_LEVEL = 0.05  # Root mean square of a sound, before its own gain.


@dataclasses.dataclass(frozen=True)
class Style:
  """How mixtures of a split are drawn.

  Attributes:
    folds: Whose recordings.
    real: Share over real noise; the others are over pink noise.
    snr: Range of decibels of a sound above the background.
    gain: Range of decibels of a sound.
    together: Share of sounds that begin before the last one has ended.
    varied: Share of sounds that are cut, or played twice.
    distinct: A class comes once at most.
    gap: Range of seconds between sounds; () spreads them.
  """

  folds: tuple[int, ...]
  real: float
  snr: tuple[float, float]
  gain: tuple[float, float] = (-3.0, 3.0)
  together: float = 0.0
  varied: float = 0.0
  distinct: bool = False
  gap: tuple[float, float] | tuple[()] = ()


@dataclasses.dataclass(frozen=True)
class Event:
  """A sound of a class, from `start` to `end` seconds."""

  label: str
  start: float
  end: float


def mix(
  library: Library, style: Style, rng: np.random.Generator
) -> tuple[np.ndarray, list[Event]]:
  """Draws a mixture: samples float32 [45 s], and its sounds in time."""
  background, used = _noise(library, style, rng)
  known = [name for name in library if name != used]
  sounds = _sounds(library, known, style, rng)
  events, out = [], np.zeros(_LENGTH, np.float32)
  snr = rng.uniform(*style.snr)
  for start, name, samples in _placed(sounds, style, rng):
    level = _LEVEL * 10 ** (rng.uniform(*style.gain) / 20)
    end = start + len(samples)
    out[start:end] += _scaled(samples, level)
    events.append(Event(name, start / RATE, end / RATE))
  out += _scaled(background, _LEVEL * 10 ** (-snr / 20))
  out *= min(
    10 ** (rng.uniform(-6, 6) / 20), 0.95 / max(np.abs(out).max(), 1e-6)
  )
  return out.astype(np.float32), events


def _recording(
  library: Library, name: str, style: Style, rng: np.random.Generator
) -> np.ndarray:
  folds = [f for f in style.folds if library[name].get(f)]
  if not folds:
    raise ValueError(f"{name}: no recording of folds {style.folds}")
  kept = library[name][folds[rng.integers(len(folds))]]
  return kept[rng.integers(len(kept))]


def _noise(
  library: Library, style: Style, rng: np.random.Generator
) -> tuple[np.ndarray, str]:
  """A background, and the class that it is of ("" for pink noise)."""
  there = [name for name in BACKGROUNDS if name in library]
  if not there or rng.random() >= style.real:
    return pink(rng, _LENGTH), ""
  name = there[rng.integers(len(there))]
  out = np.zeros(_LENGTH + _FADE, np.float32)
  ramp = np.linspace(0, 1, _FADE, dtype=np.float32) ** 0.5
  place = 0
  while place < _LENGTH:
    part = _scaled(_recording(library, name, style, rng), 1.0)
    part = part[: len(out) - place].copy()
    if len(part) <= 2 * _FADE:
      part = np.resize(part, min(4 * _FADE, len(out) - place)).copy()
    if place:
      part[:_FADE] *= ramp[: len(part)]
      out[place : place + _FADE] *= ramp[::-1]
    out[place : place + len(part)] += part
    place += max(len(part) - _FADE, 1)
  return out[:_LENGTH], name


def pink(rng: np.random.Generator, length: int) -> np.ndarray:
  """Noise of equal power in every octave."""
  spectrum = np.fft.rfft(rng.standard_normal(length))
  spectrum /= np.sqrt(np.arange(1, len(spectrum) + 1))
  return np.fft.irfft(spectrum, length).astype(np.float32)


def _sounds(
  library: Library,
  known: Sequence[str],
  style: Style,
  rng: np.random.Generator,
) -> list[tuple[str, np.ndarray]]:
  """Sounds in the order in which they begin; neighbours differ."""
  count = _MOST if style.gap else int(rng.integers(1, _MOST + 1))
  chosen: list[tuple[str, np.ndarray]] = []
  for _ in range(count):
    taken = [name for name, _ in chosen]
    barred = taken if style.distinct else taken[-1:]
    free = [name for name in known if name not in barred]
    if not free:
      break
    name = free[rng.integers(len(free))]
    samples = _recording(library, name, style, rng)
    if rng.random() < style.varied:
      samples = _varied(samples, rng)
    chosen.append((name, samples))
  return chosen


def _varied(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Cut to 1 s or more, or played two or three times without a pause."""
  if len(samples) > 2 * RATE and rng.random() < 0.6:
    length = int(rng.integers(RATE, len(samples)))
    first = int(rng.integers(0, len(samples) - length + 1))
    return samples[first : first + length]
  return np.tile(samples, int(rng.integers(2, 4)))


def _placed(
  sounds: list[tuple[str, np.ndarray]], style: Style, rng: np.random.Generator
) -> list[tuple[int, str, np.ndarray]]:
  """Sounds with their first samples; those without room are left out."""
  least = int(0.3 * RATE)
  while not style.gap and sum(len(s) + least for _, s in sounds) > _LENGTH:
    sounds = sounds[:-1]
  free = _LENGTH - sum(len(s) + least for _, s in sounds)
  shares = rng.dirichlet(np.ones(len(sounds) + 1)) * free
  placed: list[tuple[int, str, np.ndarray]] = []
  end = 0
  for (name, samples), share in zip(sounds, shares[:-1], strict=True):
    gap = int(rng.uniform(*style.gap) * RATE) if style.gap else least + share
    start = end + int(gap)
    if placed and rng.random() < style.together:
      start = end - int(rng.uniform(0.2, 0.8) * len(placed[-1][2]))
    if start + len(samples) <= _LENGTH:
      placed.append((start, name, samples))
      end = max(end, start + len(samples))
  return placed


def _scaled(samples: np.ndarray, level: float) -> np.ndarray:
  """Brought to a root mean square, its ends faded."""
  loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
  out = (samples * (level / max(loudness, 1e-6))).astype(np.float32)
  edge = min(_EDGE, len(out) // 2)
  if edge:
    ramp = np.linspace(0, 1, edge, dtype=np.float32)
    out[:edge] *= ramp
    out[-edge:] *= ramp[::-1]
  return out
