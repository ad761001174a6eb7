"""Per-element losses, and the one helper that masks and averages them.

Formulas: spec section "Losses" (paper section 3.4).
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

_COUNT_EPSILON = 1e-8
_UNION_EPSILON = 1e-6


def masked_mean(
  values: jax.Array, mask: jax.Array, count: jax.Array | None = None
) -> jax.Array:
  """Mean of `values` where `mask` (broadcastable to them) is set.

  Args:
    values: Any shape.
    mask: bool.
    count: What their sum is divided by; by default how many are set.
  """
  weights = jnp.broadcast_to(mask, values.shape).astype(values.dtype)
  count = jnp.sum(weights) if count is None else count
  return jnp.sum(values * weights) / (count + _COUNT_EPSILON)


def relevance_loss(
  kind: str, logits: jax.Array, labels: jax.Array, gamma: float, alpha: float
) -> jax.Array:
  """Relevance loss of every logit [B, Q, P], same shape.

  "softmax" is the cross entropy over Q, as shares that sum over it; "focal" is
  of Lin et al., 2017.
  """
  labels = labels.astype(logits.dtype)
  if kind == "softmax":
    return -labels * jax.nn.log_softmax(logits, axis=1)
  cross_entropy = optax.sigmoid_binary_cross_entropy(logits, labels)
  if kind == "sigmoid":
    return cross_entropy
  probability = jnp.exp(-cross_entropy)
  balance = alpha * labels + (1 - alpha) * (1 - labels)
  return (1 - probability) ** gamma * cross_entropy * balance


def softmax_or_none(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Cross entropy over Q texts and none of them, whose logit is 0.

  Logits and labels, of which at most one is set, are [B, Q, P]; so are the
  shares, which sum over Q.
  """
  normaliser = jax.nn.logsumexp(logits, axis=1, keepdims=True)
  normaliser = jnp.logaddexp(normaliser, 0.0) / logits.shape[1]
  return normaliser - labels.astype(logits.dtype) * logits


def _union(displacement: jax.Array, target: jax.Array) -> jax.Array:
  """Length that two segments seen from one point cover, [..., 2] -> [...]."""
  return jnp.sum(jnp.maximum(displacement, target), axis=-1) + _UNION_EPSILON


def iou(displacement: jax.Array, target: jax.Array) -> jax.Array:
  """1 - IoU of segments seen from one point, [..., 2] -> [...]."""
  intersection = jnp.sum(jnp.minimum(displacement, target), axis=-1)
  return 1 - intersection / _union(displacement, target)


def l1(displacement: jax.Array, target: jax.Array) -> jax.Array:
  """Absolute error over the union, [..., 2] -> [...]."""
  error = jnp.sum(jnp.abs(displacement - target), axis=-1)
  return error / _union(displacement, target)


def center(displacement: jax.Array, target: jax.Array) -> jax.Array:
  """Squared distance of the centres over the union, [..., 2] -> [...]."""
  offset = (displacement[..., 1] - displacement[..., 0]) - (
    target[..., 1] - target[..., 0]
  )
  return (0.5 * offset / _union(displacement, target)) ** 2


DISPLACEMENT_LOSSES = {"iou": iou, "l1": l1, "center": center}


def displacement_loss(
  weighted: str, displacement: jax.Array, target: jax.Array
) -> jax.Array:
  """Weighted sum such as "0.5*l1+iou" per point, [..., 2] -> [...]."""
  total: Any = 0
  for term in weighted.replace(" ", "").split("+"):
    weight, _, name = term.rpartition("*")
    loss = DISPLACEMENT_LOSSES[name](displacement, target)
    total += float(weight or 1) * loss
  return total
