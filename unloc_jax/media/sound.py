"""The sound of any file on the file's own clock: 16 kHz, one channel.

Time 0 is where a player starts, as for frames (`unloc_jax.media.clock`). What
a file does not hold is silence and said to be unheard: a track that starts
late, ends early or has gaps. One whose time stamps drift away from its count
of samples follows the time stamps.
"""

import contextlib
import dataclasses
import itertools
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from unloc_jax.media.clock import MICROSECONDS
from unloc_jax.media.container import opened
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.pool import beat

RATE = 16_000
# Time stamps of containers are rounded to as much as a hundredth of a second.
_JITTER_SECONDS = Fraction(1, 50)
_MAX_SECONDS = 24 * 3600
# A track may end so much earlier than it says; mp3 and raw streams guess.
_SLACK_SECONDS = 1.0
_UNDECODED, _SILENT = "no sound track can be decoded", "it is silent throughout"
_GUESSING = ("mp3", "aac", "flac", "adts", "mpegts", "mpeg", "amr", "ac3")


@dataclasses.dataclass(frozen=True)
class Sound:
  """What is heard.

  Attributes:
    samples: float32 [N], about -1 to 1; zeros where nothing is heard.
    spans: int64 [R, 2], first and last (exclusive) sample of each stretch that
      the file holds, ascending.
  """

  samples: np.ndarray
  spans: np.ndarray

  @property
  def duration(self) -> float:
    """Seconds until the last stretch ends."""
    return len(self.samples) / RATE

  def heard(self, edges: np.ndarray) -> np.ndarray:
    """Whether at least half of each stretch between edges is heard.

    Edges are seconds [M + 1], ascending; returns bool [M].
    """
    edges = np.asarray(edges, np.float64) * RATE
    # Samples heard before each edge; flat between the spans.
    before = np.zeros(len(edges))
    for first, last in self.spans:
      before += np.clip(edges - first, 0, last - first)
    found: np.ndarray = np.diff(before) >= 0.5 * np.diff(edges) - 1e-6
    return found

  def part(self, start: int, count: int) -> np.ndarray:
    """Samples float32 [count] from a place on, which may be outside."""
    first, last = max(start, 0), min(start + count, len(self.samples))
    out = np.zeros(count, np.float32)
    if last > first:
      out[first - start : last - start] = self.samples[first:last]
    return out


def read(path: str | os.PathLike[str], most: float = math.inf) -> Sound:
  """Reads a file's sound; see `write`, which needs no memory for it."""
  with tempfile.TemporaryDirectory(prefix="unloc_sound_") as folder:
    name = os.path.join(folder, "sound.f32")
    spans = write(os.fspath(path), name, most)
    return load(name, spans, in_memory=True)


def load(
  name: str, spans: list[tuple[int, int]], in_memory: bool = False
) -> Sound:
  """What `write` left in a file; on disk it is read where it is used."""
  kind: Any = np.fromfile if in_memory else np.memmap
  samples = kind(name, np.float32)
  return Sound(samples, np.array(spans, np.int64).reshape(-1, 2))


def write(path: str, out: str, most: float = math.inf) -> list[tuple[int, int]]:
  """Decodes the first track that can be heard into raw float32; returns spans.

  Runs in a guarded process, see `unloc_jax.media.pool`.

  Args:
    path: Of any file with sound, pictures or none.
    out: File of samples to write.
    most: Seconds that are read at most.

  Raises:
    VideoError: There is no sound in it, or silence alone, it is cut short, or
      longer than `most`.
  """
  said = "it has no sound track"
  for number in itertools.count():
    with opened(path) as (container, whole):
      if whole is False:
        raise VideoError(Reason.TRUNCATED, "the file ends before its time")
      tracks = container.streams.audio
      if number >= len(tracks):
        raise VideoError(Reason.NO_SOUND, said)
      promised = _promised(container, tracks[number])
      limit = min(_MAX_SECONDS, 2 * promised + 60) if promised else _MAX_SECONDS
      with open(out, "wb") as file:
        spans = _Spans(file, most, limit)
        for start, samples in _runs(container, tracks[number]):
          spans.add(start, samples)
    if spans.is_loud:
      break
    said = _SILENT if spans.found or said == _SILENT else _UNDECODED
  last = spans.found[-1][1] / RATE
  if promised and last + _SLACK_SECONDS < promised:
    raise VideoError(
      Reason.TRUNCATED, f"{last:.2f} s heard of {promised:.2f} s declared"
    )
  return spans.found


class _Spans:
  """Samples on their way into a file, each at its time."""

  def __init__(self, file: Any, most: float, limit: float):
    self._file, self._most, self._limit = file, most, limit
    self.found: list[tuple[int, int]] = []
    self.is_loud = False  # Whether any sample is not 0.

  def add(self, start: float, samples: np.ndarray) -> None:
    """Writes samples [N] that begin at `start` seconds, or later than that."""
    first = round(start * RATE)
    samples = samples[max(0, -first) :]
    first = max(first, 0)
    if self.found:
      # Overlapping stretches: what came first is kept.
      late = max(0, self.found[-1][1] - first)
      first, samples = first + late, samples[late:]
    last = first + len(samples)
    if last > self._limit * RATE:
      raise VideoError(
        Reason.UNDECODABLE, f"sound is due at {last / RATE:.0f} s, past the end"
      )
    if last > self._most * RATE:
      raise VideoError(Reason.TOO_LONG, f"more than {self._most:g} s")
    if not len(samples):
      return
    self.is_loud = self.is_loud or bool(samples.any())
    # What is skipped over reads as zeros.
    self._file.seek(first * samples.itemsize)
    self._file.write(np.ascontiguousarray(samples, np.float32).tobytes())
    if self.found and first <= self.found[-1][1] + 1:
      first = self.found.pop()[0]
    self.found.append((first, last))
    beat()


def _promised(
  container: av.container.InputContainer, track: av.AudioStream
) -> float:
  """Seconds at which a track says that it ends; 0 where it does not."""
  if track.duration is None or track.time_base is None:
    return 0.0
  if any(name in _GUESSING for name in container.format.name.split(",")):
    return 0.0
  start = (track.start_time or 0) * track.time_base - _origin(container, 0)
  return float(start + track.duration * track.time_base)


def _origin(
  container: av.container.InputContainer, otherwise: Fraction | int
) -> Fraction:
  """Where a player starts, seconds on the file's clock."""
  start = container.start_time
  return Fraction(otherwise if start is None else Fraction(start, MICROSECONDS))


def _runs(
  container: av.container.InputContainer, track: av.AudioStream
) -> Iterator[tuple[float, np.ndarray]]:
  """Yields (seconds, samples [N] at 16 kHz), as they are decoded.

  Resampling goes on within a run of frames without a gap.
  """
  placed = _placed(frames_of(container, track), container)
  for (_, start), run in itertools.groupby(placed, lambda each: each[:2]):
    resampler, count = av.AudioResampler("fltp", rate=RATE), 0
    for frame in itertools.chain((each[2] for each in run), [None]):
      for made in resampler.resample(frame):
        samples = made.to_ndarray().mean(axis=0)
        # A file of floats may hold anything.
        samples = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
        yield start + count / RATE, np.clip(samples, -8, 8)
        count += len(samples)


def _placed(
  frames: Iterable[av.AudioFrame], container: av.container.InputContainer
) -> Iterator[tuple[int, float, av.AudioFrame]]:
  """Yields frames with the number and start, in seconds, of their runs."""
  number, start, due = 0, 0.0, Fraction(0)
  origin: Fraction | None = None
  form: tuple[Any, ...] | None = None
  for frame in frames:
    begins, before = due, form
    if frame.pts is not None and frame.time_base:
      stamp = frame.pts * frame.time_base
      if origin is None:
        origin = _origin(container, stamp)
      begins = stamp - origin
    form = frame.sample_rate, frame.format.name, frame.layout.name
    if abs(begins - due) > _JITTER_SECONDS or before not in (None, form):
      number, start, due = number + 1, float(begins), begins
    # Its own stamps, with their gaps, are not the resampler's business.
    frame.pts = None
    yield number, start, frame
    due += Fraction(frame.samples, frame.sample_rate)


def frames_of(
  container: av.container.InputContainer, track: av.AudioStream
) -> Iterator[av.AudioFrame]:
  """Frames of a track, past any damage."""
  if track.codec_context is not None:
    for packet in container.demux(track):
      with contextlib.suppress(av.FFmpegError):
        # A lazy decoder would end with the damaged packet.
        frames: list[Any] = list(packet.decode())
        yield from (f for f in frames if f.samples and f.sample_rate)
