"""What training minimises: predictions and a batch -> losses.

Joins `targets` (what the heads should say) and `losses` (how wrong they are)
according to the values of the `Task`.
"""

import dataclasses
from collections.abc import Mapping

import flax.struct
import jax
import jax.numpy as jnp

from unloc_jax.task import losses
from unloc_jax.task import targets as targets_lib
from unloc_jax.task.predictions import Predictions
from unloc_jax.task.pyramid import PyramidSpec
from unloc_jax.task.tasks import Task

Batch = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class LossSpec:
  """How the parts of the loss are computed and weighted; see `config.loss`."""

  relevance: str = "focal"
  displacement: str = "iou"
  relevance_weight: float = 10.0
  focal_gamma: float = 2.0
  focal_alpha: float = 0.25


def displacement_pairs(task: Task, batch: Batch) -> jax.Array | None:
  """The (video, text) pairs whose displacement a train step needs.

  Returns:
    int32 [B, M], index of a text per pair, -1 for none; None means all texts,
    where each video only meets its own.
  """
  if not task.has_displacement:
    return None
  if task.texts == "classes":
    query = batch["segment_query"]
    earlier = jnp.tril(jnp.ones((query.shape[1],) * 2, bool), k=-1)
    same = query[:, :, None] == query[:, None, :]
    return jnp.where(jnp.any(same & earlier, axis=-1), -1, query)
  if task.train_pairing == "matched":
    return None
  num_videos, num_captions = batch["query_mask"].shape
  index = jnp.arange(num_videos * num_captions, dtype=jnp.int32)
  return index.reshape(num_videos, num_captions)


def draw_classes(
  batch: Batch, key: jax.Array, num_classes: int, count: int, own: bool
) -> jax.Array:
  """Some of C classes: the same for every video, or each video's own and more.

  Returns:
    int32 [C'], or [B, C'] of which a video's own come first.
  """
  if not own:
    return jax.random.permutation(key, num_classes)[:count]
  query = batch["segment_query"]
  shown = jnp.any(query[..., None] == jnp.arange(num_classes), axis=1)
  _, drawn = jax.lax.top_k(shown + jax.random.uniform(key, shown.shape), count)
  return drawn


def among(batch: Batch, drawn: jax.Array) -> dict[str, jax.Array]:
  """The batch as if only the classes `drawn`, int32 [C'] or [B, C'], existed.

  They are numbered by their place there; segments of others are padding.
  """
  same = batch["segment_query"][..., None] == drawn[..., None, :]
  place = jnp.argmax(same, axis=-1).astype(jnp.int32)
  query = jnp.where(jnp.any(same, axis=-1), place, -1)
  return {**batch, "segment_query": query}


@flax.struct.dataclass
class Targets:
  """What the heads should say, for the pairs they speak of.

  Attributes:
    labels: bool [B, Q, P], relevance.
    mask: bool, broadcastable to labels; False = no slot of the loss.
    positive: bool [B, M, P], points whose displacement counts; None where
      there is no displacement.
    displacement: float32 [B, M, P, 2] in strides, or None.
  """

  labels: jax.Array
  mask: jax.Array
  positive: jax.Array | None = None
  displacement: jax.Array | None = None


def make_targets(
  task: Task, spec: PyramidSpec, batch: Batch, num_classes: int
) -> Targets:
  """Targets of a batch; `num_classes` has no effect on captions."""
  query = batch["segment_query"]
  exists = batch["example_mask"][:, None, None]
  if task.targets == "video":
    labels = jnp.any(query[:, :, None] == jnp.arange(num_classes), axis=1)
    return Targets(labels[:, :, None], exists)
  mask = spec.point_mask(batch["frame_mask"])[:, None] & exists
  if task.targets != "segments":
    is_tags = task.targets == "tags"
    make = targets_lib.frame_tags if is_tags else targets_lib.frame_labels
    labels = make(batch["segments"], query, spec.num_frames, num_classes)
    return Targets(labels, mask)
  segments = targets_lib.segment_targets(spec, batch["segments"], query >= 0)
  if task.texts == "classes":
    pairs = displacement_pairs(task, batch)
    assert pairs is not None
    positive, target = targets_lib.query_displacement(segments, query, pairs)
    labels = targets_lib.query_labels(segments, query, num_classes)
    return Targets(labels, mask, positive & mask, target)
  query_mask = batch["query_mask"]
  num_videos, num_captions = query_mask.shape
  own = jnp.broadcast_to(jnp.arange(num_captions), query_mask.shape)
  positive, target = targets_lib.query_displacement(segments, query, own)
  own_mask = mask & query_mask[:, :, None]
  positive &= own_mask
  labels = targets_lib.query_labels(segments, query, num_captions)
  if task.train_pairing == "matched":
    return Targets(labels, own_mask, positive, target)
  # Captions of other videos are negatives.
  same_video = jnp.eye(num_videos, dtype=bool)[:, :, None, None]
  labels = (labels[:, None] & same_video).reshape(
    num_videos, num_videos * num_captions, -1
  )
  mask = mask & query_mask.reshape(1, -1, 1)
  return Targets(labels, mask, positive, target)


@flax.struct.dataclass
class Counts:
  """What the losses are means over, float32: slots and positive points."""

  relevance: jax.Array
  displacement: jax.Array


def count_slots(task: Task, targets: Targets) -> Counts:
  """What the losses of a batch are means over."""
  relevance = jnp.broadcast_to(targets.mask, targets.labels.shape)
  if task.texts == "classes":
    relevance = relevance[:, 0]
  positive = () if targets.positive is None else targets.positive
  return Counts(
    jnp.sum(relevance, dtype=jnp.float32),
    jnp.sum(jnp.asarray(positive), dtype=jnp.float32),
  )


def compute_losses(
  task: Task,
  loss: LossSpec,
  predictions: Predictions,
  targets: Targets,
  counts: Counts | None = None,
) -> dict[str, jax.Array]:
  """Losses of a batch, scalars float32: `total` and its parts.

  `counts` are of the batch that this one is a part of, whose losses are then
  the sum of its parts'; by default its own.
  """
  counts = count_slots(task, targets) if counts is None else counts
  logits, labels, mask = predictions.relevance, targets.labels, targets.mask
  if loss.relevance == "softmax" and task.targets == "frames":
    relevance = losses.softmax_or_none(logits, labels)
  else:
    relevance = losses.relevance_loss(
      loss.relevance, logits, labels, loss.focal_gamma, loss.focal_alpha
    )
  if task.texts == "classes":
    # Slots are (video, point): classes are summed, not averaged.
    relevance, mask = jnp.sum(relevance, axis=1), mask[:, 0]
  parts = {"relevance": losses.masked_mean(relevance, mask, counts.relevance)}
  total = loss.relevance_weight * parts["relevance"]
  if targets.positive is not None:
    assert predictions.displacement is not None
    assert targets.displacement is not None
    wrong = losses.displacement_loss(
      loss.displacement, predictions.displacement, targets.displacement
    )
    parts["displacement"] = losses.masked_mean(
      wrong, targets.positive, counts.displacement
    )
    total = total + parts["displacement"]
  return {"total": total, **parts}
