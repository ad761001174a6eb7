"""Which frames are shown, and seconds there and back."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unloc_jax.task.sampling import Sampling, to_seconds

RATES = st.sampled_from([0.5, 1.0, 2.0, 5.0, 10.0, 29.97])
SAMPLINGS = st.builds(
  Sampling, st.sampled_from(["linspace", "rate"]), st.integers(2, 300), RATES
)


@given(st.integers(1, 5000), st.integers(1, 300))
def test_linspace_is_exact(count, num_frames):
  index, mask = Sampling("linspace", num_frames, 1.0).frames(count, 7.0)
  exact = [i * (count - 1) // max(num_frames - 1, 1) for i in range(num_frames)]
  assert index.tolist() == exact
  assert mask.all()
  assert index.dtype == np.int32


def test_linspace_is_the_rule_of_the_paper():
  index, _ = Sampling("linspace", 7, 1.0).frames(20, 1.0)
  expected = np.floor(np.linspace(0, 19, 7)).astype(int)
  np.testing.assert_array_equal(index, expected)


@pytest.mark.parametrize(
  ("rate", "stored", "index", "mask"),
  [
    (1.0, 2.0, [0, 2, 4, 5, 5], [1, 1, 1, 0, 0]),
    (2.0, 2.0, [0, 1, 2, 3, 4], [1, 1, 1, 1, 1]),
    (0.3, 0.1, [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]),
  ],
)
def test_rate(rate, stored, index, mask):
  found, there = Sampling("rate", 5, rate).frames(6, stored)
  assert found.tolist() == index
  assert there.tolist() == [bool(m) for m in mask]


def test_tenths_of_a_second_are_whole_frames():
  index, _ = Sampling("rate", 100, 10.0).frames(999, 30.0)
  assert index.tolist() == list(range(0, 300, 3))


@given(SAMPLINGS, st.integers(1, 3000), RATES)
def test_frames_are_in_order_and_in_the_video(sampling, count, frame_rate):
  index, mask = sampling.frames(count, frame_rate)
  assert len(index) == len(mask) == sampling.num_frames
  assert index[0] == 0
  assert mask[0]
  assert (np.diff(index) >= 0).all()
  assert index.max() < count
  # Past the end there is nothing more.
  assert (np.diff(mask.astype(int)) <= 0).all()


@given(SAMPLINGS, st.integers(2, 3000), RATES, st.floats(0, 1))
def test_seconds_there_and_back(sampling, count, frame_rate, share):
  duration = np.float32(count / frame_rate)
  segment = np.array([[0.0, share * duration]], np.float32)
  places = sampling.to_positions(segment, count, frame_rate)
  assert places.dtype == np.float32
  step = sampling.seconds_per_position(
    np.array([count], np.int32), np.array([frame_rate], np.float32)
  )
  back = to_seconds(jnp.asarray(places), step, jnp.asarray([duration]))
  np.testing.assert_allclose(back, segment, rtol=1e-5, atol=1e-5)


@given(st.integers(2, 300), st.integers(1, 50), RATES)
def test_a_stored_frame_lies_at_its_position(num_frames, times, frame_rate):
  """Of a video in which every position is a whole frame."""
  count = (num_frames - 1) * times + 1
  sampling = Sampling("linspace", num_frames, 1.0)
  index, _ = sampling.frames(count, frame_rate)
  places = sampling.to_positions(
    (index / frame_rate).astype(np.float32), count, frame_rate
  )
  np.testing.assert_allclose(places, np.arange(num_frames), rtol=1e-5)


def test_a_video_of_one_frame_has_no_second_position():
  one = np.array([1], np.int32), np.array([2.0], np.float32)
  for sampling in (Sampling("linspace", 4, 1.0), Sampling("rate", 4, 5.0)):
    assert sampling.seconds_per_position(*one).tolist() == [0]
