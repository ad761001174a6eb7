"""Frames resized without TensorFlow are those that evaluation sees."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from unloc_jax.data import crop
from unloc_jax.media import resizing


def compared(frames: np.ndarray, size: int, short_side: int) -> None:
  view = crop.window(frames.shape[1:3], short_side, size, 0.5, 0.5)
  top, left, height, width = view.box
  seen = tf.constant(frames)[:, top : top + height, left : left + width]
  np.testing.assert_array_equal(
    resizing.centre(frames, size, short_side), crop.cut(seen, view, size)
  )


@pytest.mark.parametrize(
  ("height", "width", "size", "short_side"),
  [
    (48, 85, 32, 32),  # the demo's
    (85, 48, 32, 32),
    (256, 340, 224, 256),  # cut, not resized
    (256, 455, 224, 224),
    (120, 160, 224, 224),  # enlarged
    (33, 60, 32, 40),
    (7, 500, 32, 32),
    (1, 1, 16, 16),
  ],
)
def test_pixels_are_those_of_evaluation(height, width, size, short_side):
  rng = np.random.default_rng(height + width)
  frames = rng.integers(0, 256, (2, height, width, 3), np.uint8)
  compared(frames, size, short_side)


@given(
  height=st.integers(2, 90),
  width=st.integers(2, 90),
  size=st.integers(8, 48),
  more=st.integers(0, 30),
)
def test_pixels_of_any_shape(height, width, size, more):
  rng = np.random.default_rng(height * width)
  # Black and white alone: every sum that is cut at 0 or 255 is seen.
  frames = 255 * rng.integers(0, 2, (1, height, width, 3), np.uint8)
  compared(frames, size, size + more)
