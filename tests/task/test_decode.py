"""Decoding and soft-NMS against TensorFlow's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from unloc_jax.task import decode, sampling
from unloc_jax.task.pyramid import PyramidSpec

CASES, BOXES = 1500, 20


def random_cases(seed):
  """Segments on a coarse grid and few scores, so that there are many ties."""
  rng = np.random.default_rng(seed)
  start = rng.integers(0, 10, (CASES, BOXES))
  length = rng.integers(0, 8, (CASES, BOXES))
  segments = np.stack([start, start + length], -1).astype(np.float32)
  scores = rng.integers(0, 12, (CASES, BOXES)) / np.float32(12)
  fine = rng.random((CASES, BOXES)) < 0.5
  scores = np.where(fine, rng.random((CASES, BOXES)), scores)
  return segments, scores.astype(np.float32)


def theirs(segments, scores, sigma, threshold, count):
  zeros = np.zeros(len(segments), np.float32)
  boxes = np.stack([zeros, segments[:, 0], zeros + 1, segments[:, 1]], -1)
  indices, kept = tf.image.non_max_suppression_with_scores(
    boxes,
    scores,
    max_output_size=count,
    iou_threshold=0.5,
    score_threshold=threshold,
    soft_nms_sigma=sigma,
  )
  return indices.numpy(), kept.numpy()


def tiou(a, b):
  both = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
  union = (a[1] - a[0]) + (b[1] - b[0]) - both
  return both / union if min(a[1] - a[0], b[1] - b[0]) > 0 else 0.0


@pytest.mark.parametrize(
  ("sigma", "threshold", "count"),
  [(0.3, 0.001, 20), (0.5, 0.2, 7), (0.0, 0.001, 20)],
)
def test_soft_and_hard_nms_as_tensorflow(sigma, threshold, count):
  segments, scores = random_cases(seed=count)
  run = functools.partial(
    decode.soft_nms,
    sigma=sigma,
    score_threshold=threshold,
    max_detections=count,
  )
  indices, kept = map(np.asarray, jax.vmap(run)(segments, scores))
  same_order = 0
  for case in range(CASES):
    other, expected = theirs(
      segments[case], scores[case], sigma, threshold, count
    )
    found = indices[case] >= 0
    assert np.all(kept[case][~found] == 0)
    assert found.sum() == len(other)
    np.testing.assert_allclose(kept[case][found], expected, atol=2e-6)
    ours = indices[case][found]
    if not np.any(ours != other):
      same_order += 1
      continue
    # Scores lowered alike may differ in their last bit, and with it which of
    # two detections comes first: then both have one score at that place.
    place = np.flatnonzero(ours != other)[0]
    lowered = scores[case][other[place]]
    for taken in ours[:place]:
      overlap = tiou(segments[case][taken], segments[case][other[place]])
      lowered *= np.exp(-0.5 * overlap**2 / sigma)
    assert lowered == pytest.approx(kept[case][place], abs=2e-6)
  assert same_order > 0.98 * CASES


def test_ties_go_to_the_lower_index():
  segments = np.array([[0, 1], [5, 6], [0, 1], [8, 9]], np.float32)
  scores = np.array([0.5, 0.9, 0.5, 0.9], np.float32)
  indices, _ = decode.soft_nms(
    segments, scores, sigma=0.0, score_threshold=0.0, max_detections=4
  )
  np.testing.assert_array_equal(indices, [1, 3, 0, -1])


def test_per_query_and_class_agnostic():
  segments, scores = random_cases(seed=3)
  segments = segments[:4].reshape(2, 2, BOXES, 2)
  scores = scores[:4].reshape(2, 2, BOXES)
  options = {"sigma": 0.3, "score_threshold": 0.01, "max_detections": 9}
  chosen, kept = decode.detect_per_query(segments, scores, **options)
  assert chosen.shape == (2, 2, 9, 2)
  indices, alone = decode.soft_nms(segments[1, 0], scores[1, 0], **options)
  np.testing.assert_allclose(kept[1, 0], alone, rtol=1e-6)
  np.testing.assert_array_equal(chosen[1, 0], segments[1, 0][indices])
  chosen, kept, classes = decode.detect_class_agnostic(
    segments, scores, **options
  )
  flat = segments[1].swapaxes(0, 1).reshape(-1, 2)
  indices, alone = decode.soft_nms(flat, scores[1].T.reshape(-1), **options)
  np.testing.assert_allclose(kept[1], alone, rtol=1e-6)
  np.testing.assert_array_equal(chosen[1], flat[indices])
  np.testing.assert_array_equal(classes[1], np.asarray(indices) % 2)


def test_points_to_seconds():
  spec = PyramidSpec(4, ((0, 4), (4, float("inf"))))
  displacement = jnp.full((1, 1, 6, 2), 1.5)
  segments = decode.decode_segments(spec, displacement)
  np.testing.assert_array_equal(
    segments[0, 0],
    [[-1.5, 1.5], [-0.5, 2.5], [0.5, 3.5], [1.5, 4.5], [-3, 3], [-1, 5]],
  )
  seconds = sampling.to_seconds(segments, jnp.array([2.0]), jnp.array([7.0]))
  np.testing.assert_array_equal(seconds[0, 0, 3], [3, 7])
  np.testing.assert_array_equal(seconds[0, 0, 4], [0, 6])
