"""Reads frame-wise classes: MATLAB and NumPy files, JSONL, text folders, COIN.

* `.mat`, a folder of them or of such folders' splits: cells P (predicted), Y
  (truth) and S (scores), one entry a video.
* `.npz`: arrays `VID/P`, `VID/Y`, `VID/S`.
* JSONL: {"vid", "labels": [class of each frame], "scores"?, "frame_rate"?}.
* A folder of text files named after the videos: one class a line, or lines of
  classes below a line of `#`.
* COIN's JSON as ground truth: a frame at time t has the step that holds t.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations import reading
from unloc_jax.annotations.arrays import FrameClasses
from unloc_jax.annotations.detection import read_database, step_of
from unloc_jax.annotations.reading import AnnotationError, Place, Problems

BACKGROUND = "background"
Labels = Sequence[Any]


@dataclasses.dataclass
class _Side:
  """What a file or folder says of one video, predicted or true."""

  labels: Labels  # Class of each frame: numbers, or names
  place: object  # File, and line where it has any
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
  if pathlib.Path(ground_truth).suffix == ".json":
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
    lines = [f"video {name}: no predictions" for name in lacking]
    notes.extend(reading.summarize(lines))
  names = _names([side.labels for side in given.values()], real.values())
  videos = []
  for name in sorted(given.keys() & real.keys()):
    side, truth_labels = given[name], _indices(real[name], names)
    predicted = _indices(side.labels, names)
    what = _fault(predicted, truth_labels, side.scores)
    if what:
      problems.report(side.place, name, what, "video skipped")
      continue
    videos.append(
      FrameClasses(name, predicted, truth_labels, side.scores, side.rate)
    )
  if not videos:
    raise AnnotationError(f"{predictions}: no video to score; see the notes")
  return videos, len(real), names, notes


def _fault(
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
  if all(name.lstrip("-").isdigit() for name in known):
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
    raise AnnotationError(f"{path}: no such file or folder; name one")
  found = sorted(place.rglob("*.mat")) if place.is_dir() else []
  if place.suffix == ".mat" or found:
    return _matlab(place, found, key)
  if place.is_dir():
    return _folder(place)
  if place.suffix == ".npz":
    return _numpy(place, key)
  return _rows(place, problems)


def _matlab(
  place: pathlib.Path, found: list[pathlib.Path], key: str
) -> dict[str, _Side]:
  """Reads one MATLAB file, or those found in a folder."""
  sides: dict[str, _Side] = {}
  for file in found or [place]:
    inner = f"{file.relative_to(place).with_suffix('')}/" if found else ""
    _read_matlab(file, inner, key, sides)
  scored = [side for side in sides.values() if side.scores is not None]
  if len({side.scores.shape[-1] for side in scored}) > 1:  # type: ignore[union-attr]
    for side in scored:
      side.scores = None
  return sides


def _read_matlab(
  path: pathlib.Path, stem: str, key: str, sides: dict[str, _Side]
) -> None:
  """Reads the cells of one MATLAB file; videos are called STEM, number."""
  import scipy.io  # Only here, and no dependency of the numbers.

  try:
    content = scipy.io.loadmat(str(path))
  except (OSError, ValueError, NotImplementedError, TypeError) as error:
    raise AnnotationError(
      f"{path}: no MATLAB file of version 5 to 7.2 ({error}); save it with -v7"
    ) from error
  if key not in content:
    held = sorted(name for name in content if not name.startswith("__"))
    raise AnnotationError(f"{path}: no variable {key}, only {held}; see --help")
  for index, cell in enumerate(_cells(content[key])):
    labels = np.asarray(cell)
    if labels.size and labels.dtype.kind in "fc" and np.isnan(labels).any():
      raise AnnotationError(
        f"{path}: {stem}{index}: NaN in {key}; correct the file"
      )
    whole = labels.ravel().astype(int).tolist()
    sides[f"{stem}{index}"] = _Side(whole, path)
  if "S" in content:
    for index, cell in enumerate(_cells(content["S"], matrix=True)):
      side = sides.get(f"{stem}{index}", _Side((), path))
      scores, frames = np.asarray(cell), len(side.labels)
      if scores.ndim == 2 and len(scores) != frames == scores.shape[1]:
        scores = scores.T
      # Files of other sets keep other things in S.
      if scores.ndim == 2 and len(scores) == frames:
        side.scores = scores


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
    with np.load(path, allow_pickle=False) as content:
      for name in content.files:
        video, _, part = name.rpartition("/")
        if part == key:
          sides[video] = _Side(content[name].tolist(), path)
      for video, side in sides.items():
        if f"{video}/S" in content.files:
          side.scores = content[f"{video}/S"]
        if f"{video}/rate" in content.files:
          side.rate = float(content[f"{video}/rate"])
  except (OSError, ValueError) as error:
    raise AnnotationError(
      f"{path}: not a NumPy file of arrays VID/P, VID/Y, VID/S ({error}); see"
      " --help"
    ) from error
  return sides


def _folder(path: pathlib.Path) -> dict[str, _Side]:
  """Reads text files of classes, one a line or in lines below `#`."""
  sides: dict[str, _Side] = {}
  for file in sorted(path.iterdir()):
    if file.is_file() and not file.name.startswith("."):
      lines = reading.read_text(file).splitlines()
      kept = [line for line in lines if not line.startswith("#")]
      labels = [word for line in kept for word in line.split()]
      sides[file.name.removesuffix(".txt")] = _Side(labels, file)
  if not sides:
    raise AnnotationError(f"{path}: an empty folder; see --help for formats")
  return sides


def _rows(path: pathlib.Path, problems: Problems) -> dict[str, _Side]:
  sides: dict[str, _Side] = {}
  for place, row in reading.read_rows(path, problems):
    name = str(row.get("vid", row.get("video")) or "")
    side = _row(place, row, name)
    what = side if isinstance(side, str) else ""
    if name in sides:
      what = what or "video given twice"
    if what or isinstance(side, str):
      problems.report(place, name or "row", what, "row skipped")
    else:
      sides[name] = side
  return sides


def _row(place: Place, row: reading.Row, name: str) -> _Side | str:
  """Reads a row of JSONL; what is wrong with it if that fails."""
  labels = row.get("labels")
  if not isinstance(labels, list) or not name:
    return "a row needs `vid` and `labels`, one for each frame"
  if not all(isinstance(label, int | str) for label in labels):
    return "`labels` are neither numbers nor names"
  side = _Side(labels, place)
  try:
    if "scores" in row:
      side.scores = np.asarray(row["scores"], float)
    if "frame_rate" in row:
      side.rate = float(row["frame_rate"])
      if not 0 < side.rate < math.inf:
        raise ValueError
  except (TypeError, ValueError, OverflowError):
    return "`scores` or `frame_rate` are not numbers"
  return side


def _coin(
  path: reading.Path, given: dict[str, _Side], subset: str, problems: Problems
) -> dict[str, Labels]:
  """COIN's steps on the frames of the predictions; none for other videos."""
  database = read_database(path)
  truth: dict[str, Labels] = {}
  for video, entry in database.entries.items():
    if str(entry.get("subset", subset)).lower() != subset.lower():
      continue
    side = given.get(video)
    if side is None:
      truth[video] = []
      continue
    if side.rate is None:
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
      start, end = (float(each) for each in step["segment"])
      if not start <= end < math.inf:
        return None
      labels[(times >= start) & (times < end)] = step_of(step, "")
  except (KeyError, TypeError, ValueError, OverflowError):
    return None  # AnnotationError is a ValueError.
  return labels.tolist()
