"""Detections, and the labelled segments they face, as arrays.

Detections: {"results": {VID: [{"label", "score", "segment"}]}}, the same under
"database", or the inner object alone. The ground truth: see `detection`.
"""

import collections
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations import reading
from unloc_jax.annotations.arrays import FoundSegments, TrueSegments, is_time
from unloc_jax.annotations.detection import Database, read_database
from unloc_jax.annotations.reading import (
  WRONG,
  Document,
  Problems,
  fault,
  name_of,
  number,
)

_LABELS = ("label", "label_id", "class", "category")
_SCORES = ("score", "scores", "confidence")


def read(
  predictions: reading.Path,
  ground_truth: reading.Path,
  problems: Problems,
  subset: str,
  blocked: Collection[str] = (),
) -> tuple[FoundSegments, TrueSegments, list[str]]:
  """Reads a submission and the annotations it faces.

  Videos are looked for by their name, and with or without the "v_" that some
  files put before it; `blocked` ones are left out on both sides. Detections of
  classes that only other subsets, or the taxonomy, know are not scored, as by
  the official script.

  `subset` is "" for all videos. `problems` is told of segments and scores that
  cannot be, of unknown classes, and of unknown videos. A lenient run skips all
  but the last, which it counts, as the official script does, as false.

  Returns detections, true segments, and what had to be decided. Raises
  AnnotationError: a file cannot be read, or has no such subset.
  """
  given = reading.read_json(predictions, predicted=True)
  results = given.videos("results", "database")
  keys = (_label_key(results), *_LABELS)
  database = read_database(ground_truth)
  videos, notes = _subset(database, subset)
  kept = [video for video in videos if video not in blocked]
  if len(kept) < len(videos):
    notes.append(f"{len(videos) - len(kept)} blocked videos left out")
  rows = []
  for video in kept:
    for item in database.entries[video]["annotations"]:
      name, numbers, what = _checked(item, keys)
      if what:
        place = database.document.place(video)
        problems.report(place, video, f"{name}: {what}", "segment skipped")
      else:
        rows.append((video, name, numbers[0], numbers[1]))
  truth = TrueSegments.of(kept, rows)
  labels = dict.fromkeys(_all_classes(database, keys), -1)
  labels |= {name: i for i, name in enumerate(truth.labels)}
  known = database.entries.keys()
  found, unscored = _detections(given, results, labels, known, problems, keys)
  found = {v: rows for v, rows in found.items() if v not in blocked}
  notes += reading.left_out(unscored)
  return FoundSegments.of(truth, found), truth, notes


def _label_key(results: Mapping[str, Any]) -> str:
  """By which key a submission names classes, its first detection's."""
  for entries in results.values():
    for entry in entries if isinstance(entries, list) else ():
      if isinstance(entry, dict):
        return next((key for key in _LABELS if key in entry), _LABELS[0])
  return _LABELS[0]


def _subset(database: Database, subset: str) -> tuple[list[str], list[str]]:
  """Videos of a subset; of all where the file knows only one or none."""
  source = f"{database.document.source}:1"
  entries = {v: e for v, e in database.entries.items() if "annotations" in e}
  if not entries:
    what = "no video has `annotations`"
    raise fault(source, what, "give the benchmark's annotation file")
  names = {e["subset"] for e in entries.values() if "subset" in e}
  if not subset or not names:
    return list(entries), []
  same = [name for name in names if name.lower() == subset.lower()]
  notes: list[str] = []
  if not same:
    if len(names) > 1:
      what = f"no subset {subset!r}, there are {sorted(names)}"
      raise fault(source, what, "choose one by --subset")
    same = list(names)
    notes.append(f"no subset {subset!r}; scored the only one, {same[0]!r}")
  return [v for v, e in entries.items() if e.get("subset") in same], notes


def _all_classes(database: Database, keys: Sequence[str]) -> set[str]:
  """Classes that the file knows of, whatever the subset."""
  return {
    *database.classes(),
    *(
      name_of(reading.first(item, keys))
      for entry in database.entries.values()
      for item in entry.get("annotations", ())
      if isinstance(item, dict)
    ),
  }


def _checked(
  entry: Any, keys: Sequence[str], scores: Sequence[str] = ()
) -> tuple[str, list[float], str]:
  """Checks an annotation, or a detection if there are keys of a `score`.

  Returns its class, [start, end] or [start, end, score], and what is wrong with
  it, "" for nothing.
  """
  try:
    start, end = map(number, entry["segment"])
    name = name_of(reading.first(entry, keys))
    if not name:
      raise ValueError
    numbers = [start, end]
    if scores:
      numbers.append(number(reading.first(entry, scores)))
  except WRONG:
    needs = "`label`, `score` and" if scores else "`label` and"
    return "", [], f"needs {needs} `segment` [start, end]"
  if not is_time(np.array(numbers[:2])).all() or not np.isfinite(numbers).all():
    return name, numbers, f"not a finite number: {numbers}"
  if end < start:
    return name, numbers, f"segment ends before it starts: {[start, end]}"
  return name, numbers, ""


def _detections(
  document: Document,
  results: Mapping[str, Any],
  labels: Mapping[str, int],
  known: Collection[str],
  problems: Problems,
  keys: Sequence[str],
) -> tuple[dict[str, np.ndarray], set[str]]:
  """By video, [m, 4] label, start, end, score; and classes that are not scored.

  `labels` are indices into the truth's classes, -1 for those it lacks.
  """
  found: dict[str, list[np.ndarray]] = collections.defaultdict(list)
  unscored: set[str] = set()
  for given, entries in results.items():
    names = (given, f"v_{given}", given.removeprefix("v_"))
    video = next((name for name in names if name in known), given)
    place = document.place(given)
    if video not in known:
      what = "not a video of the ground truth"
      problems.report(place, given, what, "counts as false")
    if not isinstance(entries, list):
      what = "not a list of detections"
      problems.report(place, given, what, "video skipped")
      continue
    block = _block(entries, labels, keys[0])
    if block is None:
      rows = []
      for entry in entries:
        name, numbers, what = _checked(entry, _LABELS, _SCORES)
        if not what and name not in labels:
          what = f"{name!r} is not a class of the ground truth"
        if what:
          problems.report(place, given, what, "detection skipped")
        elif labels[name] < 0:
          unscored.add(name)
        else:
          rows.append([labels[name], *numbers])
      block = np.array(rows, float).reshape(-1, 4)
    found[video].append(block)
  return {v: np.concatenate(rows) for v, rows in found.items()}, unscored


def _block(
  entries: Sequence[Any], labels: Mapping[str, int], key: str
) -> np.ndarray | None:
  """Detections of one video, [n, 4]: label, start, end, score.

  The usual case, checked for all of them at once; None for any other.
  """
  try:
    block = np.array(
      [
        (labels[str(e[key])], *map(number, e["segment"]), number(e["score"]))
        for e in entries
      ],
      float,
    ).reshape(-1, 4)
  except WRONG:
    return None
  usual = np.isfinite(block).all() and is_time(block[:, 1:3]).all()
  usual &= (block[:, 1] <= block[:, 2]).all() and (block[:, 0] >= 0).all()
  return block if usual else None
