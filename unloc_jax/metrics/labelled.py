"""Reads labelled segments: detections and the ground truth they face.

Ground truth, as JSON values: {"database": {VID: {"subset", "duration",
"annotations": [{"segment", "label"}]}}}, or the inner object alone. COIN's
`annotation` is read too. Detections: {"results": {VID: [{"label", "score",
"segment"}]}}, the same under "database", or the inner object alone.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.metrics.files import Document
from unloc_jax.metrics.problems import MetricsError, Problems

_LABELS = ("label", "label_id", "class", "category")
_SCORES = ("score", "scores", "confidence")
CLEAN_SECONDS = 1e-3


@dataclasses.dataclass(frozen=True)
class Truth:
  """Ground-truth segments of one subset.

  Attributes:
    videos: Ids of the subset's videos.
    known: Ids of the file, of every subset.
    labels: Names of classes, in order of first appearance.
    video: [G] index into `videos`.
    label: [G] index into `labels`.
    segment: [G, 2] seconds.
    notes: What had to be decided.
  """

  videos: tuple[str, ...]
  known: frozenset[str]
  labels: tuple[str, ...]
  video: np.ndarray
  label: np.ndarray
  segment: np.ndarray
  notes: tuple[str, ...] = ()

  def take(self, kept: np.ndarray) -> "Truth":
    """Keeps segments [G] bool, and only the classes which then remain."""
    used, label = np.unique(self.label[kept], return_inverse=True)
    return dataclasses.replace(
      self,
      labels=tuple(self.labels[i] for i in used),
      video=self.video[kept],
      label=label,
      segment=self.segment[kept],
    )


@dataclasses.dataclass(frozen=True)
class Detections:
  """Predicted segments, in the order of the file.

  Attributes:
    video: [M] index into the truth's videos; -1 for others.
    label: [M] index into the truth's labels.
    segment: [M, 2] seconds.
    score: [M].
    videos: How many videos of the truth have any.
  """

  video: np.ndarray
  label: np.ndarray
  segment: np.ndarray
  score: np.ndarray
  videos: int


def label_key(document: Document) -> str:
  """By which key a submission names classes, its first detection's."""
  for entries in _database(document, "results").values():
    for entry in entries if isinstance(entries, list) else ():
      if isinstance(entry, dict):
        return next((key for key in _LABELS if key in entry), _LABELS[0])
  return _LABELS[0]


def read_truth(
  document: Document,
  problems: Problems,
  subset: str,
  blocked: Collection[str] = (),
  key: str = _LABELS[0],
) -> Truth:
  """Reads the ground truth of a subset.

  Args:
    document: The annotations.
    problems: Told of segments that cannot be.
    subset: Name of the subset; "" for all videos.
    blocked: Ids of videos to leave out.
    key: Where annotations have several names of a class, the one to take.
  """
  database = _database(document, "database")
  entries = {
    video: entry
    for video, entry in database.items()
    if isinstance(entry, dict) and (_annotations(entry) is not None)
  }
  if not entries:
    raise MetricsError(
      f"{document.source}:1: no video has `annotations`; give the benchmark's"
      " annotation file"
    )
  chosen, notes = _subset(document.source, entries, subset)
  videos = [v for v in chosen if v not in set(blocked)]
  if len(videos) < len(chosen):
    notes.append(f"{len(chosen) - len(videos)} blocked videos left out")
  labels: dict[str, int] = {}
  columns: list[tuple[int, int, float, float]] = []
  for index, video in enumerate(videos):
    for each in _annotations(entries[video]) or ():
      found = _segment(document, video, each, key, problems)
      if found:
        name, start, end = found
        label = labels.setdefault(name, len(labels))
        columns.append((index, label, start, end))
  table = np.array(columns, float).reshape(-1, 4)
  return Truth(
    tuple(videos),
    frozenset(database),
    tuple(labels),
    table[:, 0].astype(int),
    table[:, 1].astype(int),
    table[:, 2:],
    tuple(notes),
  )


def _database(document: Document, key: str) -> Mapping[str, Any]:
  """Returns the object of videos, under a key or not."""
  value = document.value
  for name in (key, "database", "results"):
    if isinstance(value, dict) and isinstance(value.get(name), dict):
      return value[name]
  if not isinstance(value, dict):
    raise MetricsError(
      f"{document.source}:1: not a JSON object of videos; see"
      " `python -m unloc_jax.metrics --help`"
    )
  return value


def _annotations(entry: Mapping[str, Any]) -> Sequence[Any] | None:
  for name in ("annotations", "annotation"):
    if isinstance(entry.get(name), list):
      return entry[name]
  return None


def _subset(
  source: str, entries: Mapping[str, Any], subset: str
) -> tuple[list[str], list[str]]:
  """Videos of a subset; of all where the file knows only one or none."""
  names = {str(e["subset"]) for e in entries.values() if "subset" in e}
  if not subset or not names:
    return list(entries), []
  same = [name for name in names if name.lower() == subset.lower()]
  notes: list[str] = []
  if not same:
    if len(names) > 1:
      raise MetricsError(
        f"{source}:1: no subset {subset!r}, there are {sorted(names)}; choose"
        " one by --subset"
      )
    same = list(names)
    notes.append(f"no subset {subset!r}; scored the only one, {same[0]!r}")
  chosen = [v for v, e in entries.items() if str(e.get("subset")) in same]
  return chosen, notes


def _segment(
  document: Document, video: str, entry: Any, first: str, problems: Problems
) -> tuple[str, float, float] | None:
  """Checks one annotation: label, start, end."""
  what = "an annotation needs `label` and `segment` [start, end]"
  try:
    start, end = (float(each) for each in entry["segment"])
    keys = (first, *_LABELS)
    name = str(entry[next(key for key in keys if key in entry)])
  except (KeyError, TypeError, ValueError, StopIteration):
    name, start, end = "", 0.0, 0.0
  else:
    what = ""
    if (start - start) + (end - end) != 0:
      # Infinity minus itself is NaN, which equals nothing.
      what = f"{name}: not a finite number: {[start, end]}"
    elif end < start:
      what = f"{name}: segment ends before it starts: {[start, end]}"
  if what:
    problems.report(document.where(video), video, what, "segment skipped")
    return None
  return name, start, end


def clean(truth: Truth) -> Truth:
  """Drops segments which are very short or repeat one of the same class.

  The convention of ActionFormer: shorter than a millisecond, or start and end
  both within a millisecond of an earlier one that was kept.
  """
  kept = np.ones(len(truth.segment), bool)
  earlier: dict[tuple[int, int], list[tuple[float, float]]] = {}
  keys = zip(truth.video.tolist(), truth.label.tolist(), strict=True)
  for index, (key, (start, end)) in enumerate(
    zip(keys, truth.segment.tolist(), strict=True)
  ):
    others = earlier.setdefault(key, [])
    repeated = any(
      abs(first - start) <= CLEAN_SECONDS and abs(last - end) <= CLEAN_SECONDS
      for first, last in others
    )
    kept[index] = (end - start) >= CLEAN_SECONDS and not repeated
    if kept[index]:
      others.append((start, end))
  return truth.take(kept)


def read_detections(
  document: Document,
  truth: Truth,
  problems: Problems,
  blocked: Collection[str] = (),
) -> Detections:
  """Reads detections.

  Videos are looked for by their name, and with or without the "v_" that some
  files put before it.

  Args:
    document: The submission.
    truth: What they face; a class it does not know is reported, and so is a
      video its file does not know. A lenient run skips the former and counts
      the latter, as the official script does, as false.
    problems: Told of all that, and of segments and scores that cannot be.
    blocked: Ids of videos to leave out.
  """
  key = label_key(document)
  index = {video: i for i, video in enumerate(truth.videos)}
  labels = {name: i for i, name in enumerate(truth.labels)}
  blocks: list[np.ndarray] = []
  seen = set()
  for given, entries in _database(document, "results").items():
    video = _named(given, truth)
    if {given, video} & set(blocked):
      continue
    if video is None:
      what = "not a video of the ground truth"
      problems.report(document.where(given), given, what, "counts as false")
    at = index.get(video or "", -1)
    seen.add(at)
    if not isinstance(entries, list):
      what = "not a list of detections"
      problems.report(document.where(given), given, what, "video skipped")
      continue
    blocks.append(_block(document, given, at, entries, labels, key, problems))
  columns = np.concatenate([np.zeros((0, 5)), *blocks])
  return Detections(
    columns[:, 0].astype(int),
    columns[:, 1].astype(int),
    columns[:, 2:4],
    columns[:, 4],
    len(seen - {-1}),
  )


def _block(
  document: Document,
  video: str,
  at: int,
  entries: Sequence[Any],
  labels: Mapping[str, int],
  key: str,
  problems: Problems,
) -> np.ndarray:
  """Detections of one video, [n, 5]: video, label, start, end, score."""
  try:
    # The usual case, checked for all of them at once.
    some = [
      (at, labels[str(e[key])], *map(float, e["segment"]), float(e["score"]))
      for e in entries
    ]
    block = np.array(some, float).reshape(-1, 5)
    if np.isfinite(block).all() and (block[:, 2] <= block[:, 3]).all():
      return block
  except (KeyError, TypeError, ValueError):
    pass
  checked = (
    _detection(document, video, entry, labels, problems) for entry in entries
  )
  rows = [(at, *row) for row in checked if row]
  return np.array(rows, float).reshape(-1, 5)


def _named(video: str, truth: Truth) -> str | None:
  """The id of the ground truth that a submission means."""
  for name in (video, f"v_{video}", video.removeprefix("v_")):
    if name in truth.known:
      return name
  return None


def _detection(
  document: Document,
  video: str,
  entry: Any,
  labels: Mapping[str, int],
  problems: Problems,
) -> tuple[int, float, float, float] | None:
  """Checks one detection: label index, start, end, score."""
  try:
    start, end = entry["segment"]
    start, end = float(start), float(end)
    name = str(entry[next(key for key in _LABELS if key in entry)])
    score = float(entry[next(key for key in _SCORES if key in entry)])
  except (KeyError, TypeError, ValueError, StopIteration):
    what = "a detection needs `label`, `score` and `segment` [start, end]"
  else:
    # Comparisons with NaN are false, and infinity minus itself is NaN.
    finite = (start - start) + (end - end) + (score - score) == 0
    if finite and start <= end and name in labels:
      return labels[name], start, end, score
    what = f"{name!r} is not a class of the ground truth"
    if not finite:
      what = f"not a finite number: {[start, end, score]}"
    elif start > end:
      what = f"segment ends before it starts: {[start, end]}"
  problems.report(document.where(video), video, what, "detection skipped")
  return None
