"""Images as CLIP's authors prepare them, for features to compare with theirs.

Training crops and resizes bilinearly (`data.ops`); CLIP's own recipe is a
bicubic resize of the short side, a centre crop and normalised pixels.
"""

import numpy as np

from unloc_jax.media.resizing import cubic
from unloc_jax.models.towers.clip import PIXEL_MEAN, PIXEL_STD


def _resize_axis(pixels: np.ndarray, length: int) -> np.ndarray:
  """uint8 [N, ...] -> uint8 [length, ...]; shrinking widens the kernel."""
  ratio = len(pixels) / length
  support = max(ratio, 1.0)
  centre = (np.arange(length) + 0.5)[:, None] * ratio
  at = np.arange(len(pixels)) + 0.5
  weights = cubic((at - centre) / support)
  weights /= weights.sum(axis=1, keepdims=True)
  out = np.tensordot(weights, pixels.astype(np.float64), axes=1)
  return np.clip(np.floor(out + 0.5), 0, 255).astype(np.uint8)


def clip_preprocess(image: np.ndarray, size: int) -> np.ndarray:
  """uint8 RGB [h, w, 3] -> normalised float32 [size, size, 3]."""
  height, width = image.shape[:2]
  short = min(height, width)
  resized = _resize_axis(image.swapaxes(0, 1), width * size // short)
  resized = _resize_axis(resized.swapaxes(0, 1), height * size // short)
  top = round((resized.shape[0] - size) / 2)
  left = round((resized.shape[1] - size) / 2)
  crop = resized[top : top + size, left : left + size] / 255.0
  return ((crop - PIXEL_MEAN) / PIXEL_STD).astype(np.float32)
