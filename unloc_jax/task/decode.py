"""Displacements at pyramid points -> scored segments; soft-NMS, jitted.

Spec section "Decoding". Everything here has static shapes: a detection that
does not exist has score 0.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from unloc_jax.task.pyramid import PyramidSpec

HARD_NMS_IOU = 0.5
_jit = functools.partial(
  jax.jit, static_argnames=("sigma", "score_threshold", "max_detections")
)


def decode_segments(spec: PyramidSpec, displacement: jax.Array) -> jax.Array:
  """Displacements [..., P, 2] in strides -> segments [..., P, 2] in frames."""
  distance = displacement * spec.point_strides[:, None]
  sign = jnp.array([-1.0, 1.0], displacement.dtype)
  return jnp.asarray(spec.positions)[:, None] + sign * distance


def tiou(segment: jax.Array, segments: jax.Array) -> jax.Array:
  """Temporal IoU of one segment [2] with many [N, 2]; 0 for empty ones."""
  start, end = segments[:, 0], segments[:, 1]
  overlap = jnp.minimum(segment[1], end) - jnp.maximum(segment[0], start)
  overlap = jnp.maximum(overlap, 0.0)
  length, lengths = segment[1] - segment[0], end - start
  union = length + lengths - overlap
  exists = (length > 0) & (lengths > 0)
  return jnp.where(exists, overlap / jnp.where(exists, union, 1.0), 0.0)


@_jit
def soft_nms(
  segments: jax.Array,
  scores: jax.Array,
  *,
  sigma: float,
  score_threshold: float,
  max_detections: int,
) -> tuple[jax.Array, jax.Array]:
  """Gaussian soft-NMS (Bodla et al., 2017) of one list of segments.

  Takes the best score, lowers every other by exp(-0.5 tIoU^2 / sigma), and
  again, ties to the lower index: what
  `tf.image.non_max_suppression_with_scores` gives.

  Args:
    segments: float32 [N, 2].
    scores: float32 [N].
    sigma: Width of the Gaussian; 0 means hard NMS at tIoU 0.5.
    score_threshold: Only scores above it are ever taken.
    max_detections: K.

  Returns:
    int32 [K], indices of the detections, best first, and float32 [K], their
    lowered scores; index -1 and score 0 where there are fewer than K.
  """

  def take_best(remaining: jax.Array, _: None) -> tuple[jax.Array, Any]:
    best = jnp.argmax(remaining)
    score = remaining[best]
    found = score > score_threshold
    overlap = tiou(segments[best], segments)
    if sigma > 0:
      decay = jnp.exp(-0.5 * overlap**2 / sigma)
    else:
      decay = jnp.where(overlap > HARD_NMS_IOU, 0.0, 1.0)
    lowered = (remaining * decay).at[best].set(-jnp.inf)
    lowered = jnp.where(found, lowered, remaining)
    index = jnp.where(found, best, -1).astype(jnp.int32)
    return lowered, (index, jnp.where(found, score, 0.0))

  _, (indices, kept) = jax.lax.scan(take_best, scores, None, max_detections)
  return indices, kept


def _detect(
  segments: jax.Array, scores: jax.Array, **nms_options: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Soft-NMS of [N, 2] segments -> segments [K, 2], scores, indices [K]."""
  indices, kept = soft_nms(segments, scores, **nms_options)
  chosen = jnp.where(indices[:, None] >= 0, segments[indices], 0.0)
  return chosen, kept, indices


@_jit
def detect_per_query(
  segments: jax.Array, scores: jax.Array, **nms_options: Any
) -> tuple[jax.Array, jax.Array]:
  """Soft-NMS of every (video, query) by itself.

  Args:
    segments: float32 [B, Q, P, 2], seconds.
    scores: float32 [B, Q, P].
    **nms_options: As of `soft_nms`.

  Returns:
    float32 [B, Q, K, 2] segments and float32 [B, Q, K] scores, best first.
  """
  detect: Callable[..., Any] = functools.partial(_detect, **nms_options)
  chosen, kept, _ = jax.vmap(jax.vmap(detect))(segments, scores)
  return chosen, kept


@_jit
def detect_class_agnostic(
  segments: jax.Array, scores: jax.Array, **nms_options: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Soft-NMS over all classes of a video together.

  Candidates are taken point by point, then class by class, which settles ties.

  Args:
    segments: float32 [B, C, P, 2], seconds.
    scores: float32 [B, C, P].
    **nms_options: As of `soft_nms`.

  Returns:
    float32 [B, K, 2] segments, float32 [B, K] scores and int32 [B, K] classes.
  """
  num_videos, num_classes, num_points = scores.shape
  flat = (num_videos, num_points * num_classes)
  segments = jnp.swapaxes(segments, 1, 2).reshape(*flat, 2)
  scores = jnp.swapaxes(scores, 1, 2).reshape(flat)
  detect: Callable[..., Any] = functools.partial(_detect, **nms_options)
  chosen, kept, indices = jax.vmap(detect)(segments, scores)
  return chosen, kept, jnp.where(indices >= 0, indices % num_classes, -1)
