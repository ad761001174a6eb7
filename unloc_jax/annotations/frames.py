"""Reads frame-wise classes: MATLAB and NumPy files, JSONL, text folders, COIN.

* `.mat`, a folder of them or of such folders' splits: cells P (predicted), Y
  (truth) and S (scores), one entry a video.
* `.npz`: arrays `VID/P`, `VID/Y`, `VID/S`.
* JSONL: {"vid", "labels": [class of each frame], "scores"?, "frame_rate"?}.
* A folder of text files named after the videos: one class a line, or lines of
  classes below a line of `#`.
* COIN's JSON as ground truth: a frame at time t has the step that holds t.
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations import reading
from unloc_jax.annotations.arrays import FrameClasses, numbers
from unloc_jax.annotations.detection import read_database, step_of
from unloc_jax.annotations.reading import (
  HELP,
  WRONG,
  Problems,
  as_seconds,
  as_window,
  fault,
)

BACKGROUND = "background"
_NUMBER = re.compile("-?[0-9]{1,18}")
Labels = Sequence[Any]


@dataclasses.dataclass
class _Side:
  """What a file or folder says of one video, predicted or true."""

  labels: Labels = ()  # Class of each frame: numbers, or names
  place: object = ""  # File, and line where it has any
  scores: np.ndarray | None = None  # [T, C], or None
  rate: float | None = None  # Frames per second, or None


def read(
  predictions: reading.Path,
  ground_truth: reading.Path,
  problems: Problems,
  subset: str = "testing",
) -> tuple[list[FrameClasses], int, list[str] | None, list[str]]:
  """Reads predictions and ground truth of any of the formats.

  They may be one file that holds both. `problems` is told of unknown videos and
  of those that cannot be scored; `subset` is that of COIN's file.

  Returns:
    Videos by name, how many the ground truth has, names of classes (None
    where they are numbers), and notes on what was missing.

  Raises:
    AnnotationError: A file cannot be read, or there is nothing to score.
  """
  given = _side(predictions, "P", problems)
  if pathlib.Path(ground_truth).suffix.lower() == ".json":
    real = _coin(ground_truth, given, subset, problems)
  else:
    truth = _side(ground_truth, "Y", problems)
    real = {name: side.labels for name, side in truth.items()}
  for name, side in given.items():
    if name not in real:
      what = "not a video of the ground truth"
      problems.report(side.place, name, what, "video skipped")
  lacking = [name for name in real if name not in given]
  notes = []
  if lacking:
    notes.append(f"{len(lacking)} of {len(real)} videos without predictions")
    lines = [f"video {name}: no predictions" for name in sorted(lacking)]
    notes.extend(reading.summarize(lines))
  names = _names([side.labels for side in given.values()], real.values())
  videos = []
  for name in sorted(given.keys() & real.keys()):
    side, truth_labels = given[name], _indices(real[name], names)
    predicted = _indices(side.labels, names)
    what = _wrong(predicted, truth_labels, side.scores)
    if what:
      problems.report(side.place, name, what, "video skipped")
      continue
    videos.append(
      FrameClasses(name, predicted, truth_labels, side.scores, side.rate)
    )
  if not videos:
    raise fault(predictions, "no video to score", "see the notes")
  return videos, len(real), names, notes


def _wrong(
  predicted: np.ndarray, truth: np.ndarray, scores: np.ndarray | None
) -> str:
  """Why a video cannot be scored, "" if it can."""
  if len(predicted) != len(truth):
    return f"{len(predicted)} frames predicted of {len(truth)}"
  if not len(truth):
    return "no frames"
  if scores is not None:
    if scores.ndim != 2 or len(scores) != len(truth):
      return f"scores of shape {scores.shape}, not [frames, classes]"
    if np.isnan(scores).any():
      return "NaN among the scores"
  return ""


def _names(*sides: Iterable[Labels]) -> list[str] | None:
  """Names of classes, background first; None where all are numbers."""
  known = {str(label) for side in sides for row in side for label in set(row)}
  if all(map(_NUMBER.fullmatch, known)):
    return None
  return [BACKGROUND, *sorted(known - {BACKGROUND, "0"})]


def _indices(labels: Labels, names: list[str] | None) -> np.ndarray:
  if names is None:
    return np.array([int(each) for each in labels], int)
  index = {name: i for i, name in enumerate(names)} | {"0": 0}
  return np.array([index[str(each)] for each in labels], int)


def _side(path: reading.Path, key: str, problems: Problems) -> dict[str, _Side]:
  """Reads one side, P or Y, of any format but COIN's."""
  place = pathlib.Path(path)
  if not place.exists():
    raise fault(path, "no such file or folder", "name one")
  found = sorted(place.rglob("*.[mM][aA][tT]")) if place.is_dir() else []
  if place.suffix.lower() == ".mat":
    found = [place]
  sides: dict[str, _Side] = collections.defaultdict(_Side)
  for file in found:
    inner = (
      f"{file.relative_to(place).with_suffix('')}/" if file != place else ""
    )
    _matlab(file, inner, key, sides)
  if found:
    scores = [s.scores for s in sides.values() if s.scores is not None]
    if len({each.shape[-1] for each in scores}) > 1:
      for side in sides.values():  # Of several sets of classes.
        side.scores = None
    return sides
  if place.is_dir():
    return _folder(place)
  if place.suffix.lower() == ".npz":
    return _numpy(place, key)
  return _rows(place, problems)


def _matlab(
  path: pathlib.Path, stem: str, key: str, sides: dict[str, _Side]
) -> None:
  """Reads the cells of one MATLAB file; videos are called STEM, number."""
  import scipy.io  # Only here, and no dependency of the numbers.

  try:
    content = scipy.io.loadmat(str(path))
  except Exception as error:  # Damaged files fail in any part of the reader.
    what = f"no MATLAB file of version 5 to 7.2 ({error})"
    raise fault(path, what, "save it with -v7") from error
  if key not in content:
    held = sorted(name for name in content if not name.startswith("__"))
    raise fault(path, f"no variable {key}, only {held}", HELP)
  for index, cell in enumerate(_cells(content[key])):
    side = sides[f"{stem}{index}"]
    side.labels, side.place = _whole(cell, f"{path}: {stem}{index}", key), path
  for index, cell in enumerate(_cells(content.get("S", np.zeros(0)), True)):
    side = sides.get(f"{stem}{index}", _Side())
    scores, frames = np.asarray(cell), len(side.labels)
    if scores.ndim == 2 and len(scores) != frames == scores.shape[1]:
      scores = scores.T
    # Files of other sets keep other things in S.
    if scores.ndim == 2 and len(scores) == frames:
      side.scores = scores


def _whole(labels: Any, where: str, key: str) -> Labels:
  """Returns an array of classes as a list. Raises AnnotationError if none."""
  array = np.asarray(labels)
  if array.dtype.kind == "U":
    return array.ravel().tolist()
  try:
    with np.errstate(invalid="ignore"):
      whole = array.ravel().astype(int)
    if array.dtype.kind not in "biuf" or (whole != array.ravel()).any():
      raise ValueError
  except WRONG as error:
    raise fault(where, f"{key} holds no classes of frames") from error
  return whole.tolist()


def _cells(value: np.ndarray, matrix: bool = False) -> list[np.ndarray]:
  """Splits a variable into videos, of which each has a row or a `matrix`.

  It is a cell array; or, where all videos are alike, a plain one.
  """
  if value.dtype == object:
    return [np.asarray(each) for each in value.ravel()]
  squeezed = value.squeeze()
  return [value] if squeezed.ndim <= 1 + matrix else list(squeezed)


def _numpy(path: pathlib.Path, key: str) -> dict[str, _Side]:
  sides: dict[str, _Side] = {}
  try:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
      arrays = {name: content[name] for name in content.files}
  except Exception as error:  # Damaged files fail in any part of the reader.
    what = f"not a NumPy file of arrays VID/P, VID/Y, VID/S ({error})"
    raise fault(path, what, HELP) from error
  for name, array in arrays.items():
    video, _, part = name.rpartition("/")
    if part == key:
      labels = _whole(array, f"{path}: {video}", key)
      rate = arrays.get(f"{video}/rate", np.zeros(0))
      seconds = as_seconds(rate.item()) if rate.size == 1 else None
      sides[video] = _Side(labels, path, arrays.get(f"{video}/S"), seconds)
  return sides


def _folder(path: pathlib.Path) -> dict[str, _Side]:
  """Reads text files of classes, one a line or in lines below `#`."""
  sides: dict[str, _Side] = {}
  for file in sorted(path.iterdir()):
    if file.is_file() and not file.name.startswith("."):
      lines = reading.read_text(file).split("\n")
      kept = [line for line in lines if not line.startswith("#")]
      labels = [word for line in kept for word in re.split(r"[ \t]+", line)]
      name = re.sub(r"\.txt$", "", file.name, flags=re.IGNORECASE)
      sides[name] = _Side([label for label in labels if label], file)
  if not sides:
    raise fault(path, "an empty folder", HELP)
  return sides


def _rows(path: pathlib.Path, problems: Problems) -> dict[str, _Side]:
  sides: dict[str, _Side] = {}
  for place, row in reading.read_rows(path, problems):
    name = str(row.get("vid", row.get("video")) or "")
    labels, rate = row.get("labels"), as_seconds(row.get("frame_rate"))
    what, scores = "video given twice" if name in sides else "", None
    if not isinstance(labels, list) or not name:
      what = "a row needs `vid` and `labels`, one for each frame"
    elif not all(type(label) in (int, str) for label in labels):
      what = "`labels` are neither numbers nor names"
    elif "frame_rate" in row and (rate or 0) <= 0:
      what = f"`frame_rate` {row['frame_rate']!r} is no rate of frames"
    elif "scores" in row:
      try:
        scores = numbers(row["scores"])
      except WRONG:
        what = "`scores` are not numbers"
    if what:
      problems.report(place, name or "row", what, "row skipped")
    else:
      sides[name] = _Side(labels or (), place, scores, rate)
  return sides


def _coin(
  path: reading.Path, given: dict[str, _Side], subset: str, problems: Problems
) -> dict[str, Labels]:
  """COIN's steps on the frames of the predictions; none for other videos."""
  database = read_database(path)
  truth: dict[str, Labels] = {}
  for video, entry in database.entries.items():
    if entry.get("subset", subset).lower() != subset.lower():
      continue
    side = given.get(video)
    if side is None:
      truth[video] = []
      continue
    if not side.rate or side.rate <= 0:
      what = "no `frame_rate` to place COIN's segments by"
      problems.report(side.place, video, what, "video skipped")
      continue
    labels = _steps(entry, np.arange(len(side.labels)) / side.rate)
    if labels is None:
      what = "an annotation needs `id` and `segment`"
      place = database.document.place(video)
      problems.report(place, video, what, "video skipped")
      given.pop(video)
    else:
      truth[video] = labels
  return truth


def _steps(entry: Mapping[str, Any], times: np.ndarray) -> Labels | None:
  """COIN's step id at each time, 0 between steps; None if it cannot be read."""
  labels = np.zeros(len(times), int)
  try:
    for step in entry.get("annotations", ()):
      window = as_window(step["segment"])
      if window is None or window[0] > window[1]:
        return None
      labels[(times >= window[0]) & (times < window[1])] = step_of(step, "")
  except (*WRONG, AttributeError):
    return None  # AnnotationError is a ValueError.
  return labels.tolist()
