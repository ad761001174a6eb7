"""How the streams of a video but the first are read, a window at a time.

A new sense is a new entry; a stream without a reader is masked.
"""

import math
import os
from collections.abc import Callable

import ml_collections
import numpy as np

from unloc_jax.task.sampling import Sampling
from unloc_jax.use.frames import Heard

# (start, duration) of a window in seconds -> its row and mask, as in a batch.
Reader = Callable[[float, float], tuple[np.ndarray, np.ndarray]]

# What opens a video: (path, config) -> Reader.
READERS: dict[
  str, Callable[[str | os.PathLike[str], ml_collections.ConfigDict], Reader]
] = {}


def of_sound(
  heard: Heard, config: ml_collections.ConfigDict, rate: float
) -> Reader:
  """Reads sound of `rate` positions a second; what is beyond is not heard."""
  sampling = Sampling.from_config(config)

  def read(start: float, duration: float) -> tuple[np.ndarray, np.ndarray]:
    count = max(1, math.ceil(duration * rate - 1e-6))
    index, mask = sampling.frames(count, rate)
    place = round(start * rate) + index
    last = len(heard.mask) - 1
    mask &= (place <= last) & heard.mask[np.minimum(place, last)]
    return heard.rows[np.minimum(place, last)] * mask[:, None], mask

  return read


def open_streams(
  path: str | os.PathLike[str], config: ml_collections.ConfigDict
) -> dict[str, Reader]:
  """Readers of a video's streams but the first, by name."""
  names = [name for name in config.streams[1:] if name in READERS]
  return {name: READERS[name](path, config) for name in names}
