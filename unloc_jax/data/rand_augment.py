"""RandAugment (Cubuk et al. 2020) for videos: one draw, every frame alike."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_FULL = 10.0
# What appears where a frame was moved away.
_FILL = 128.0

# Pixels float32 [T, H, W, 3] of 0 to 255, strength -1 to 1 -> such pixels.
PixelOp = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _blend(base: Any, pixels: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
  """From 0.1 (nearly base) at strength -1 over pixels at 0 to 1.9 at 1."""
  return base + (1.0 + 0.9 * strength) * (pixels - base)


def _transform(pixels: tf.Tensor, *matrix: Any) -> tf.Tensor:
  """Moves pixels by a 2 x 3 matrix from output to input coordinates."""
  row = tf.stack([tf.cast(m, tf.float32) for m in (*matrix, 0.0, 0.0)])
  return tf.raw_ops.ImageProjectiveTransformV3(
    images=pixels,
    transforms=row[None],
    output_shape=tf.shape(pixels)[1:3],
    fill_value=_FILL,
    interpolation="NEAREST",
    fill_mode="CONSTANT",
  )


def _size(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """(height, width) as float32."""
  size = tf.cast(tf.shape(pixels)[1:3], tf.float32)
  return size[0], size[1]


def _autocontrast(pixels: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
  """Stretches each channel of the video to 0..255."""
  del strength
  low = tf.reduce_min(pixels, axis=[0, 1, 2])
  high = tf.reduce_max(pixels, axis=[0, 1, 2])
  scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1.0), 1.0)
  return (pixels - tf.where(high > low, low, 0.0)) * scale


def _equalize(pixels: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
  """Makes each channel's histogram over the whole video flat."""
  del strength

  def channel(values: tf.Tensor) -> tf.Tensor:
    index = tf.cast(values, tf.int32)
    counts = tf.math.bincount(index, minlength=256, maxlength=256)
    below = tf.cast(tf.cumsum(counts), tf.float32)
    total = below[-1]
    first = below[tf.reduce_min(index)]
    table = (below - first) / tf.maximum(total - first, 1.0) * 255.0
    return tf.where(total > first, tf.gather(table, index), values)

  return tf.stack([channel(pixels[..., i]) for i in range(3)], axis=-1)


def _posterize(pixels: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
  """Drops up to four of the eight bits."""
  step = tf.pow(2.0, tf.round(tf.abs(strength) * 4.0))
  return tf.floor(pixels / step) * step


def _contrast(pixels: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
  """Less or more contrast, about the video's mean grey."""
  grey = tf.reduce_mean(tf.image.rgb_to_grayscale(pixels))
  return _blend(grey, pixels, strength)


def _rotate(pixels: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
  """Turns about the centre by up to 30 degrees."""
  height, width = _size(pixels)
  y, x = (height - 1.0) / 2.0, (width - 1.0) / 2.0
  angle = strength * (math.pi / 6.0)
  cos, sin = tf.cos(angle), tf.sin(angle)
  right, down = x - cos * x + sin * y, y - sin * x - cos * y
  return _transform(pixels, cos, -sin, right, sin, cos, down)


# The order is part of what a seed gives.
OPERATIONS: dict[str, PixelOp] = {
  "autocontrast": _autocontrast,
  "equalize": _equalize,
  "invert": lambda pixels, _: 255.0 - pixels,
  "posterize": _posterize,
  # Negative of what is brighter than a threshold
  "solarize": lambda pixels, strength: tf.where(
    pixels < 256.0 * (1 - tf.abs(strength)), pixels, 255 - pixels
  ),
  # Brightens what is darker than the middle
  "solarize_add": lambda pixels, strength: tf.where(
    pixels < 128.0, pixels + 110.0 * tf.abs(strength), pixels
  ),
  "saturation": lambda pixels, strength: _blend(
    tf.image.rgb_to_grayscale(pixels), pixels, strength
  ),
  "contrast": _contrast,
  "brightness": lambda pixels, strength: pixels * (1.0 + 0.9 * strength),
  "sharpness": lambda pixels, strength: _blend(
    tf.nn.avg_pool2d(pixels, 3, 1, "SAME"), pixels, strength
  ),
  "rotate": _rotate,
  # Leans by up to 0.3
  "shear_x": lambda pixels, strength: _transform(
    pixels, 1.0, 0.3 * strength, 0.0, 0.0, 1.0, 0.0
  ),
  "shear_y": lambda pixels, strength: _transform(
    pixels, 1.0, 0.0, 0.0, 0.3 * strength, 1.0, 0.0
  ),
  # Moves by up to 0.4 of the width or height
  "translate_x": lambda pixels, strength: _transform(
    pixels, 1.0, 0.0, 0.4 * strength * _size(pixels)[1], 0.0, 1.0, 0.0
  ),
  "translate_y": lambda pixels, strength: _transform(
    pixels, 1.0, 0.0, 0.0, 0.0, 1.0, 0.4 * strength * _size(pixels)[0]
  ),
}


def apply(
  frames: tf.Tensor, seed: tf.Tensor, layers: int, magnitude: float
) -> tf.Tensor:
  """Applies random operations, of random sign, to all frames.

  Args:
    frames: uint8 [T, H, W, 3]; so is what is returned.
    seed: int32 [2]; decides the operations and their signs.
    layers: operations in a row.
    magnitude: 0 (nothing) to 10 (full strength).
  """
  chosen = tf.random.stateless_uniform(
    [layers], seed, 0, len(OPERATIONS), tf.int32
  )
  signs = tf.random.stateless_uniform([layers], seed + 1) < 0.5
  strengths = tf.where(signs, 1.0, -1.0) * (magnitude / _FULL)
  pixels = tf.cast(frames, tf.float32)
  for layer in range(layers):
    branches = [
      lambda op=op, p=pixels, s=strengths[layer]: op(p, s)
      for op in OPERATIONS.values()
    ]
    pixels = tf.switch_case(chosen[layer], branches)
    pixels = tf.clip_by_value(tf.round(pixels), 0.0, 255.0)
  return tf.ensure_shape(tf.saturate_cast(pixels, tf.uint8), frames.shape)
