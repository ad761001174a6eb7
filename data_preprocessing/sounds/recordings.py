"""A folder of short recordings, a folder a class, by fold: ESC-10 and its like.

ESC-10 (Piczak, 2015, CC BY 3.0) has 400 recordings of 5 s in 10 classes; the
first digit of a file's name is its fold. All recordings of one source are in
one fold.
"""

import collections
import os
import pathlib
import re

import numpy as np
import tqdm

from unloc_jax.media import sound
from unloc_jax.media.errors import VideoError

_ENDINGS = (".ogg", ".wav", ".mp3", ".flac", ".m4a")
_STEP = sound.RATE // 100
# Below its loudest 10 ms by more, a recording is silent.
_SILENT_DB = 32.0

# {class: {fold: recordings, float32 [N] at 16 kHz, silence cut off}}
Library = dict[str, dict[int, list[np.ndarray]]]


def read(folder: str | os.PathLike[str]) -> Library:
  """Reads all recordings; ValueError says which cannot be."""
  library: Library = collections.defaultdict(dict)
  root = pathlib.Path(folder)
  paths = sorted(p for p in root.glob("*/*") if p.suffix.lower() in _ENDINGS)
  if not paths:
    raise ValueError(
      f"{root}: holds no CLASS/RECORDING.ogg; give the folder of ESC-10"
    )
  for path in tqdm.tqdm(paths, "Recordings", disable=None):
    if not path.name[0].isdigit():
      raise ValueError(
        f"{path}: its name does not begin with its fold; rename it 1-NAME"
      )
    try:
      samples = active(sound.read(path).samples)
    except VideoError as error:
      raise ValueError(f"{path}: {error}; replace it") from error
    if len(samples):
      folds = library[label(path.parent.name)]
      folds.setdefault(int(path.name[0]), []).append(samples)
  return dict(library)


def label(folder: str) -> str:
  """The class of a folder: "001 - Dog bark" is "dog bark"."""
  return re.sub(r"^\d+\s*-\s*", "", folder).strip().lower()


def active(samples: np.ndarray) -> np.ndarray:
  """Without the silence before and behind."""
  whole = samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)
  power = np.mean(np.square(whole, dtype=np.float64), axis=1)
  if not power.any():
    return samples[:0]
  loud = np.flatnonzero(power > power.max() * 10 ** (-_SILENT_DB / 10))
  return samples[loud[0] * _STEP : (loud[-1] + 1) * _STEP]
