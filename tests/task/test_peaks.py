"""Curves of similarity -> segments: a known moment, and what always holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unloc_jax.task import peaks
from unloc_jax.task.sampling import frame_edges

CURVES = hnp.arrays(
  np.float64,
  st.tuples(st.integers(1, 3), st.integers(1, 40)),
  # Not so fine that adding a constant would round it away.
  elements=st.integers(-1000, 1000).map(lambda value: value / 64),
)


def edges_of(count: int, duration: float) -> np.ndarray:
  return frame_edges(np.arange(count) * (duration / count), duration)


def test_a_known_moment_is_found_whatever_frames_have_in_common():
  times = np.arange(60) / 2
  rng = np.random.default_rng(0)
  # The end of the video is like any text, and more so than the moment.
  common = np.where(times > 22, 3.0, 0.0)
  pool = common + 0.1 * rng.standard_normal((9, 60))
  moments = np.array([[5.0, 12.0], [14.0, 17.0]])
  inside = (times >= moments[:, :1]) & (times < moments[:, 1:])
  asked = common + inside + 0.1 * rng.standard_normal((2, 60))
  curves, rest = peaks.calibrated(asked, np.concatenate([asked, pool]), 0.5)
  assert rest.shape == (11, 60)
  found, scores = peaks.segments(curves, frame_edges(times, 30.0))
  np.testing.assert_allclose(found[:, 0], moments, atol=0.76)
  assert (scores[:, 0] > 0.8).all()


def test_a_pool_that_says_nothing_of_a_text_leaves_its_moment():
  """As of towers to which the other texts are strange words."""
  rng = np.random.default_rng(1)
  pool = np.repeat(2 * rng.standard_normal((9, 10)), 6, axis=1)
  asked = np.zeros((1, 60))
  asked[0, 20:30] = 1.0
  curves, _ = peaks.calibrated(asked, pool, 0.5)
  found, _ = peaks.segments(curves, frame_edges(np.arange(60) / 2, 30.0))
  np.testing.assert_allclose(found[0, 0], [9.75, 14.75], atol=0.3)


@given(CURVES, st.floats(0.5, 1000))
def test_segments_are_inside_the_video_sorted_and_none_is_empty(
  curves, duration
):
  count = curves.shape[1]
  found, scores = peaks.segments(curves, edges_of(count, duration))
  for curve, rows, values in zip(curves, found, scores, strict=True):
    exists = values > 0
    kept = rows[exists]
    assert (np.diff(values) <= 0).all()
    assert (kept >= 0).all()
    assert (kept <= np.float32(duration)).all()
    assert (kept[:, 0] < kept[:, 1]).all()
    assert len(np.unique(kept, axis=0)) == len(kept)
    # The whole video is among them, and what is higher than the rest.
    assert (len(kept) > 1) == (np.ptp(curve) > 0)
    assert not rows[~exists].any()


@given(CURVES, st.integers(-100, 100))
def test_a_constant_changes_nothing(curves, constant):
  edges = edges_of(curves.shape[1], 7.0)
  found, scores = peaks.segments(curves, edges)
  again, same = peaks.segments(curves + constant, edges)
  np.testing.assert_allclose(scores, same, atol=1e-5)
  # Of equal scores rounding decides which is first.
  for rows, others in zip(found, again, strict=True):
    if rows[-1, 1] == 0:  # Else of equal ones others may have been kept.
      np.testing.assert_array_equal(
        np.unique(rows, axis=0), np.unique(others, axis=0)
      )
  pool = np.concatenate([curves, 1 - 2 * curves])
  for one, other in zip(
    peaks.calibrated(curves, pool, 0.5),
    peaks.calibrated(curves + constant, pool + constant, 0.5),
    strict=True,
  ):
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_one_frame_is_the_whole_video():
  found, scores = peaks.segments(np.ones((1, 1)), np.array([0.0, 3.0]))
  assert found[0, 0].tolist() == [0, 3]
  assert scores[0, 0] == pytest.approx(0.5)
  assert not scores[0, 1:].any()
