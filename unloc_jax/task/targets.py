"""Segments -> what the heads should say at every pyramid point.

Segments are in units of sampled frames (0 .. T-1); spec section "Targets",
after FCOS and ActionFormer. `decode.decode_segments` is the inverse.
"""

import flax.struct
import jax
import jax.numpy as jnp

from unloc_jax.task.pyramid import PyramidSpec


@flax.struct.dataclass
class SegmentTargets:
  """Targets of every segment by itself.

  Attributes:
    positive: bool [..., S, P], points that must find the segment.
    displacement: float32 [..., S, P, 2], distance from the point to the
      segment's start and end in strides of the point's level; negative outside.
  """

  positive: jax.Array
  displacement: jax.Array


def segment_targets(
  spec: PyramidSpec, segments: jax.Array, valid: jax.Array
) -> SegmentTargets:
  """Labels the points of segments [..., S, 2]; valid [..., S], no padding."""
  start, end = segments[..., None, 0], segments[..., None, 1]
  displacement = jnp.stack([spec.positions - start, end - spec.positions], -1)
  low, high = spec.point_ranges[:, 0], spec.point_ranges[:, 1]
  furthest = jnp.max(displacement, axis=-1)
  in_range = (furthest >= low) & (furthest < high)
  centre = (start + end) / 2
  reach = spec.radius * spec.point_strides
  in_reach = (spec.positions >= jnp.maximum(start, centre - reach)) & (
    spec.positions <= jnp.minimum(end, centre + reach)
  )
  return SegmentTargets(
    positive=in_range & in_reach & valid[..., None],
    displacement=displacement / spec.point_strides[:, None],
  )


def query_labels(
  targets: SegmentTargets, segment_query: jax.Array, num_queries: int
) -> jax.Array:
  """Multi-hot relevance labels of every query.

  Args:
    targets: Of [B, S] segments.
    segment_query: int32 [B, S], the query each segment answers, -1 for none.
    num_queries: Q.

  Returns:
    bool [B, Q, P], True where any segment of the query is positive.
  """
  owner = jax.nn.one_hot(segment_query, num_queries, dtype=jnp.float32)
  hits = jnp.einsum("bsq,bsp->bqp", owner, targets.positive.astype(jnp.float32))
  return hits > 0


def query_displacement(
  targets: SegmentTargets, segment_query: jax.Array, queries: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Displacement targets of chosen (video, query) pairs.

  Where a query has several segments, a point takes the smallest distance to
  a start before it and the smallest distance to an end after it.

  Args:
    targets: Of [B, S] segments.
    segment_query: int32 [B, S], -1 for none.
    queries: int32 [B, M], chosen queries of each video, -1 for none.

  Returns:
    bool [B, M, P], positive points; float32 [B, M, P, 2], displacements, zero
    where there is no such start or end.
  """
  own = segment_query[:, None, :] == queries[:, :, None]
  own &= (queries >= 0)[:, :, None]  # [B, M, S]
  positive = jnp.any(own[..., None] & targets.positive[:, None], axis=2)
  distance = targets.displacement[:, None]  # [B, 1, S, P, 2]
  distance = jnp.where(
    own[..., None, None] & (distance >= 0), distance, jnp.inf
  )
  nearest = jnp.min(distance, axis=2)
  return positive, jnp.where(jnp.isfinite(nearest), nearest, 0.0)


def _inside(segments: jax.Array, num_frames: int) -> jax.Array:
  """Which of T frames segments [B, S, 2] contain, bool [B, S, T]."""
  position = jnp.arange(num_frames, dtype=jnp.float32)
  start, end = segments[..., None, 0], segments[..., None, 1]
  return (position >= start) & (position <= end)


def frame_tags(
  segments: jax.Array,
  segment_query: jax.Array,
  num_frames: int,
  num_classes: int,
) -> jax.Array:
  """All classes whose segments contain a frame, bool [B, C, T]."""
  # Padding goes to a row of its own, which is cut off.
  row = jnp.where(segment_query >= 0, segment_query, num_classes)
  video = jnp.arange(segments.shape[0])[:, None]
  tags = jnp.zeros((segments.shape[0], num_classes + 1, num_frames), bool)
  inside = _inside(segments, num_frames)
  return tags.at[video, row].max(inside)[:, :num_classes]


def frame_labels(
  segments: jax.Array,
  segment_query: jax.Array,
  num_frames: int,
  num_classes: int,
) -> jax.Array:
  """One-hot class of every frame for segmentation, bool [B, C, T].

  Where segments overlap the last one listed counts; all False is background.
  """
  inside = _inside(segments, num_frames) & (segment_query >= 0)[..., None]
  order = jnp.arange(segment_query.shape[-1])[:, None]
  last = jnp.max(jnp.where(inside, order, -1), axis=-2)  # [B, T]
  label = jnp.take_along_axis(segment_query, jnp.maximum(last, 0), axis=-1)
  label = jnp.where(last >= 0, label, -1)
  return label[:, None, :] == jnp.arange(num_classes)[:, None]
