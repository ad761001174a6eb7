"""Frames resized without TensorFlow are those that evaluation sees."""

import numpy as np
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from unloc_jax.data import crop
from unloc_jax.media import resizing


@example(48, 85, 32, 0)  # The demo's
@example(85, 48, 32, 0)
@example(256, 340, 224, 32)  # Cut, not resized
@example(256, 455, 224, 0)
@example(120, 160, 224, 0)  # Enlarged
@example(33, 60, 32, 8)
@example(7, 500, 32, 0)
@example(1, 1, 16, 0)
@given(
  height=st.integers(2, 90),
  width=st.integers(2, 90),
  size=st.integers(8, 48),
  more=st.integers(0, 30),
)
def test_pixels_are_those_of_evaluation(height, width, size, more):
  rng = np.random.default_rng(height * width)
  frames = rng.integers(0, 256, (2, height, width, 3), np.uint8)
  # Black and white alone: every sum that is cut at 0 or 255 is seen.
  frames[1] = 255 * (frames[1] > 127)
  view = crop.window((height, width), size + more, size, 0.5, 0.5)
  top, left, high, wide = view.box
  seen = tf.constant(frames)[:, top : top + high, left : left + wide]
  np.testing.assert_array_equal(
    resizing.centre(frames, size, size + more), crop.cut(seen, view, size)
  )
