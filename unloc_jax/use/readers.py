"""How the streams of a video but the first are read, a window at a time.

A new sense is a new entry; a stream without a reader is masked.
"""

import os
from collections.abc import Callable

import ml_collections
import numpy as np

# (start, duration) of a window in seconds -> its row and mask, as in a batch.
Reader = Callable[[float, float], tuple[np.ndarray, np.ndarray]]

# What opens a video: (path, config) -> Reader.
READERS: dict[
  str, Callable[[str | os.PathLike[str], ml_collections.ConfigDict], Reader]
] = {}


def open_streams(
  path: str | os.PathLike[str], config: ml_collections.ConfigDict
) -> dict[str, Reader]:
  """Readers of a video's streams but the first, by name."""
  names = [name for name in config.streams[1:] if name in READERS]
  return {name: READERS[name](path, config) for name in names}
