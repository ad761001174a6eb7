"""Videos of any length as windows, each a video to the model."""

import io
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from PIL import Image

from unloc_jax.data.batch import row_spec
from unloc_jax.media import resizing
from unloc_jax.task.sampling import Sampling
from unloc_jax.use.exports import Export
from unloc_jax.use.readers import Reader

Item = TypeVar("Item")


class Clip(NamedTuple):
  """What the model is shown of a window."""

  streams: dict[str, np.ndarray]  # Rows as in a batch, and their masks [N].
  masks: dict[str, np.ndarray]
  frame_mask: np.ndarray  # bool [T]
  start: float  # Seconds since the start of the video
  duration: float  # Seconds
  frame_count: int  # Frames that the T were sampled from


def clips(
  export: Export,
  frames: Iterable[Any],
  duration: float,
  others: Mapping[str, Reader],
) -> Iterator[Clip]:
  """What the model is shown of a video of `duration` seconds.

  Frames are at the model's rate: in JPEG, or, where it takes features, float32
  [D]; where it only hears, numbers. Those of one window are held at a time. Of
  the other streams, one that is not among `others` is masked.
  """
  config, rate = export.config, export.source.frame_rate
  sampling = Sampling.from_config(config)
  none = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), row_spec(config))
  length = length_in_frames(export.window_seconds, rate)
  for first, held, is_last in cut(frames, length):
    start, count = first / rate, len(held)
    end = duration if is_last else (first + count) / rate
    index, mask = sampling.frames(count, rate)
    streams, masks = dict(none["streams"]), dict(none["masks"])
    extract = export.source.extract
    name = "embeddings" if extract == "features" else extract
    if extract == "features":
      streams[name] = np.stack(held)[index] * mask[:, None]
    elif extract == "frames":
      needed, place = np.unique(index, return_inverse=True)
      shown = [Image.open(io.BytesIO(held[i])).convert("RGB") for i in needed]
      pixels = np.stack([np.asarray(image) for image in shown])
      size, side = config.data.image_size, config.data.short_side
      streams[name] = resizing.centre(pixels, size, side)[place]
    masks[name] = mask
    for name, read in others.items():
      streams[name], masks[name] = read(start, end - start)
    yield Clip(streams, masks, mask, start, end - start, count)


def length_in_frames(seconds: float, rate: float) -> int:
  """Frames that a window of so many seconds has, as a built video has."""
  return max(1, math.ceil(seconds * rate - 1e-6))


def cut(
  frames: Iterable[Item], length: int
) -> Iterator[tuple[int, list[Item], bool]]:
  """Windows of `length` frames, each half a window after the one before.

  The last one ends with the video. No more than `length` frames are held at a
  time. Yields the place of a window's first frame, its frames, and whether it
  is the last.
  """
  hop = max(1, length // 2)
  held: deque[Item] = deque(maxlen=length)
  count = 0
  for frame in frames:
    # Only now is it known that the video goes on after this window.
    if count >= length and (count - length) % hop == 0:
      yield count - length, list(held), False
    held.append(frame)
    count += 1
  if held:
    yield count - len(held), list(held), True


def blend(
  times: list[np.ndarray], values: list[np.ndarray], duration: float
) -> tuple[np.ndarray, np.ndarray]:
  """Joins what overlapping windows say of each moment, by their mean.

  Each window's seconds [T], ascending, and values [Q, T] -> seconds [N] as
  dense as in the first window, and the values [Q, N] there.
  """
  if len(times) == 1:
    return times[0], values[0]
  first = times[0]
  if len(first) > 1:
    step = (first[-1] - first[0]) / (len(first) - 1)
  else:
    step = times[1][0] - first[0]
  grid = np.arange(0.0, duration, step)
  total = np.zeros((len(values[0]), len(grid)))
  seen = np.zeros(len(grid))
  for at, value in zip(times, values, strict=True):
    inside = (grid >= at[0] - 1e-9) & (grid <= at[-1] + 1e-9)
    seen += inside
    total[:, inside] += [np.interp(grid[inside], at, row) for row in value]
  kept = seen > 0
  return grid[kept], (total[:, kept] / seen[kept]).astype(np.float32)
