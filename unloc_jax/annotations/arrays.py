"""What is true and what was predicted, as arrays: all that metrics take.

Axes: G true segments, D or M predicted ones, T frames, N clips, C classes.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations import reading

_LONGEST = 1e12  # Seconds; lengths of what is longer lose their end.


def is_time(seconds: np.ndarray) -> np.ndarray:
  """Says which numbers can be a time in a video."""
  return np.abs(seconds) < _LONGEST  # False for NaN.


def numbers(value: Any) -> np.ndarray:
  """A list, or a list of lists, of what `reading.number` takes.

  Raises what `reading.WRONG` lists for anything else.
  """
  array = np.asarray(value, float)
  held = list(value if array.ndim < 2 else itertools.chain.from_iterable(value))
  if not {int, float}.issuperset(map(type, held)):
    array = np.reshape(list(map(reading.number, held)), array.shape)
  return array


@dataclasses.dataclass(frozen=True)
class QueryMoments:
  """One query in one video."""

  id: str  # Unique in its split
  truth: np.ndarray  # float64 [G, 2] seconds
  # float64 [D, 3] seconds and score, as listed; None where nothing was
  # predicted for the query, which is not the same as an empty list
  predicted: np.ndarray | None
  # What results may be broken down by
  tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
  # float64 [N, 3], scores 0..4 that three people gave the clips of two seconds;
  # None where the benchmark has none
  highlights: np.ndarray | None = None
  # float64 [n], predicted for the clips; None where not
  saliency: np.ndarray | None = None


def in_order(queries: Iterable[QueryMoments]) -> list[QueryMoments]:
  """Queries by what they say: ids may follow the order of a file's lines."""

  def content(query: QueryMoments) -> tuple[list[Any], list[Any], str]:
    found = [] if query.predicted is None else query.predicted.tolist()
    return query.truth.tolist(), found, query.id

  return sorted(queries, key=content)


@dataclasses.dataclass(frozen=True)
class TrueSegments:
  """Labelled segments of some videos.

  They are in an order of their own (by video, class, start and end), so that
  no sum over them follows the order of a file.
  """

  videos: tuple[str, ...]  # Ids, sorted; some may have no segment
  labels: tuple[str, ...]  # Names of the classes that have a segment, sorted
  video: np.ndarray  # int [G], index into `videos`
  label: np.ndarray  # int [G], index into `labels`
  segment: np.ndarray  # float64 [G, 2] seconds

  @classmethod
  def of(
    cls, videos: Iterable[str], rows: Sequence[tuple[str, str, float, float]]
  ) -> "TrueSegments":
    """Makes them of (video, label, start, end)."""
    names = tuple(sorted(videos))
    labels = tuple(sorted({label for _, label, _, _ in rows}))
    place = {name: i for i, name in enumerate(names)}
    number = {name: i for i, name in enumerate(labels)}
    table = np.array(
      [(place[v], number[name], *both) for v, name, *both in rows], float
    ).reshape(-1, 4)
    table = table[np.lexsort(table.T[::-1])]
    whole = table[:, :2].astype(int)
    return cls(names, labels, whole[:, 0], whole[:, 1], table[:, 2:])


@dataclasses.dataclass(frozen=True)
class FoundSegments:
  """Detections, facing `TrueSegments`."""

  # int [M], index into the truth's videos; those it lacks come after, by name
  video: np.ndarray
  label: np.ndarray  # int [M], index into the truth's labels
  segment: np.ndarray  # float64 [M, 2] seconds
  score: np.ndarray  # float64 [M]
  answered: int  # How many videos of the truth were looked at

  @classmethod
  def of(
    cls, truth: TrueSegments, found: Mapping[str, np.ndarray]
  ) -> "FoundSegments":
    """Makes them of video -> [m, 4] label, start, end, score.

    Labels are indices into the truth's; those below 0 are left out.
    """
    others = sorted(found.keys() - set(truth.videos))
    place = {name: i for i, name in enumerate((*truth.videos, *others))}
    blocks = [np.insert(t, 0, place[v], axis=1) for v, t in found.items()]
    table = np.concatenate([np.zeros((0, 5)), *blocks])
    table = table[table[:, 1] >= 0]
    whole, answered = table[:, :2].astype(int), len(found) - len(others)
    return cls(whole[:, 0], whole[:, 1], table[:, 2:4], table[:, 4], answered)

  def only(self, which: np.ndarray) -> "FoundSegments":
    """Returns some of them, bool [M]."""
    return FoundSegments(
      self.video[which],
      self.label[which],
      self.segment[which],
      self.score[which],
      self.answered,
    )


def narrow(
  found: FoundSegments, truth: TrueSegments, which: np.ndarray
) -> tuple[FoundSegments, TrueSegments]:
  """Keeps some true segments, bool [G], and detections of their classes."""
  used, label = np.unique(truth.label[which], return_inverse=True)
  left = found.only(np.isin(found.label, used))
  names = tuple(truth.labels[i] for i in used)
  video, segment = truth.video[which], truth.segment[which]
  return (
    dataclasses.replace(left, label=np.searchsorted(used, left.label)),
    TrueSegments(truth.videos, names, video, label, segment),
  )


@dataclasses.dataclass(frozen=True)
class FrameClasses:
  """The class of every frame of one video."""

  name: str  # Its id
  predicted: np.ndarray  # int [T]
  truth: np.ndarray  # int [T]
  scores: np.ndarray | None = None  # [T, C] score of each class, or None
  frame_rate: float | None = None  # Frames per second, None where unknown
