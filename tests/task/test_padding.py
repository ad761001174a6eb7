"""Padding of a batch, whatever stands in it, is no part of the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.task.objective import (
  LossSpec,
  among,
  compute_losses,
  displacement_pairs,
  draw_classes,
  make_targets,
)
from unloc_jax.task.predictions import Predictions
from unloc_jax.task.pyramid import PyramidSpec
from unloc_jax.task.tasks import get_task

SPEC = PyramidSpec(8, ((0, 2), (2, float("inf"))))
B, Q, S, T, C = 2, 3, 4, 8, 5


def random_batch(rng, classes):
  """Two videos; the last caption and segment of each are padding."""
  start = rng.uniform(0, 4, (B, S)).astype(np.float32)
  ends = start + rng.uniform(0.5, 4, (B, S)).astype(np.float32)
  owner = rng.integers(0, C if classes else Q - 1, (B, S)).astype(np.int32)
  owner[:, -1] = -1
  return {
    "frame_mask": np.arange(T)[None] < np.array([[T], [T - 3]]),
    "query_mask": np.arange(Q)[None] < np.array([[Q - 1], [Q - 1]]),
    "segments": np.stack([start, ends], -1),
    "segment_query": owner,
    "example_mask": np.ones(B, bool),
  }


def losses(task, batch, relevance, displacement):
  targets = make_targets(task, SPEC, batch, C)
  predictions = Predictions(jnp.asarray(relevance), jnp.asarray(displacement))
  found = compute_losses(task, LossSpec(), predictions, targets)
  return {name: float(value) for name, value in found.items()}


def predictions_for(rng, task, batch):
  num_videos, points = len(batch["example_mask"]), SPEC.num_points
  if task.texts == "classes":
    texts, pairs = C, S
  else:
    pairs = Q
    texts = Q if task.train_pairing == "matched" else num_videos * Q
  relevance = rng.normal(size=(num_videos, texts, points))
  displacement = rng.uniform(0.1, 3, (num_videos, pairs, points, 2))
  return relevance.astype(np.float32), displacement.astype(np.float32)


TASKS = (
  "moment_retrieval",
  "matched_moment_retrieval",
  "temporal_localization",
)


@pytest.mark.parametrize("name", TASKS)
def test_what_is_said_of_padding_does_not_count(name):
  rng = np.random.default_rng(0)
  task = get_task(name)
  batch = random_batch(rng, task.texts == "classes")
  relevance, displacement = predictions_for(rng, task, batch)
  before = losses(task, batch, relevance, displacement)
  assert before["displacement"] > 0
  changed = relevance.copy()
  points = np.asarray(SPEC.point_mask(batch["frame_mask"]))
  changed[~np.broadcast_to(points[:, None], changed.shape)] = 50.0
  if task.texts == "captions":
    asked = batch["query_mask"]
    if task.train_pairing == "all":
      changed[:, ~asked.reshape(-1)] = 50.0
    else:
      changed[~asked] = 50.0
    displacement = np.where(asked[..., None, None], displacement, 99.0)
  assert losses(task, batch, changed, displacement) == before


@pytest.mark.parametrize("name", TASKS)
def test_an_example_that_is_none_does_not_count(name):
  """A third row of padding gives the loss of the two alone."""
  rng = np.random.default_rng(1)
  task = get_task(name)
  batch = random_batch(rng, task.texts == "classes")
  empty = {key: np.zeros_like(value[:1]) for key, value in batch.items()}
  empty["segment_query"] -= 1
  longer = {k: np.concatenate([v, empty[k]]) for k, v in batch.items()}
  relevance, displacement = predictions_for(rng, task, longer)
  alone = relevance[:B]
  if task.texts == "captions" and task.train_pairing == "all":
    alone = alone[:, : B * Q]
  expected = losses(task, batch, alone, displacement[:B])
  got = losses(task, longer, relevance, displacement)
  assert got == pytest.approx(expected, rel=1e-6)


def test_drawn_classes_are_numbered_by_their_place():
  """Targets of some classes are those of all, at these classes."""
  rng = np.random.default_rng(0)
  task = get_task("temporal_localization")
  batch = random_batch(rng, classes=True)
  drawn = np.array([3, 0])
  some = among(batch, jnp.asarray(drawn))
  for before, after in zip(
    batch["segment_query"].ravel(),
    np.asarray(some["segment_query"]).ravel(),
    strict=True,
  ):
    assert after == (list(drawn).index(before) if before in drawn else -1)
  whole = make_targets(task, SPEC, batch, C)
  part = make_targets(task, SPEC, some, len(drawn))
  np.testing.assert_array_equal(part.labels, np.asarray(whole.labels)[:, drawn])
  pairs = displacement_pairs(task, some)
  assert np.asarray(pairs).max() < len(drawn)


def test_each_video_is_asked_for_its_own_classes_first():
  """Its targets are those of all classes, at the classes drawn for it."""
  rng = np.random.default_rng(0)
  task = get_task("temporal_localization")
  batch = random_batch(rng, classes=True)
  batch["segment_query"] = np.where(batch["segment_query"] > 1, 3, -1)
  drawn = draw_classes(batch, jax.random.key(0), C, 2, own=True)
  for query, row in zip(batch["segment_query"], np.asarray(drawn), strict=True):
    assert len(set(row)) == 2
    assert row[0] == 3 or 3 not in query
  some = among(batch, drawn)
  whole, part = (
    make_targets(task, SPEC, each, count)
    for each, count in ((batch, C), (some, 2))
  )
  rows = np.asarray(drawn)[:, :, None]
  np.testing.assert_array_equal(
    part.labels, np.take_along_axis(np.asarray(whole.labels), rows, axis=1)
  )
  np.testing.assert_array_equal(
    np.sum(part.positive, axis=1), np.sum(whole.positive, axis=1)
  )
  others = [
    draw_classes(batch, jax.random.key(seed), C, 2, own=True)[:, 1]
    for seed in range(20)
  ]
  assert len(np.unique(others)) > 2  # The rest is drawn anew each step.
