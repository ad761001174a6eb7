"""Sound -> a row at every position of the sampling clock.

Two kinds: "log_mel", the spectrogram itself for a tower that is trained; and a
folder that holds YAMNet (`yamnet.tflite`, TensorFlow Models, Apache-2.0) and
`sentences.npz`, embeddings of the names of its classes.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from unloc_jax.media.log_mel import BANDS, log_mel, padded_length
from unloc_jax.media.pool import beat
from unloc_jax.media.sound import RATE, Sound

LOG_MEL = "log_mel"
YAMNET, SENTENCES = "yamnet.tflite", "sentences.npz"
CLASSES = 521
# Samples that YAMNet hears at a time, 0.975 s.
_WINDOW = 15_600
_BLOCK = 256  # Positions whose spectrogram is made at a time.


@dataclasses.dataclass(frozen=True)
class Extractor:
  """What makes rows of a sound; picklable, so that any process may.

  A position is at 1 / rate, 2 / rate, ... seconds and stands for as much
  before it as behind.

  Attributes:
    place: "log_mel", or the folder of YAMNet.
    rate: Positions a second; 100 is a multiple of it.
    width: Channels of a row: YAMNet's 521 scores, their weighted mean of the
      E channels of the names' embeddings, and the mean log-mel of 64 bands; or
      the 100 / rate log-mel frames around the position, one after another.
    digest: Hash of the extractor's files.
  """

  place: str
  rate: float
  width: int
  digest: str

  @property
  def frames(self) -> int:
    """Log-mel frames of a position."""
    return round(100 / self.rate)

  def count(self, seconds: float) -> int:
    """Positions of so many seconds."""
    return max(1, math.ceil(seconds * self.rate - 1e-6))

  def rows(self, sound: Sound, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows float32 [count, width], and whether each is heard, bool [count].

    Rows that are not heard are zeros.
    """
    rows = np.zeros((count, self.width), np.float32)
    edges = (np.arange(count + 1) - 0.5) / self.rate
    heard = sound.heard(np.maximum(edges, 0))
    for first in range(0, count, _BLOCK):
      last = min(count, first + _BLOCK)
      mel = self._log_mel(sound, first, last - first)
      if self.place == LOG_MEL:
        rows[first:last] = mel.reshape(last - first, -1)
        continue
      rows[first:last, -BANDS:] = mel.mean(axis=1)
      for i in range(first, last):
        if heard[i]:
          rows[i, :-BANDS] = self._scores(sound, i)
    return rows * heard[:, None], heard

  def _log_mel(self, sound: Sound, first: int, count: int) -> np.ndarray:
    """Spectrogram of positions [count, frames, 64]."""
    number = count * self.frames
    start = round((first - 0.5) / self.rate * RATE)
    made = log_mel(sound.part(start, padded_length(number)))
    return made.reshape(count, self.frames, BANDS)

  def _scores(self, sound: Sound, position: int) -> np.ndarray:
    """YAMNet's scores of the window around a position, and names' mean."""
    beat()
    start = round(position / self.rate * RATE) - _WINDOW // 2
    scores = _yamnet(self.place)(sound.part(start, _WINDOW))
    _, names = _names(self.place)
    mean = scores @ names / np.maximum(scores.sum(), 1e-6)
    return np.concatenate([scores, mean])


def open_extractor(place: str, rate: float) -> Extractor:
  """The extractor of that name or in that folder.

  Raises ValueError where there is none, or the rate does not fit it.
  """
  if abs(100 / rate - round(100 / rate)) > 1e-6 or rate > 100:
    raise ValueError(
      f"{rate:g} positions a second: sound needs a number that divides 100, "
      "such as 2, 4 or 5"
    )
  if place == LOG_MEL:
    return Extractor(place, rate, round(100 / rate) * BANDS, LOG_MEL)
  try:
    digest = hashlib.sha256(pathlib.Path(place, YAMNET).read_bytes())
  except OSError as error:
    raise ValueError(
      f"{place}: no {YAMNET} in it; give a folder that holds it and "
      f"{SENTENCES}, or {LOG_MEL!r}"
    ) from error
  names, embeddings = _names(place)
  # Another conversion of the same encoder differs in the last bit.
  digest.update(json.dumps([names, embeddings.shape]).encode())
  width = CLASSES + embeddings.shape[1] + BANDS
  return Extractor(place, rate, width, digest.hexdigest()[:32])


@functools.cache
def _names(place: str) -> tuple[list[str], np.ndarray]:
  """Names of the classes, and their embeddings, float32 [521, E]."""
  path = os.path.join(place, SENTENCES)
  try:
    with np.load(path, allow_pickle=False) as file:
      names = [str(name) for name in file["names"]]
      found = file["name_embeddings"].astype(np.float32)
  except (OSError, ValueError, KeyError) as error:
    raise ValueError(f"{path}: not embeddings of names ({error})") from error
  if found.ndim != 2 or len(found) != CLASSES:
    raise ValueError(f"{path}: {found.shape}, not [{CLASSES}, E]")
  return names, found


@contextlib.contextmanager
def _silent() -> Iterator[None]:
  """Keeps the runtime from telling on stderr how it computes."""
  kept = os.dup(2)
  try:
    with open(os.devnull, "w") as nowhere:
      os.dup2(nowhere.fileno(), 2)
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)


@functools.cache
def _yamnet(place: str) -> Any:
  """Function of samples [15600] -> scores float32 [521]."""
  try:
    from ai_edge_litert.interpreter import Interpreter
  except ImportError as error:
    raise ValueError(
      f"{place}: YAMNet needs ai-edge-litert; pip install ai-edge-litert"
    ) from error
  path = os.path.join(place, YAMNET)
  try:
    with _silent():
      model = Interpreter(path, num_threads=1)
      model.allocate_tensors()
    given = model.get_input_details()[0]
    said = model.get_output_details()
    shape = tuple(given["shape"])
    scores = next(each for each in said if each["shape"][-1] == CLASSES)
  except (ValueError, RuntimeError, StopIteration, IndexError) as error:
    raise ValueError(f"{path}: is no YAMNet ({error})") from error
  if int(np.prod(shape)) != _WINDOW:
    raise ValueError(f"{path}: takes {shape}, not {_WINDOW} samples at 16 kHz")

  def run(samples: np.ndarray) -> np.ndarray:
    model.set_tensor(given["index"], samples.reshape(shape))
    model.invoke()
    found: np.ndarray = model.get_tensor(scores["index"]).reshape(-1)
    return found.astype(np.float32)

  return run
