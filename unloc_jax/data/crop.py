"""Resizing and cropping as one step that reads only the pixels it needs.

The result is that of resizing whole images, as Pillow does it (bicubic, with
a filter that widens when shrinking), and cutting the crop out of them: what
CLIP's towers were trained on.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from unloc_jax.media import resizing


@dataclasses.dataclass(frozen=True)
class Window:
  """A crop of resized images, and the source pixels it takes."""

  box: tuple[tf.Tensor, ...]  # int32 top, left, height, width to read
  scale: tf.Tensor  # float32 [2], resized over source pixels, rows first
  offset: tf.Tensor  # int32 [2], the crop's corner in resized pixels
  resized: tf.Tensor  # bool, False where source pixels are taken as they are


def window(
  size: Any, short_side: Any, image_size: int, top: Any, left: Any
) -> Window:
  """The window of one crop.

  Args:
    size: int32 [2], height and width of the source, pixels.
    short_side: what the short side is resized to; at least image_size.
    image_size: side of the crop, resized pixels.
    top: place of the crop, 0 (top) to 1 (bottom).
    left: place of the crop, 0 (left) to 1 (right).
  """
  size, short_side, top, left = (
    tf.cast(x, tf.float64) for x in (size, short_side, top, left)
  )
  scale, offset, first, last, resized = resizing.place(
    tf, size, short_side, image_size, tf.stack([top, left])
  )
  box = tf.cast(tf.concat([first, last - first], 0), tf.int32)
  scale, offset = tf.cast(scale, tf.float32), tf.cast(offset, tf.int32)
  return Window(tuple(tf.unstack(box)), scale, offset, resized)


def cut(pixels: tf.Tensor, view: Window, image_size: int) -> tf.Tensor:
  """uint8 [U, h, w, 3] of the window's box to [U, H, W, 3], H = W."""
  corner = tf.stack(view.box[:2])

  def scaled() -> tf.Tensor:
    first, offset = (tf.cast(x, tf.float32) for x in (corner, view.offset))
    result = tf.raw_ops.ScaleAndTranslate(
      images=pixels,
      size=[image_size, image_size],
      scale=view.scale,
      translation=first * view.scale - offset,
      kernel_type="keyscubic",
      antialias=True,
    )
    return tf.saturate_cast(tf.round(result), tf.uint8)

  def plain() -> tf.Tensor:
    top, left = tf.unstack(view.offset - corner)
    return pixels[:, top : top + image_size, left : left + image_size]

  result = tf.cond(view.resized, scaled, plain)
  return tf.ensure_shape(result, [None, image_size, image_size, 3])
