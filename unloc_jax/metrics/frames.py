"""Reads frame-wise classes: MATLAB and NumPy files, JSONL, text folders, COIN.

* `.mat`, a folder of them or of such folders' splits: cells P (predicted), Y
  (truth) and S (scores), one entry a video.
* `.npz`: arrays `VID/P`, `VID/Y`, `VID/S`.
* JSONL: {"vid", "labels": [class of each frame], "scores"?, "frame_rate"?}.
* A folder of text files named after the videos: one class a line, or lines of
  classes below a line of `#`.
* COIN's JSON as ground truth: a frame at time t has the step that holds t.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.metrics import files
from unloc_jax.metrics.problems import MetricsError, Problems, summarize
from unloc_jax.metrics.segmentation import Video

_BACKGROUND = "background"
Labels = Mapping[str, Sequence[Any]]


def read(
  predictions: str | os.PathLike[str],
  ground_truth: str | os.PathLike[str],
  problems: Problems,
  subset: str = "testing",
) -> tuple[list[Video], int, list[str] | None, list[str]]:
  """Reads predictions and ground truth of any of the formats.

  Args:
    predictions: File or folder.
    ground_truth: File or folder; the same one where it holds both.
    problems: Told of unknown videos.
    subset: Of COIN's file.

  Returns:
    Videos, how many the ground truth has, names of classes (None where they
    are numbers), and notes on what was missing.
  """
  given = _parts(predictions, "P", problems)
  real = _truth(ground_truth, given, subset, problems)
  videos, lacking = [], []
  for name in given.labels:
    if name not in real:
      what = "not a video of the ground truth"
      where = given.where.get(name, str(predictions))
      problems.report(where, name, what, "video skipped")
  for name in real:
    if name not in given.labels:
      lacking.append(name)
  notes = []
  if lacking:
    notes.append(f"{len(lacking)} of {len(real)} videos without predictions")
    notes.extend(
      summarize([f"video {name}: no predictions" for name in lacking])
    )
  names = _names([*given.labels.values(), *real.values()])
  for name, truth in real.items():
    if name in given.labels:
      videos.append(
        Video(
          name,
          _indices(given.labels[name], names),
          _indices(truth, names),
          given.scores.get(name),
          given.rates.get(name),
          given.where[name],
        )
      )
  return videos, len(real), names, notes


class _Given:
  """What a file says of every video."""

  def __init__(self) -> None:
    self.labels: dict[str, Sequence[Any]] = {}
    self.scores: dict[str, np.ndarray] = {}
    self.rates: dict[str, float] = {}
    self.where: dict[str, str] = {}


def _names(columns: Sequence[Sequence[Any]]) -> list[str] | None:
  """Names of classes, background first; None where all are numbers."""
  known = {str(label) for column in columns for label in set(column)}
  if all(name.lstrip("-").isdigit() for name in known):
    return None
  return [_BACKGROUND, *sorted(known - {_BACKGROUND, "0"})]


def _indices(column: Sequence[Any], names: list[str] | None) -> np.ndarray:
  if names is None:
    return np.array([int(each) for each in column], int)
  index = {name: i for i, name in enumerate(names)}
  index["0"] = 0
  return np.array([index[str(each)] for each in column], int)


def _parts(
  path: str | os.PathLike[str], key: str, problems: Problems
) -> _Given:
  """Reads one side, P or Y, of any format but COIN's."""
  place = pathlib.Path(path)
  given = _Given()
  if not place.exists():
    raise MetricsError(f"{path}: no such file or folder; name one")
  found = sorted(place.rglob("*.mat")) if place.is_dir() else []
  if place.suffix == ".mat" or found:
    for file in found or [place]:
      inner = file.relative_to(place).with_suffix("") if found else ""
      _read_mat(file, f"{inner}/" if found else "", key, given)
    if len({each.shape[-1] for each in given.scores.values()}) > 1:
      given.scores.clear()
  elif place.is_dir():
    _read_folder(place, given)
  elif place.suffix == ".npz":
    _read_npz(place, key, given)
  else:
    _read_rows(place, given, problems)
  return given


def _read_mat(path: pathlib.Path, stem: str, key: str, given: _Given) -> None:
  """Reads the cells of one MATLAB file; videos are called STEM, number."""
  import scipy.io  # Only here, and no dependency of the numbers.

  try:
    content = scipy.io.loadmat(str(path))
  except (OSError, ValueError, NotImplementedError, TypeError) as error:
    raise MetricsError(
      f"{path}: no MATLAB file of version 5 to 7.2 ({error}); save it with -v7"
    ) from error
  if key not in content:
    held = sorted(name for name in content if not name.startswith("__"))
    raise MetricsError(f"{path}: no variable {key}, only {held}; see --help")
  for index, cell in enumerate(_cells(content[key])):
    name = f"{stem}{index}"
    labels = np.asarray(cell)
    if labels.size and labels.dtype.kind in "fc" and np.isnan(labels).any():
      raise MetricsError(f"{path}: {name}: NaN in {key}; correct the file")
    given.labels[name] = labels.ravel().astype(int).tolist()
    given.where[name] = str(path)
  if "S" in content:
    for index, cell in enumerate(_cells(content["S"], matrix=True)):
      name = f"{stem}{index}"
      scores = np.asarray(cell)
      frames = len(given.labels.get(name, ()))
      if scores.ndim == 2 and len(scores) != frames == scores.shape[1]:
        scores = scores.T
      # Files of other sets keep other things in S.
      if scores.ndim == 2 and len(scores) == frames:
        given.scores[name] = scores


def _cells(value: np.ndarray, matrix: bool = False) -> list[np.ndarray]:
  """Splits a variable into videos.

  Args:
    value: A cell array; or, where all videos are alike, a plain one.
    matrix: Whether a video has a matrix rather than a row.
  """
  if value.dtype == object:
    return [np.asarray(each) for each in value.ravel()]
  plain = 2 if matrix else 1
  squeezed = value.squeeze()
  if squeezed.ndim <= plain:
    return [value]
  return list(squeezed)


def _read_npz(path: pathlib.Path, key: str, given: _Given) -> None:
  try:
    with np.load(path, allow_pickle=False) as content:
      for name in content.files:
        video, _, part = name.rpartition("/")
        if part == key:
          given.labels[video] = content[name].tolist()
          given.where[video] = str(path)
        elif part == "S":
          given.scores[video] = content[name]
        elif part == "rate":
          given.rates[video] = float(content[name])
  except (OSError, ValueError) as error:
    raise MetricsError(
      f"{path}: not a NumPy file of arrays VID/P, VID/Y, VID/S ({error})"
    ) from error


def write_npz(path: str | os.PathLike[str], videos: Sequence[Video]) -> None:
  """Writes videos, predictions and truth, so that `read` finds both."""
  arrays: dict[str, np.ndarray] = {}
  for video in videos:
    arrays[f"{video.name}/P"] = video.predicted
    arrays[f"{video.name}/Y"] = video.truth
    if video.scores is not None:
      arrays[f"{video.name}/S"] = video.scores
    if video.frame_rate is not None:
      arrays[f"{video.name}/rate"] = np.array(video.frame_rate)
  target = pathlib.Path(path)
  beside = target.with_name(f".{target.name}.{os.getpid()}.npz")
  with beside.open("wb") as file:
    np.savez(file, **arrays)  # type: ignore[arg-type]
  os.replace(beside, target)


def _read_folder(path: pathlib.Path, given: _Given) -> None:
  """Reads text files of classes, one a line or in lines below `#`."""
  for file in sorted(path.iterdir()):
    if not file.is_file() or file.name.startswith("."):
      continue
    lines = files.read_text(file).splitlines()
    labels = [
      word
      for line in lines
      if not line.startswith("#")
      for word in line.split()
    ]
    name = file.name.removesuffix(".txt")
    given.labels[name] = labels
    given.where[name] = str(file)
  if not given.labels:
    raise MetricsError(f"{path}: an empty folder; see --help for formats")


def _read_rows(path: pathlib.Path, given: _Given, problems: Problems) -> None:
  rows = files.read_rows(path, problems)
  for index, row in enumerate(rows.rows):
    where = rows.where(index)
    name = str(row.get("vid", row.get("video", "")))
    what = _row_fault(row)
    if not what and name in given.labels:
      what = "video given twice"
    if what:
      problems.report(where, name or "row", what, "row skipped")
      continue
    given.labels[name] = row["labels"]
    given.where[name] = where
    if "scores" in row:
      given.scores[name] = np.asarray(row["scores"], float)
    if "frame_rate" in row:
      given.rates[name] = float(row["frame_rate"])


def _row_fault(row: files.Row) -> str:
  """What is wrong with a row of JSONL, "" for nothing."""
  labels = row.get("labels")
  if not isinstance(labels, list) or not row.get("vid", row.get("video")):
    return "a row needs `vid` and `labels`, one for each frame"
  if not all(isinstance(label, int | str) for label in labels):
    return "`labels` are neither numbers nor names"
  try:
    np.asarray(row.get("scores", 0), float)
    if not 0 < float(row.get("frame_rate", 1)) < float("inf"):
      raise ValueError
  except (TypeError, ValueError):
    return "`scores` or `frame_rate` are not numbers"
  return ""


def _truth(
  path: str | os.PathLike[str],
  given: _Given,
  subset: str,
  problems: Problems,
) -> dict[str, Sequence[Any]]:
  """Reads the ground truth; COIN's on the frames of the predictions."""
  if pathlib.Path(path).suffix != ".json":
    return dict(_parts(path, "Y", problems).labels)
  document = files.read_json(path)
  database = document.value
  if isinstance(database, dict):
    database = database.get("database", database)
  if not isinstance(database, dict):
    raise MetricsError(f"{path}:1: not COIN's JSON; see --help for formats")
  truth: dict[str, Sequence[Any]] = {}
  for video, entry in database.items():
    if not isinstance(entry, dict):
      what = "not an object with `annotation`"
      problems.report(document.where(video), video, what, "video skipped")
      continue
    if str(entry.get("subset", subset)).lower() != subset.lower():
      continue
    if video not in given.labels:
      truth[video] = []
      continue
    rate = given.rates.get(video)
    if rate is None:
      what = "no `frame_rate` to place COIN's segments by"
      problems.report(given.where[video], video, what, "video skipped")
      continue
    frames = len(given.labels[video])
    labels = _steps(entry, np.arange(frames) / rate)
    if labels is None:
      what = "an annotation needs `id` and `segment`"
      problems.report(document.where(video), video, what, "video skipped")
      given.labels.pop(video)
      continue
    truth[video] = labels
  return truth


def _steps(entry: Mapping[str, Any], times: np.ndarray) -> list[int] | None:
  """COIN's step id at each time, 0 between steps; None if it cannot be read."""
  labels = np.zeros(len(times), int)
  try:
    for step in entry.get("annotation", entry.get("annotations")) or ():
      start, end = (float(each) for each in step["segment"])
      if not start <= end < float("inf"):
        return None
      labels[(times >= start) & (times < end)] = int(step["id"])
  except (KeyError, TypeError, ValueError, OverflowError):
    return None
  return labels.tolist()
