"""Losses of a batch against the sums they stand for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.task import losses
from unloc_jax.task.objective import (
  LossSpec,
  compute_losses,
  displacement_pairs,
  make_targets,
)
from unloc_jax.task.predictions import Predictions
from unloc_jax.task.pyramid import PyramidSpec
from unloc_jax.task.tasks import get_task

SPEC = PyramidSpec(8, ((0, 4), (4, float("inf"))))
P = SPEC.num_points
BATCH = {
  "frame_mask": jnp.arange(8) < jnp.array([[8], [6], [8]]),
  "example_mask": jnp.array([True, True, False]),
  "query_mask": jnp.array([[True, True], [True, False], [False, False]]),
  "segments": jnp.array(
    [
      [[0.0, 3.0], [2.0, 7.0]],
      [[1.0, 4.0], [0.0, 0.0]],
      [[0.0, 0.0], [0.0, 0.0]],
    ]
  ),
  "segment_query": jnp.array([[0, 1], [0, -1], [-1, -1]]),
}
RNG = np.random.default_rng(0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def run(task_name, num_classes, relevance, displacement, batch):
  task = get_task(task_name)
  targets = make_targets(task, SPEC, batch, num_classes)
  predictions = Predictions(relevance, displacement)
  return targets, compute_losses(task, LossSpec(), predictions, targets)


def predictions(num_texts, num_pairs):
  relevance = RNG.normal(size=(3, num_texts, P)).astype(np.float32)
  displacement = RNG.random((3, num_pairs, P, 2)).astype(np.float32)
  return relevance, displacement


def expected(relevance, displacement, targets, slots):
  """The two losses by explicit selection; slots: bool [B, Q, P]."""
  focal = losses.relevance_loss("focal", relevance, targets.labels, 2.0, 0.25)
  focal = np.asarray(focal)
  iou = np.asarray(losses.iou(displacement, targets.displacement))
  positive = np.asarray(targets.positive)
  return focal[slots], iou[positive].mean()


def test_captions_of_other_videos_are_negatives():
  relevance, displacement = predictions(6, 2)
  targets, ours = run("moment_retrieval", 0, relevance, displacement, BATCH)
  labels = np.asarray(targets.labels)
  for video in range(3):
    for query in range(6):
      if query // 2 != video:
        assert not labels[video, query].any()
  points = np.asarray(SPEC.point_mask(BATCH["frame_mask"]))
  points = points & np.asarray(BATCH["example_mask"])[:, None]
  texts = np.asarray(BATCH["query_mask"]).reshape(1, 6, 1)
  focal, iou = expected(
    relevance, displacement, targets, points[:, None] & texts
  )
  np.testing.assert_allclose(ours["relevance"], focal.mean(), rtol=1e-5)
  np.testing.assert_allclose(ours["displacement"], iou, rtol=1e-5)
  np.testing.assert_allclose(ours["total"], 10 * focal.mean() + iou, rtol=1e-5)


def test_matched_captions_only_meet_their_video():
  relevance, displacement = predictions(2, 2)
  targets, ours = run("highlight_retrieval", 0, relevance, displacement, BATCH)
  points = np.asarray(SPEC.point_mask(BATCH["frame_mask"]))
  slots = points[:, None] & np.asarray(BATCH["query_mask"])[..., None]
  focal, iou = expected(relevance, displacement, targets, slots)
  np.testing.assert_allclose(ours["relevance"], focal.mean(), rtol=1e-5)
  np.testing.assert_allclose(ours["displacement"], iou, rtol=1e-5)


def test_classes_are_summed_over_slots_of_videos():
  relevance, displacement = predictions(4, 2)
  targets, ours = run(
    "temporal_localization", 4, relevance, displacement, BATCH
  )
  points = np.asarray(SPEC.point_mask(BATCH["frame_mask"]))
  points = points & np.asarray(BATCH["example_mask"])[:, None]
  slots = np.broadcast_to(points[:, None], (3, 4, P))
  focal, iou = expected(relevance, displacement, targets, slots)
  np.testing.assert_allclose(
    ours["relevance"], focal.sum() / points.sum(), rtol=1e-5
  )
  np.testing.assert_allclose(ours["displacement"], iou, rtol=1e-5)


@pytest.mark.parametrize("name", ["action_segmentation", "classification"])
def test_tasks_without_displacement(name):
  task = get_task(name)
  assert displacement_pairs(task, BATCH) is None
  spec = PyramidSpec(8)
  targets = make_targets(task, spec, BATCH, 3)
  points = 1 if name == "classification" else 8
  assert targets.labels.shape == (3, 3, points)
  assert targets.positive is None
  given = Predictions(jnp.zeros((3, 3, points)), None)
  loss = LossSpec(relevance="sigmoid", relevance_weight=1.0)
  ours = compute_losses(task, loss, given, targets)
  # Three classes, each log 2 at a logit of 0.
  np.testing.assert_allclose(ours["total"], 3 * np.log(2), rtol=1e-6)


def test_pairs_of_classes_are_asked_once():
  batch = {"segment_query": jnp.array([[2, 0, 2, -1, -1]])}
  pairs = displacement_pairs(get_task("temporal_localization"), batch)
  np.testing.assert_array_equal(pairs, [[2, 0, -1, -1, -1]])
