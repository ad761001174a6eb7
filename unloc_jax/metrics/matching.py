"""Matches the detections of every class, and what follows from a match.

Axes: M detections, G ground-truth segments, C classes, K thresholds.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from unloc_jax.annotations.arrays import FoundSegments, TrueSegments
from unloc_jax.metrics import analysis, overlap

_CHUNK = 100_000
CLEAN_SECONDS = 1e-3
# The official script divides 0 by 0 for two points, wherever they lie, and NaN
# is below no threshold: such a detection is true.
POINTS = 1.0


@dataclasses.dataclass(frozen=True)
class Matched:
  """Detections of each class, best first, and which of them are true."""

  thresholds: Sequence[float]  # [K]
  order: np.ndarray  # [M] into the detections: by class, then by falling score
  begin: np.ndarray  # [C + 1] where each class begins in `order`
  true: np.ndarray  # [K, M] at each threshold, in the order of `order`
  positives: np.ndarray  # [C] number of ground-truth segments
  # The same by video and class, for those that the truth has
  groups: overlap.Groups

  def average_precision(self) -> np.ndarray:
    """Returns AP [K, C] in 0..1; 0 for classes nothing was predicted for."""
    classes = range(len(self.positives))
    return np.array(
      [
        [
          overlap.average_precision(
            true[self.begin[c] : self.begin[c + 1]], int(self.positives[c])
          )
          for c in classes
        ]
        for true in self.true
      ]
    )

  def met(self, k: float = np.inf) -> np.ndarray:
    """Says of each true segment if a detection of its class meets it, [K, G].

    Only the best k * n detections of a class in a video count, n being the
    number of its segments there.
    """
    groups = self.groups
    owner = np.repeat(np.arange(len(groups.count)), groups.count)
    rank = np.arange(len(owner)) - groups.begin[owner]
    near = np.flatnonzero(rank < k * groups.truth_mask.sum(axis=1)[owner])
    best = np.zeros(groups.truth_mask.shape)
    for some in np.array_split(near, near.size // _CHUNK + 1):
      shared = overlap.intersection_over_union(
        groups.predicted[some][:, None],
        groups.truth[owner[some]],
        points=POINTS,
      )
      np.maximum.at(best, owner[some], shared)
    value = best[groups.truth_mask]  # In the order of the truth.
    hit: np.ndarray = value >= np.array(self.thresholds)[:, None]
    return hit


def ranking(detections: FoundSegments) -> np.ndarray:
  """Sorts detections [M] by class, then by falling score.

  Equal scores are told apart by what they say (name of the video, start,
  end), so that no figure depends on the processor or on the order of a file.
  The official script leaves their order to NumPy's unstable sort, which
  differs between processors and moves mAP by some 1e-5.
  """
  start, end = detections.segment.T
  video = detections.video  # An index into names that are sorted.
  return np.lexsort((end, start, video, -detections.score, detections.label))


def match(
  truth: TrueSegments, detections: FoundSegments, thresholds: Sequence[float]
) -> Matched:
  """Matches all detections of all classes; there is a true segment."""
  order, classes = ranking(detections), len(truth.labels)
  label = detections.label[order]
  # The truth is in this very order: by video, then by class. Videos that it
  # lacks come after, and meet no key.
  keys, first = np.unique(
    truth.video * classes + truth.label, return_index=True
  )
  wanted = detections.video[order] * classes + label
  which = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
  there = np.flatnonzero(keys[which] == wanted)
  there = there[np.argsort(which[there], kind="stable")]
  groups = overlap.Groups(
    detections.segment[order[there]],
    np.bincount(which[there], minlength=len(keys)),
    *overlap.pad_segments(np.split(truth.segment, first[1:])),
  )
  true = np.zeros((len(thresholds), len(order)), bool)
  true[:, there] = overlap.match(groups, thresholds, POINTS)
  begin = np.searchsorted(label, np.arange(classes + 1))
  positives = np.bincount(truth.label, minlength=classes)
  return Matched(thresholds, order, begin, true, positives, groups)


def resample(
  truth: TrueSegments,
  detections: FoundSegments,
  matched: Matched,
  resamples: int,
  seed: int,
) -> np.ndarray:
  """Mean AP [resamples, K], 0..1, of videos drawn with replacement."""
  video = detections.video[matched.order]
  classes, levels = len(truth.labels), len(matched.true)
  # Only true detections step recall up, every other one is but a rank: all
  # thresholds' true ones are put in a row, by threshold, class and score.
  level, at = np.nonzero(matched.true)
  label = detections.label[matched.order][at]
  key = level * classes + label
  first = np.searchsorted(key, key)
  # Steps of 2 keep a running maximum, from the right, inside its class.
  step = 2.0 * (levels * classes - key)
  begin = matched.begin[label]
  samples = np.zeros((resamples, levels))
  # Also videos without a segment, and those that the truth lacks.
  videos = max(len(truth.videos), video.max(initial=0) + 1)
  for index, drawn in enumerate(analysis.draws(videos, resamples, seed)):
    weight = drawn.astype(np.int32)
    total = np.zeros(len(video) + 1, np.int32)
    np.cumsum(weight[video], out=total[1:])
    gained = weight[video[at]]
    found = np.cumsum(gained)
    found = found - found[first] + gained[first]
    precision = found / np.maximum(total[at + 1] - total[begin], 1)
    above = np.maximum.accumulate((precision + step)[::-1])[::-1] - step
    positives = np.bincount(truth.label, weight[truth.video], minlength=classes)
    share = gained * above / np.maximum(positives[label], 1.0)
    summed = np.bincount(level, share, minlength=levels)
    samples[index] = summed / max(1, int((positives > 0).sum()))
  return samples


def lasting(truth: TrueSegments) -> np.ndarray:
  """Says which true segments [G] are neither very short nor repeat another.

  The convention of ActionFormer: shorter than a millisecond, or start and end
  both within a millisecond of an earlier one of the class that was kept.
  """
  start, end = truth.segment.T
  kept: np.ndarray = end - start >= CLEAN_SECONDS
  earlier: dict[tuple[int, int], list[list[float]]] = {}
  owners = zip(truth.video.tolist(), truth.label.tolist(), strict=True)
  for index, key in enumerate(owners):
    first, last = segment = truth.segment[index].tolist()
    others = earlier.setdefault(key, [])
    kept[index] &= not any(
      abs(first - a) <= CLEAN_SECONDS and abs(last - b) <= CLEAN_SECONDS
      for a, b in others
    )
    if kept[index]:
      others.append(segment)
  return kept
