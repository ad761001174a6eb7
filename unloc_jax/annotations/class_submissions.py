"""Scores of every class for every video, and the classes they show.

* Scores: JSON {VID: SCORES} or {VID: {"scores": SCORES}}, SCORES being [score
  of each class] or {class: score}; or a CSV `video,CLASS,CLASS,...`.
* Ground truth: JSON {VID: LABELS} or {VID: {"labels": LABELS}}, LABELS being
  one or a list of names, or of numbers from 0; a CSV `video,label`; or
  Kinetics' own. What a run writes is both.
"""

import collections
import pathlib
from typing import Any

import numpy as np

from unloc_jax.annotations import kinetics, reading
from unloc_jax.annotations.reading import WRONG, Place, Problems, fault, name_of

Scores = dict[str, dict[str, float]]  # Video -> class -> score


def read(
  predictions: reading.Path, ground_truth: reading.Path, problems: Problems
) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
  """Reads a submission and the truth it faces.

  `problems` is told of scores that cannot be, and of videos and classes that
  the other side does not know.

  Returns:
    Scores [N, C], NaN for videos without; of several classes of a video the
    best-scored one [N]; C names; and notes on what was missing.

  Raises:
    AnnotationError: A file cannot be read, or classes do not agree.
  """
  given = _scores(predictions, problems)
  truth = _labels(ground_truth, problems)
  names = sorted({name for row in given.values() for name in row}, key=_order)
  known = {label for labels in truth.values() for label in labels}
  if not known or not names:
    empty = ground_truth if names else predictions
    raise fault(empty, "no video with a class", "see the notes, or --help")
  index = {name: i for i, name in enumerate(names)}
  if not known & set(names) and _numbered(names) and len(known) == len(names):
    # Columns without names are in the order of the names.
    index = {name: i for i, name in enumerate(sorted(known))}
  for label in sorted(known - index.keys()):
    what = f"no scores of the class {label!r}"
    problems.report(predictions, "classes", what, "counts as a miss")
    index[label] = len(index)
  for video in sorted(given.keys() - truth.keys()):
    what = "not a video of the ground truth"
    problems.report(predictions, video, what, "video skipped")
  scores = np.full((len(truth), len(names)), np.nan)
  labels = np.zeros(len(truth), int)
  for row, (video, shown) in enumerate(sorted(truth.items())):
    answer = given.get(video, {})
    mine = sorted({index[label] for label in shown})
    labels[row] = mine[0]
    if len(answer) == len(names):
      scores[row] = [answer[name] for name in names]
      scored = [i for i in mine if i < len(names)]
      if scored:
        labels[row] = scored[scores[row, scored].argmax()]
    elif answer:
      what = f"{len(answer)} scores of {len(names)} classes"
      problems.report(predictions, video, what, "counts as a miss")
  lacking = sorted(truth.keys() - given.keys())
  notes = reading.summarize([f"video {name}: no scores" for name in lacking])
  return scores, labels, list(index), notes


def _order(name: str) -> tuple[int, str, str]:
  """Numbers by value, before names; also those too long for Python's int."""
  digits = name.lstrip("0") if name.isdecimal() else ""
  return (len(digits) if name.isdecimal() else 2**63), digits, name


def _numbered(names: list[str]) -> bool:
  return names == [str(i) for i in range(len(names))]


def _entries(path: reading.Path, key: str) -> list[tuple[Place, str, Any]]:
  """Place, video and value of JSON's {VID: value} or {VID: {key: value}}."""
  document = reading.read_json(path)
  document.repeated_in({})
  return [
    (
      document.place(video),
      video,
      entry[key] if isinstance(entry, dict) and key in entry else entry,
    )
    for video, entry in document.videos().items()
  ]


def _scores(path: reading.Path, problems: Problems) -> Scores:
  rows: list[tuple[Place, str, Any]] = []
  if str(path).lower().endswith(".csv"):
    for place, cells in reading.read_csv(path, ("video",), in_lower_case=False):
      rows.append((place, cells.pop("video").strip(), cells))
  else:
    rows = _entries(path, "scores")
  scores: Scores = {}
  for place, video, value in rows:
    what = "video given twice" if video in scores else ""
    try:
      pairs = value.items() if isinstance(value, dict) else enumerate(value)
      row = {name_of(name): reading.number(each) for name, each in pairs}
      if not np.isfinite(list(row.values())).all() or isinstance(value, str):
        raise ValueError
    except WRONG:
      what = "no list of finite scores, nor one of each class"
    if what:
      problems.report(place, video, what, "video skipped")
    else:
      scores[video] = row
  return scores


def _labels(path: reading.Path, problems: Problems) -> dict[str, list[str]]:
  """Classes by video; a Kinetics clip is `ID_start_end`, as it is built."""
  truth: dict[str, list[str]] = collections.defaultdict(list)
  if not str(path).lower().endswith(".csv"):
    for place, video, value in _entries(path, "labels"):
      listed = value if isinstance(value, list) else [value]
      names = [name_of(each) for each in listed]
      if not names or "" in names:
        what = f"labels {value!r} are no names or numbers"
        problems.report(place, video, what, "video skipped")
      else:
        truth[video] = names
  elif "youtube_id" in reading.read_text(path).partition("\n")[0].lower():
    for clip in kinetics.read(pathlib.Path(path)).videos:
      truth[clip.video_id] = [query.text for query in clip.queries]
  else:
    for place, row in reading.read_csv(path, ("video", "label")):
      name, video = name_of(row["label"]), row["video"].strip()
      if not name or not video:
        problems.report(place, video, "no video or label", "line skipped")
      else:
        truth[video].append(name)
  return dict(truth)
