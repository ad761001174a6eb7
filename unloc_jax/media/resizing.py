"""Resizing and cropping by NumPy alone, to the bit as `data.crop` does it.

TensorFlow, which evaluation resizes with, takes seconds to import. Its
ScaleAndTranslate (Keys' cubic kernel, widened when shrinking) sums float32
products in the order of the source pixels, rows before columns; so does this.
"""

from typing import Any

import numpy as np

# Source pixels on each side that a bicubic kernel reads at scale 1.
_SUPPORT = 2.0
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)


def place(
  xp: Any, size: Any, short_side: Any, image_size: int, at: Any
) -> tuple[Any, Any, Any, Any, Any]:
  """Where a square crop lies in a resized image; arrays are float64 [2].

  Args:
    xp: The library of the arrays, NumPy or TensorFlow.
    size: Height and width of the source, pixels.
    short_side: What the short side is resized to, pixels; at least image_size.
    image_size: Side of the crop, resized pixels.
    at: From 0 (top, left) to 1 (bottom, right).

  Returns:
    Resized over source pixels, the crop's corner in resized pixels, the first
    source pixel to read and the one after the last; and whether anything is
    resized.
  """
  short_side = xp.maximum(short_side, image_size)
  # The long side is cut to whole pixels, the short one is not changed; 1e-6
  # keeps products such as 640 * (224 / 448) whole.
  resized = xp.floor(size * short_side / xp.minimum(size[0], size[1]) + 1e-6)
  changed = (resized[0] != size[0]) | (resized[1] != size[1])
  scale = resized / size
  offset = xp.round((resized - image_size) * at)
  # One pixel more even where nothing is resized: libjpeg blends colours
  # across a crop's sides only where it sees beyond them.
  reach = -xp.floor(-_SUPPORT * xp.maximum(1.0 / scale, 1.0))
  margin = xp.where(changed, reach, 1.0)
  first = xp.maximum(xp.floor(offset / scale) - margin, 0.0)
  last = -xp.floor(-(offset + image_size) / scale) + margin
  return scale, offset, first, xp.minimum(last, size), changed


def centre(frames: np.ndarray, image_size: int, short_side: int) -> np.ndarray:
  """Resizes and crops decoded frames as evaluation does stored ones.

  uint8 [U, h, w, 3] become [U, image_size, image_size, 3], after their short
  side is resized to `short_side` pixels.
  """
  size = np.array(frames.shape[1:3], np.float64)
  scale, offset, first, last, resized = place(
    np, size, short_side, image_size, 0.5
  )
  (top, left), (bottom, right) = first.astype(int), last.astype(int)
  seen = frames[:, top:bottom, left:right]
  if not resized:
    top, left = (offset - first).astype(int)
    return seen[:, top : top + image_size, left : left + image_size]
  scale, first, offset = (x.astype(np.float32) for x in (scale, first, offset))
  lengths, shifts = seen.shape[1:3], first * scale - offset
  taps = [
    _taps(*axis, image_size)
    for axis in zip(lengths, scale, shifts, strict=True)
  ]
  return np.stack([_resize(frame, taps) for frame in seen])


def _taps(
  length: int, scale: np.float32, shift: np.float32, size: int
) -> tuple[np.ndarray, np.ndarray]:
  """Which of `length` source pixels make each of `size`, and their weights.

  The first of them comes to lie at `shift`. Returns int64 and float32
  [K, size].
  """
  inverse = np.float32(1.0 / float(scale))
  widening = max(inverse, _ONE)
  reach = np.float32(_SUPPORT) * widening
  middles = np.arange(size, dtype=np.float32) + _HALF
  middles = middles * inverse - inverse * shift
  first = np.clip(np.ceil(middles - reach - _HALF), 0, length - 1)
  last = np.clip(np.floor(middles + reach - _HALF), 0, length - 1)
  count = int((last - first).max()) + 1
  index = first.astype(np.int64) + np.arange(count)[:, None]
  distance = index.astype(np.float32) + _HALF - middles
  weights = _cubic(distance * (_ONE / widening))
  weights = np.where(index <= last, weights, np.float32(0))
  total = sum(weights, np.zeros(size, np.float32))
  return np.minimum(index, length - 1), weights * (_ONE / total)


def _cubic(x: np.ndarray) -> np.ndarray:
  """Keys' cubic of distances, of their precision (Keys, 1981, a = -1/2)."""
  x = np.abs(x)
  near = ((1.5 * x - 2.5) * x) * x + 1.0
  far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
  return np.where(x >= 2.0, 0.0, np.where(x >= 1.0, far, near)).astype(x.dtype)


def _resize(
  frame: np.ndarray, taps: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
  """uint8 [h, w, 3] -> uint8 [H, W, 3]; taps of the rows, of the columns."""
  frame = frame.astype(np.float32)
  for indices, weights in taps:
    made = np.zeros((indices.shape[1], *frame.shape[1:]), np.float32)
    for index, weight in zip(indices, weights, strict=True):
      made += weight[:, None, None] * frame[index]
    frame = made.swapaxes(0, 1)
  return np.clip(np.round(frame), 0, 255).astype(np.uint8)
