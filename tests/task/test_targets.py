"""Targets against plain loops, and their inverse."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.task import decode, targets
from unloc_jax.task.pyramid import PyramidSpec

INF = float("inf")
SPEC = PyramidSpec(32, ((0, 4), (4, 8), (8, 16), (16, INF)), radius=1.5)
SEGMENTS = st.lists(
  st.tuples(
    st.floats(-3, 34, width=32), st.floats(0, 36, width=32), st.integers(-1, 2)
  ),
  min_size=3,
  max_size=3,
)


@functools.partial(jax.jit, static_argnums=3)
def run(segments, query, pairs, num_queries):
  each = targets.segment_targets(SPEC, segments, query >= 0)
  labels = targets.query_labels(each, query, num_queries)
  return each, labels, targets.query_displacement(each, query, pairs)


def arrays(drawn):
  """[1, S, 2] segments and [1, S] queries."""
  start = np.array([s for s, _, _ in drawn], np.float32)
  length = np.array([n for _, n, _ in drawn], np.float32)
  segments = np.stack([start, start + length], -1)[None]
  return segments, np.array([[q for _, _, q in drawn]], np.int32)


def is_positive(point, segment):
  """The definition, for one point and one segment."""
  position, stride = SPEC.positions[point], SPEC.point_strides[point]
  low, high = SPEC.point_ranges[point]
  start, end = segment
  furthest = max(position - start, end - position)
  centre = (start + end) / np.float32(2)
  reach = np.float32(SPEC.radius * stride)
  inside = max(start, centre - reach) <= position <= min(end, centre + reach)
  return low <= furthest < high and inside


@hypothesis.given(SEGMENTS)
def test_positives_as_defined(drawn):
  segments, query = arrays(drawn)
  each, labels, _ = run(segments, query, np.arange(3)[None], 3)
  positive = np.array(
    [
      [q >= 0 and is_positive(p, s) for p in range(SPEC.num_points)]
      for s, q in zip(segments[0], query[0], strict=True)
    ]
  )
  np.testing.assert_array_equal(each.positive[0], positive)
  for q in range(3):
    expected = positive[query[0] == q].any(axis=0)
    np.testing.assert_array_equal(labels[0, q], expected)


@hypothesis.given(SEGMENTS)
def test_decoding_is_the_inverse(drawn):
  segments, query = arrays(drawn)
  each, _, _ = run(segments, query, np.arange(3)[None], 3)
  decoded = decode.decode_segments(SPEC, each.displacement)
  expected = np.broadcast_to(segments[:, :, None], decoded.shape)
  np.testing.assert_allclose(decoded, expected, atol=1e-4)


@pytest.mark.parametrize("level", range(4))
def test_every_level_finds_segments_of_its_range(level):
  low, high = SPEC.ranges[level]
  length = 1.5 * low + 1 if high == INF else (low + high) / 2 + 1
  start = 16 - length / 2
  segments = np.array([[[start, start + length]]], np.float32)
  query = np.zeros((1, 1), np.int32)
  each, _, (positive, displacement) = run(segments, query, query, 1)
  levels = np.log2(SPEC.point_strides[np.asarray(each.positive[0, 0])])
  assert level in levels
  decoded = decode.decode_segments(SPEC, displacement)[0, 0]
  found = np.asarray(decoded)[np.asarray(positive[0, 0])]
  np.testing.assert_allclose(found, np.tile(segments[0], (len(found), 1)))


@hypothesis.given(SEGMENTS)
def test_a_point_takes_the_nearest_start_and_end(drawn):
  segments, query = arrays(drawn)
  pairs = np.array([[1, -1, 0]], np.int32)
  _, _, (positive, displacement) = run(segments, query, pairs, 3)
  assert not np.any(positive[0, 1])
  for row, asked in ((0, 1), (2, 0)):
    for point in np.flatnonzero(positive[0, row]):
      own = segments[0][query[0] == asked]
      position = SPEC.positions[point]
      before = position - own[:, 0]
      after = own[:, 1] - position
      nearest = [before[before >= 0].min(), after[after >= 0].min()]
      np.testing.assert_allclose(
        displacement[0, row, point],
        np.array(nearest) / SPEC.point_strides[point],
        rtol=1e-6,
      )


def test_frame_labels_last_listed_counts():
  segments = jnp.array([[[0.0, 3.0], [2.0, 5.0], [0.0, 7.0]]])
  query = jnp.array([[1, 0, -1]])
  labels = targets.frame_labels(segments, query, 8, 3)
  expected = np.zeros((3, 8), bool)
  expected[1, :2] = True
  expected[0, 2:6] = True
  np.testing.assert_array_equal(labels[0], expected)
