"""Overlap of segments, one-to-one matching, and average precision.

Axes: N groups (one query, or one class in one video), M predictions of all
groups in a row, G ground-truth segments of a group, K thresholds.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

THRESHOLDS = tuple(float(f"{t:.2f}") for t in np.linspace(0.5, 0.95, 10))


def intersection_over_union(
  first: np.ndarray,
  second: np.ndarray,
  hull: bool = False,
  points: float = 0.0,
) -> np.ndarray:
  """Temporal IoU [...] of segments [..., 2], in 0..1; `points` of two points.

  With `hull` it divides by latest end minus earliest start, as QVHighlights
  does for R1; it differs from the union only where the two do not meet.
  """
  start, end = first[..., 0], first[..., 1]
  other_start, other_end = second[..., 0], second[..., 1]
  shared = np.minimum(end, other_end) - np.maximum(start, other_start)
  shared = np.maximum(shared, 0.0)
  if hull:
    whole = np.maximum(end, other_end) - np.minimum(start, other_start)
  else:
    whole = (end - start) + (other_end - other_start) - shared
  safe = np.where(whole > 0, whole, 1.0)
  return np.where(whole > 0, shared / safe, points)


@dataclasses.dataclass(frozen=True)
class Groups:
  """Predictions of N groups, each against its own ground truth."""

  # [M, 2] seconds; those of a group lie together, best first
  predicted: np.ndarray
  count: np.ndarray  # [N] number of each group's predictions
  truth: np.ndarray  # [N, G, 2] seconds; every group has some
  truth_mask: np.ndarray  # [N, G] False where there is no such segment

  @property
  def begin(self) -> np.ndarray:
    """Index [N] of each group's first prediction."""
    return np.cumsum(self.count) - self.count


def match(
  groups: Groups, thresholds: Sequence[float], points: float = 0.0
) -> np.ndarray:
  """Says which predictions are true [K, M], every true segment taken once.

  In order of score, a prediction takes the free ground truth of its group it
  overlaps most, if by the threshold, which is above 0; of equal overlaps the
  last one listed. `points` is the overlap of two points.
  All groups take their r-th prediction at once, so the work is a short loop
  over ranks whatever the number of groups.
  """
  limits = np.array(thresholds)[:, None]
  true = np.zeros((len(limits), len(groups.predicted)), bool)
  sizes = groups.truth_mask.sum(axis=1)
  # Groups are taken in classes of size so that padding never doubles the work.
  level = np.ceil(np.log2(sizes))
  # Those with a prediction of a rank come first.
  order = np.argsort(-groups.count, kind="stable")
  for value in np.unique(level):
    chosen = order[level[order] == value]
    width = sizes[chosen].max()
    truth = groups.truth[chosen, :width]
    begin, count = groups.begin[chosen], groups.count[chosen]
    mask = groups.truth_mask[chosen, :width]
    free = np.repeat(mask[None], len(limits), axis=0)
    for rank in range(count[0]):
      active = int(np.searchsorted(-count, -rank, side="left"))
      at = begin[:active] + rank
      overlap = intersection_over_union(
        groups.predicted[at][:, None], truth[:active], points=points
      )
      left = np.where(free[:, :active], overlap, -1.0)
      best = width - 1 - np.argmax(left[..., ::-1], axis=-1)
      found = np.take_along_axis(left, best[..., None], axis=-1)[..., 0]
      true[:, at] = hit = found >= limits
      step, group = np.nonzero(hit)
      free[step, group, best[step, group]] = False
  return true


def average_precision(true: np.ndarray, positives: int) -> float:
  """Interpolated AP as in VOC 2011, of true [M], best score first.

  Precision is made monotone from the right and summed wherever recall steps up,
  which is at the true predictions only.
  """
  at = np.flatnonzero(true)
  precision = np.arange(1, at.size + 1) / (at + 1)
  monotone = np.maximum.accumulate(precision[::-1])[::-1]
  return float(monotone.sum() / positives)


def pad_segments(segments: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
  """Stacks N arrays [g, 2], padded with 0: [N, G >= 1, 2] and mask [N, G]."""
  counts = np.array([len(each) for each in segments], int)
  mask = np.arange(max(1, counts.max(initial=0))) < counts[:, None]
  padded = np.zeros((*mask.shape, 2))
  padded[mask] = np.concatenate([np.zeros((0, 2)), *segments])
  return padded, mask
