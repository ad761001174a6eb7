"""What is found: moments, and how they are ranked."""

import dataclasses
import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from unloc_jax.metrics import segmentation
from unloc_jax.task.frame_classes import BACKGROUND, frame_classes
from unloc_jax.task.sampling import frame_edges


@dataclasses.dataclass(frozen=True)
class Moment:
  """A part of a video, in seconds; of scores, 0 to 1, the higher is better."""

  video_id: str
  query: str
  start: float
  end: float
  score: float


@dataclasses.dataclass(frozen=True)
class Answer:
  """What was found for one sentence or label in one video."""

  query: str
  moments: list[Moment]  # The best first.
  times: np.ndarray  # float64 [N], seconds of the frames looked at
  relevance: np.ndarray  # float32 [N], of those frames, 0 to 1


def rank(answers: Iterable[Answer], top_k: int) -> list[Moment]:
  """The best moments of all, the best first; the first of equals first."""
  moments = (moment for answer in answers for moment in answer.moments)
  return heapq.nlargest(top_k, moments, key=lambda moment: moment.score)


def spans(
  video_id: str,
  labels: Sequence[str],
  times: np.ndarray,
  logits: np.ndarray,
  duration: float,
  switch_cost: float,
) -> list[Moment]:
  """Stretches of frames of the same of C labels, background left out.

  Frames are seen at `times` [N], in seconds; their logits are [C, N]; see
  `frame_classes`.
  """
  kinds, places = segmentation.runs(frame_classes(logits.T, switch_cost))
  edges = frame_edges(times, duration)
  scores = 1.0 / (1.0 + np.exp(-logits))
  return [
    Moment(
      video_id,
      labels[kind - 1],
      float(edges[first]),
      float(edges[last]),
      float(scores[kind - 1, first:last].mean()),
    )
    for kind, (first, last) in zip(kinds.tolist(), places.tolist(), strict=True)
    if kind != BACKGROUND
  ]
