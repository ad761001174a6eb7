"""Per-element losses, and the one helper that masks and averages them.

Formulas: spec section "Losses" (paper section 3.4).
"""

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


def focal(
  logits: jax.Array, labels: jax.Array, gamma: float, alpha: float
) -> jax.Array:
  """Sigmoid focal loss of every logit (Lin et al., 2017), same shape."""
  labels = labels.astype(logits.dtype)
  cross_entropy = optax.sigmoid_binary_cross_entropy(logits, labels)
  probability = jnp.exp(-cross_entropy)
  balance = alpha * labels + (1 - alpha) * (1 - labels)
  return (1 - probability) ** gamma * cross_entropy * balance


def sigmoid(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Sigmoid cross entropy of every logit, same shape."""
  return optax.sigmoid_binary_cross_entropy(logits, labels.astype(logits.dtype))


def softmax(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Cross entropy over the texts [B, Q, P], as shares that sum over Q."""
  labels = labels.astype(logits.dtype)
  return -labels * jax.nn.log_softmax(logits, axis=1)


def relevance_loss(
  kind: str, logits: jax.Array, labels: jax.Array, gamma: float, alpha: float
) -> jax.Array:
  """Relevance loss of every logit [B, Q, P]; kind: one of RELEVANCE_KINDS."""
  if kind == "focal":
    return focal(logits, labels, gamma, alpha)
  if kind == "softmax":
    return softmax(logits, labels)
  return sigmoid(logits, labels)


RELEVANCE_KINDS = ("focal", "sigmoid", "softmax")


def _intersection_union(
  displacement: jax.Array, target: jax.Array
) -> tuple[jax.Array, jax.Array]:
  return (
    jnp.sum(jnp.minimum(displacement, target), axis=-1),
    jnp.sum(jnp.maximum(displacement, target), axis=-1),
  )


def iou(displacement: jax.Array, target: jax.Array) -> jax.Array:
  """1 - IoU of segments seen from one point, [..., 2] -> [...]."""
  intersection, union = _intersection_union(displacement, target)
  return 1 - intersection / (union + _UNION_EPSILON)


def l1(displacement: jax.Array, target: jax.Array) -> jax.Array:
  """Absolute error over the union, [..., 2] -> [...]."""
  _, union = _intersection_union(displacement, target)
  error = jnp.sum(jnp.abs(displacement - target), axis=-1)
  return error / (union + _UNION_EPSILON)


def center(displacement: jax.Array, target: jax.Array) -> jax.Array:
  """Squared distance of the centres over the union, [..., 2] -> [...]."""
  _, union = _intersection_union(displacement, target)
  offset = (displacement[..., 1] - displacement[..., 0]) - (
    target[..., 1] - target[..., 0]
  )
  return (0.5 * offset / (union + _UNION_EPSILON)) ** 2


DISPLACEMENT_LOSSES = {"iou": iou, "l1": l1, "center": center}


def parse_weighted_sum(text: str) -> tuple[tuple[float, str], ...]:
  """Reads "iou" or "0.5*l1+1.0*iou" as ((weight, name), ...).

  Raises:
    ValueError: A name is not one of DISPLACEMENT_LOSSES, or a weight is not a
      number.
  """
  terms = []
  for term in text.replace(" ", "").split("+"):
    weight, star, name = term.rpartition("*")
    if name not in DISPLACEMENT_LOSSES:
      raise ValueError(
        f"loss.displacement: {name!r} in {text!r} is not one of "
        f"{', '.join(DISPLACEMENT_LOSSES)}"
      )
    try:
      terms.append((float(weight) if star else 1.0, name))
    except ValueError:
      raise ValueError(
        f"loss.displacement: {weight!r} in {text!r} is not a number"
      ) from None
  return tuple(terms)


def displacement_loss(
  kind: str, displacement: jax.Array, target: jax.Array
) -> jax.Array:
  """Weighted sum of displacement losses per point, [..., 2] -> [...]."""
  terms = parse_weighted_sum(kind)
  return sum(  # type: ignore[return-value]
    weight * DISPLACEMENT_LOSSES[name](displacement, target)
    for weight, name in terms
  )
