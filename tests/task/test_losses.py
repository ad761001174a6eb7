"""Losses against plain NumPy, and their limits."""

import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax.task import losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, 3, 5)).astype(np.float32) * 4
LABELS = RNG.random((2, 3, 5)) < 0.3
GIVEN = RNG.random((50, 2)).astype(np.float32) * 9
TARGET = RNG.random((50, 2)).astype(np.float32) * 9


def cross_entropy(logits, labels):
  chance = 1 / (1 + np.exp(-logits.astype(np.float64)))
  return -np.where(labels, np.log(chance), np.log1p(-chance))


def test_sigmoid_and_focal():
  expected = cross_entropy(LOGITS, LABELS)
  ours = losses.relevance_loss("sigmoid", LOGITS, LABELS, 2.0, 0.25)
  np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
  right = np.exp(-expected)
  balance = np.where(LABELS, 0.25, 0.75)
  ours = losses.relevance_loss("focal", LOGITS, LABELS, 2.0, 0.25)
  np.testing.assert_allclose(
    ours, (1 - right) ** 2 * expected * balance, rtol=1e-4, atol=1e-6
  )


def test_softmax():
  shifted = np.exp(LOGITS - LOGITS.max(axis=1, keepdims=True))
  expected = -np.log(shifted / shifted.sum(axis=1, keepdims=True)) * LABELS
  ours = losses.relevance_loss("softmax", LOGITS, LABELS, 2.0, 0.25)
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_softmax_or_none():
  labels = LABELS & (np.cumsum(LABELS, axis=1) == 1)
  none = np.zeros((2, 1, 5), np.float32)
  chance = np.exp(np.concatenate([LOGITS, none], axis=1))
  chance /= chance.sum(axis=1, keepdims=True)
  truth = np.concatenate([labels, ~labels.any(axis=1, keepdims=True)], axis=1)
  expected = -np.log(chance[truth.nonzero()])
  ours = losses.softmax_or_none(LOGITS, labels)
  assert ours.shape == LOGITS.shape
  np.testing.assert_allclose(
    np.sum(ours, axis=1).sum(), expected.sum(), rtol=1e-5
  )


def test_extreme_logits_stay_finite():
  logits = jnp.array([-1e4, -80.0, 0.0, 80.0, 1e4])
  for kind in ("focal", "sigmoid"):
    for label in (0.0, 1.0):
      grad = jax.grad(
        lambda x, kind=kind, label=label: jnp.sum(
          losses.relevance_loss(kind, x, jnp.full(5, label), 2.0, 0.25)
        )
      )(logits)
      assert np.all(np.isfinite(grad))


def intersection_union():
  start = np.minimum(GIVEN[:, 0], TARGET[:, 0])
  end = np.minimum(GIVEN[:, 1], TARGET[:, 1])
  union = np.maximum(GIVEN[:, 0], TARGET[:, 0]) + np.maximum(
    GIVEN[:, 1], TARGET[:, 1]
  )
  return start + end, union + 1e-6


def test_displacement_losses():
  both, union = intersection_union()
  centre = (GIVEN[:, 1] - GIVEN[:, 0]) / 2 - (TARGET[:, 1] - TARGET[:, 0]) / 2
  expected = {
    "iou": 1 - both / union,
    "l1": np.abs(GIVEN - TARGET).sum(axis=1) / union,
    "center": (centre / union) ** 2,
  }
  for kind, value in expected.items():
    ours = losses.displacement_loss(kind, GIVEN, TARGET)
    np.testing.assert_allclose(ours, value, rtol=1e-4, atol=1e-6)
  ours = losses.displacement_loss("0.5*l1 + 2*iou+center", GIVEN, TARGET)
  value = 0.5 * expected["l1"] + 2 * expected["iou"] + expected["center"]
  np.testing.assert_allclose(ours, value, rtol=1e-4)


def test_iou_is_that_of_the_segments():
  point = 20.0
  a = np.stack([point - GIVEN[:, 0], point + GIVEN[:, 1]])
  b = np.stack([point - TARGET[:, 0], point + TARGET[:, 1]])
  both = np.minimum(a[1], b[1]) - np.maximum(a[0], b[0])
  union = (a[1] - a[0]) + (b[1] - b[0]) - both
  np.testing.assert_allclose(
    losses.iou(GIVEN, TARGET), 1 - both / union, rtol=1e-4, atol=1e-6
  )


def test_masked_mean_counts_slots_of_the_mask():
  mask = RNG.random((2, 1, 5)) < 0.5
  chosen = np.broadcast_to(mask, LOGITS.shape)
  np.testing.assert_allclose(
    losses.masked_mean(jnp.asarray(LOGITS), jnp.asarray(mask)),
    LOGITS[chosen].mean(),
    rtol=1e-5,
  )
  assert losses.masked_mean(jnp.ones(3), jnp.zeros(3, bool)) == 0
