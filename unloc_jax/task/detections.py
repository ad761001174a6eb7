"""A batch -> detections in seconds: the model, decoding and soft-NMS, jitted.

Evaluation and prediction both go through here, so they agree.
"""

import dataclasses
from typing import Any, TypeAlias

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax.task import decode
from unloc_jax.task.predictions import Predictions
from unloc_jax.task.pyramid import PyramidSpec
from unloc_jax.task.sampling import to_seconds
from unloc_jax.task.tasks import Task

# On the devices, or NumPy once gathered on the host.
Array: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class DecodeSpec:
  """Options of decoding; see `config.decode`."""

  sigma: float = 0.3
  score_threshold: float = 0.001
  max_detections: int = 100
  class_agnostic: bool = False
  switch_cost: float = 0.0

  @property
  def nms(self) -> dict[str, float]:
    """Options of `decode.soft_nms`."""
    return {
      "sigma": self.sigma,
      "score_threshold": self.score_threshold,
      "max_detections": self.max_detections,
    }


@flax.struct.dataclass
class Detections:
  """What was found in B videos.

  Attributes:
    scores: float32. Segments: [B, Q, K] (or [B, K] over all classes), best
      first, 0 = none. Frames: [B, C, T]. Videos: [B, C].
    segments: float32 [B, Q, K, 2] (or [B, K, 2]) in seconds, or None.
    classes: int32 [B, K] where NMS went over all classes, or None.
    curve: float32 [B, Q, T], relevance of every sampled frame, 0 to 1.
  """

  scores: Array
  segments: Array | None
  classes: Array | None
  curve: Array


def detect(
  task: Task,
  spec: PyramidSpec,
  options: DecodeSpec,
  predictions: Predictions,
  frame_mask: jax.Array,
  seconds: jax.Array,
  duration: jax.Array,
) -> Detections:
  """Predictions of B videos x Q texts -> detections.

  Args:
    task: Says how to decode.
    spec: Of the pyramid.
    options: Of soft-NMS.
    predictions: Of all Q.
    frame_mask: bool [B, T].
    seconds: float32 [B], see `Sampling`.
    duration: float32 [B], seconds.
  """
  scores = jax.nn.sigmoid(predictions.relevance)
  if task.decode == "per_video":
    return Detections(scores[..., 0], None, None, scores)
  if task.decode == "per_frame":
    return Detections(predictions.relevance, None, None, scores)
  segments, scores = candidates(
    spec, predictions, frame_mask, seconds, duration
  )
  curve = scores[..., : spec.num_frames]
  return suppress(options, segments, scores, curve)


def candidates(
  spec: PyramidSpec,
  predictions: Predictions,
  frame_mask: jax.Array,
  seconds: jax.Array,
  duration: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """What every point proposes; arguments as of `detect`.

  Returns:
    Segments float32 [B, Q, P, 2] in seconds and scores float32 [B, Q, P], 0
    at points that are no frames. A frame that is the only one seen stands for
    the whole video.
  """
  scores = jax.nn.sigmoid(predictions.relevance)
  scores = jnp.where(spec.point_mask(frame_mask)[:, None], scores, 0.0)
  assert predictions.displacement is not None
  frames = decode.decode_segments(spec, predictions.displacement)
  segments = to_seconds(frames, seconds, duration)
  is_alone = (frame_mask.sum(-1) == 1) | (seconds == 0)
  whole = jnp.stack([jnp.zeros_like(duration), duration], axis=-1)[
    :, None, None
  ]
  return jnp.where(is_alone[:, None, None, None], whole, segments), scores


def suppress(
  options: DecodeSpec,
  segments: jax.Array,
  scores: jax.Array,
  curve: jax.Array,
) -> Detections:
  """Soft-NMS of `candidates`, wherever they were proposed."""
  if options.class_agnostic:
    found, kept, classes = decode.detect_class_agnostic(
      segments, scores, **options.nms
    )
    return Detections(kept, found, classes, curve)
  found, kept = decode.detect_per_query(segments, scores, **options.nms)
  return Detections(kept, found, None, curve)


def listed(found: Detections, b: int) -> tuple[Array, Array, Array]:
  """All detections of one video over all classes, best first.

  Args:
    found: Gathered on the host.
    b: Row of the video.

  Returns:
    int [N] classes, float32 [N, 2] segments in seconds, float32 [N] scores.
  """
  assert found.segments is not None
  scores, segments = found.scores[b], found.segments[b]
  keep = scores > 0
  if found.classes is None:
    labels = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)
  else:
    labels = found.classes[b]
  order = np.argsort(-scores[keep], kind="stable")
  return labels[keep][order], segments[keep][order], scores[keep][order]
