"""Resizing and cropping by NumPy alone, to the bit as `data.crop` does it.

TensorFlow, which evaluation resizes with, takes seconds to import. Its
ScaleAndTranslate (Keys' cubic kernel, widened when shrinking) sums float32
products in the order of the source pixels, rows before columns; so does this.
"""

import numpy as np

# Source pixels on each side that a bicubic kernel reads at scale 1.
SUPPORT = 2.0
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)


def centre(frames: np.ndarray, image_size: int, short_side: int) -> np.ndarray:
  """Resizes and crops decoded frames as evaluation does stored ones.

  Args:
    frames: uint8 [U, h, w, 3].
    image_size: Side of the crop, pixels.
    short_side: What the short side is resized to, pixels.

  Returns:
    uint8 [U, image_size, image_size, 3].
  """
  size = np.array(frames.shape[1:3], np.float64)
  resized = np.floor(size * max(short_side, image_size) / size.min() + 1e-6)
  offset = np.round((resized - image_size) * 0.5)
  if (resized == size).all():
    top, left = offset.astype(int)
    return frames[:, top : top + image_size, left : left + image_size]
  scale = resized / size
  margin = np.ceil(SUPPORT * np.maximum(1.0 / scale, 1.0))
  first = np.maximum(np.floor(offset / scale) - margin, 0.0).astype(int)
  last = np.ceil((offset + image_size) / scale) + margin
  last = np.minimum(last, size).astype(int)
  seen = frames[:, first[0] : last[0], first[1] : last[1]]
  taps = [
    _taps(
      int(last[axis] - first[axis]),
      image_size,
      np.float32(scale[axis]),
      np.float32(first[axis]) * np.float32(scale[axis])
      - np.float32(offset[axis]),
    )
    for axis in (0, 1)
  ]
  return np.stack([_resize(frame, *taps) for frame in seen])


def _taps(
  length: int, size: int, scale: np.float32, shift: np.float32
) -> tuple[np.ndarray, np.ndarray]:
  """Source pixels that make each pixel of the crop, and their weights.

  Args:
    length: Source pixels along the axis.
    size: Pixels of the crop.
    scale: Crop pixels per source pixel.
    shift: Where the first source pixel comes to lie, crop pixels.

  Returns:
    int64 [K, size], indices, and float32 [K, size], weights.
  """
  inverse = np.float32(1.0 / float(scale))
  widening = max(inverse, _ONE)
  reach = np.float32(SUPPORT) * widening
  middles = np.arange(size, dtype=np.float32) + _HALF
  middles = middles * inverse - inverse * shift
  first = np.clip(np.ceil(middles - reach - _HALF), 0, length - 1)
  last = np.clip(np.floor(middles + reach - _HALF), 0, length - 1)
  count = int((last - first).max()) + 1
  index = first.astype(np.int64) + np.arange(count)[:, None]
  distance = index.astype(np.float32) + _HALF - middles
  weights = cubic(distance * (_ONE / widening))
  weights = np.where(index <= last, weights, np.float32(0))
  total = np.zeros(size, np.float32)
  for row in weights:
    total += row
  return np.minimum(index, length - 1), weights * (_ONE / total)


def cubic(x: np.ndarray) -> np.ndarray:
  """Keys' cubic of distances, of their precision (Keys, 1981, a = -1/2)."""
  x = np.abs(x)
  near = ((1.5 * x - 2.5) * x) * x + 1.0
  far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
  return np.where(x >= 2.0, 0.0, np.where(x >= 1.0, far, near)).astype(x.dtype)


def _resize(
  frame: np.ndarray,
  rows: tuple[np.ndarray, np.ndarray],
  columns: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
  """uint8 [h, w, 3] -> uint8 [H, W, 3]."""
  frame = frame.astype(np.float32)
  high = np.zeros((rows[0].shape[1], *frame.shape[1:]), np.float32)
  for index, weight in zip(*rows, strict=True):
    high += weight[:, None, None] * frame[index]
  result = np.zeros((len(high), columns[0].shape[1], 3), np.float32)
  for index, weight in zip(*columns, strict=True):
    result += weight[:, None] * high[:, index]
  return np.clip(np.round(result), 0, 255).astype(np.uint8)
