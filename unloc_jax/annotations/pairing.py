"""Brings each query together with what was predicted for it."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations import moments, reading
from unloc_jax.annotations.arrays import (
  QueryMoments,
  in_order,
  is_time,
  numbers,
)
from unloc_jax.annotations.moments import PREDICTED, TRUE, QueryRow
from unloc_jax.annotations.reading import WRONG, Place, Problems, fault

CLIP_SECONDS = 2
ANNOTATORS = 3
_MOST_CLIPS = 10**6  # More than 23 days.
_SALIENCY = "pred_saliency_scores"


def read(
  predictions: reading.Path, ground_truth: reading.Path, problems: Problems
) -> tuple[list[QueryMoments], int]:
  """Reads a submission and the annotations it answers: see `moments`.

  Rows are paired by `qid`, or by video and sentence where there is no such id.
  `problems` is told of unknown ids, repeated rows, and windows, scores and
  highlights that cannot be.

  Returns:
    Every usable query of the ground truth once, in order; and how many queries
    the ground truth holds.

  Raises:
    AnnotationError: A file cannot be read, or has no ground truth.
  """
  given, _ = moments.read_rows(predictions, problems, PREDICTED)
  known, _ = moments.read_rows(ground_truth, problems)
  truths = _truths(known, problems)
  if not truths:
    what, do = f"no query with `{TRUE}`", "give a split that has them"
    raise fault(f"{ground_truth}:1", what, do)
  found = _assign(given, truths, problems)
  listed = any(row.windows is not None for row in given)
  ranked = any(_SALIENCY in row.rest for row in given)
  queries = []
  for name, (row, truth) in truths.items():
    answer = found.get(name)
    windows = saliency = None
    if answer is not None and (listed or _SALIENCY not in answer.rest):
      windows = _predicted(answer, name, problems)
    if answer is not None and ranked and (windows is not None or not listed):
      saliency = _saliency(answer, name, problems)
    clips = highlights(row.duration, row.rest) if ranked else None
    if ranked and clips is None:
      what = "`duration`, `relevant_clip_ids`, `saliency_scores` do not agree"
      problems.report(row.place, name, what, "query skipped for highlights")
    queries.append(
      QueryMoments(name, truth, windows, tags(row.rest), clips, saliency)
    )
  return in_order(queries), len(known)


def _truths(
  rows: Sequence[QueryRow], problems: Problems
) -> dict[str, tuple[QueryRow, np.ndarray]]:
  """Ground truth by id; entries without a usable window are reported."""
  truths: dict[str, tuple[QueryRow, np.ndarray]] = {}
  for row in rows:
    name = str(row.id)
    if name in truths:
      what = "query given twice"
      problems.report(row.place, name, what, "second one skipped")
      continue
    truth = _windows(row.windows, 2, row.place, name, problems)
    if truth is not None and len(truth):
      truths[name] = row, truth
    elif truth is not None:
      problems.report(row.place, name, f"no `{TRUE}`", "query skipped")
  return truths


def _assign(
  rows: Sequence[QueryRow],
  truths: Mapping[str, tuple[QueryRow, np.ndarray]],
  problems: Problems,
) -> dict[str, QueryRow]:
  """Returns, for each id of the ground truth, its row in the submission.

  Rows are found by id. Where they have none, or the ids of the ground truth
  are but numbers given by the reader, they are found by video and sentence.
  """
  named: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
  numbered = True
  for name, (row, _) in truths.items():
    numbered &= name.startswith(f"{row.video}#")
    named[_sentence(row)].append(name)
  found: dict[str, QueryRow] = {}
  turns: collections.Counter[tuple[str, str]] = collections.Counter()
  for row in rows:
    name, key = row.id or "", _sentence(row)
    if name not in truths and key in named and (row.id is None or numbered):
      # Of equal sentences in a video, the n-th answers the n-th.
      name = named[key][min(turns[key], len(named[key]) - 1)]
      turns[key] += 1
    if name not in truths:
      what = "not a query of the ground truth"
      problems.report(row.place, row.id or key, what, "prediction skipped")
    elif name in found:
      what = "query predicted twice"
      problems.report(row.place, name, what, "second one skipped")
    else:
      found[name] = row
  for key in turns:
    # One answer to a sentence that is asked several times answers all.
    for name in named[key]:
      found.setdefault(name, found[named[key][0]])
  return found


def _sentence(row: QueryRow) -> tuple[str, str]:
  """What names a query that has no id."""
  return row.video, reading.name_of(row.text)


def _predicted(
  row: QueryRow, name: str, problems: Problems
) -> np.ndarray | None:
  """Checks the windows of a prediction; None counts as a miss."""
  if row.windows is None:
    what = f"no `{PREDICTED}`"
    problems.report(row.place, name, what, "counts as a miss")
    return None
  return _windows(row.windows, 3, row.place, name, problems)


def _windows(
  value: Any, columns: int, place: Place, name: str, problems: Problems
) -> np.ndarray | None:
  """Checks [start, end] of the truth, or [start, end, score] of predictions.

  Without scores those listed first are the better ones.

  Returns:
    [n, columns] without the windows that cannot be; None for no windows at
    all, which has been reported.
  """
  try:
    array = numbers(value)
    if array.size == 0 and isinstance(value, list):
      return np.zeros((0, columns))
    if array.ndim != 2 or array.shape[1] not in (2, 3):
      raise ValueError
  except WRONG as error:
    what = f"`{TRUE}` is no list of [start, end]"
    if columns == 3:
      what = f"`{PREDICTED}` is no list of [start, end, score]"
    if isinstance(error, OverflowError):
      what += ": a number is beyond what a float holds"
    problems.report(place, name, what, "row skipped")
    return None
  array = array[:, :columns]
  if array.shape[1] < columns:
    array = np.concatenate([array, np.zeros((len(array), 1))], axis=1)
  finite = is_time(array[:, :2]).all(axis=1) & np.isfinite(array[:, -1])
  usable: np.ndarray = finite & (array[:, 1] >= array[:, 0])
  for index in np.flatnonzero(~usable):
    what = "not a finite number"
    if finite[index]:
      what = "segment ends before it starts"
    shown = [float(f"{each:g}") for each in array[index]]
    problems.report(place, name, f"{what}: {shown}", "segment skipped")
  return np.compress(usable, array, axis=0)


def _saliency(
  row: QueryRow, name: str, problems: Problems
) -> np.ndarray | None:
  """Checks `pred_saliency_scores`; None counts as a miss."""
  what = f"no `{_SALIENCY}`"
  if _SALIENCY in row.rest:
    what = f"`{_SALIENCY}` is no list of finite numbers"
    try:
      scores = numbers(row.rest[_SALIENCY])
      if scores.ndim == 1 and len(scores) and np.isfinite(scores).all():
        return scores
    except WRONG:
      pass
  problems.report(row.place, name, what, "counts as a miss")
  return None


def tags(annotation: Mapping[str, Any]) -> dict[str, str]:
  """What results may be broken down by: the strings of an annotation."""
  return {k: v for k, v in annotation.items() if isinstance(v, str)}


def highlights(
  duration: Any, annotation: Mapping[str, Any]
) -> np.ndarray | None:
  """What QVHighlights' annotation of a query says of every clip.

  Returns:
    float64 [int(duration / 2), 3], 0 for clips that are not relevant; None
    where `relevant_clip_ids` and `saliency_scores` do not agree.
  """
  try:
    count = int(duration / CLIP_SECONDS)
    scores = np.zeros((count if count < _MOST_CLIPS else -1, ANNOTATORS))
    clips = np.asarray(annotation["relevant_clip_ids"], int)
    if clips.size:
      given = numbers(annotation["saliency_scores"])
      if not np.isfinite(given).all() or clips.min() < 0:
        return None
      scores[clips] = given.reshape(len(clips), ANNOTATORS)
  except (*WRONG, IndexError):
    return None
  return scores
