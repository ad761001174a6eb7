"""Brings each query together with what was predicted for it."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from unloc_jax.metrics import files
from unloc_jax.metrics.files import Row, Rows
from unloc_jax.metrics.problems import MetricsError, Problems, summarize

_FIELDS = {"qid", "query", "vid"}


@dataclasses.dataclass(frozen=True)
class Query:
  """One query of the ground truth.

  Attributes:
    qid: Its id.
    truth: [G, 2] seconds.
    predicted: [D, 3] seconds and score, as listed; None when the submission
      has no such query or no windows for it.
    annotation: Its row of the ground truth.
    submission: Its row of the submission, None when there is none.
    annotated_at: File and line of the annotation.
    submitted_at: File and line of the submission, "" when there is none.
  """

  qid: str
  truth: np.ndarray
  predicted: np.ndarray | None
  annotation: Row
  submission: Row | None
  annotated_at: str
  submitted_at: str


@dataclasses.dataclass(frozen=True)
class Paired:
  """All queries of the ground truth, in its order.

  Attributes:
    queries: One for each.
    expected: How many rows the ground truth has.
    notes: One line each on misses and skipped entries.
  """

  queries: tuple[Query, ...]
  expected: int
  notes: tuple[str, ...]

  @property
  def seen(self) -> int:
    """How many queries of the ground truth the submission holds."""
    return sum(query.submission is not None for query in self.queries)

  def tags(self) -> dict[str, np.ndarray]:
    """Columns [N] to break results down by."""
    lengths = [
      float(np.mean(q.truth[:, 1] - q.truth[:, 0])) for q in self.queries
    ]
    tags = {
      "length": np.array(lengths, float),
      "segments": np.array([len(q.truth) for q in self.queries], float),
    }
    names = {
      name
      for query in self.queries
      for name, value in query.annotation.items()
      if isinstance(value, str) and name not in _FIELDS
    }
    for name in sorted(names):
      column = [str(q.annotation.get(name, "-")) for q in self.queries]
      tags[name] = np.array(column, object)
    return tags


def pair(
  predictions: Rows | Sequence[Row],
  ground_truth: Rows | Sequence[Row],
  problems: Problems,
) -> Paired:
  """Pairs rows by `qid`, or by video and sentence where there is no such id.

  Args:
    predictions: Rows of the submission.
    ground_truth: Rows of the annotations.
    problems: Told of unknown ids, repeated rows and windows that cannot be.

  Returns:
    Every query of the ground truth once.
  """
  predictions = files.as_rows(predictions, "predictions")
  ground_truth = files.as_rows(ground_truth, "ground truth")
  truths = _truths(ground_truth, problems)
  if not truths:
    raise MetricsError(
      f"{ground_truth.source}: no query with `relevant_windows`; give the"
      " annotations of a split that has them"
    )
  found = _assign(predictions, truths, problems)
  listed = any("pred_relevant_windows" in row for row in predictions.rows)
  queries, misses = [], []
  for qid, (row, truth, annotated_at) in truths.items():
    submission = windows = None
    submitted_at = ""
    if qid in found:
      submission = predictions.rows[found[qid]]
      submitted_at = predictions.where(found[qid])
      if "pred_relevant_windows" in submission:
        given = submission["pred_relevant_windows"]
        windows = _windows(given, 3, submitted_at, qid, problems)
        submission = None if windows is None else submission
      elif listed or "pred_saliency_scores" not in submission:
        what = "no `pred_relevant_windows`"
        problems.report(submitted_at, qid, what, "counts as a miss")
        submission = None
    if submission is None:
      misses.append(f"query {qid}: no predictions, counts as a miss")
    elif windows is not None and not len(windows):
      misses.append(f"query {qid}: an empty list of windows, counts as a miss")
    queries.append(
      Query(qid, truth, windows, row, submission, annotated_at, submitted_at)
    )
  notes = []
  if misses:
    notes.append(f"{len(misses)} of {len(queries)} queries without predictions")
    notes.extend(summarize(misses))
  return Paired(tuple(queries), len(ground_truth.rows), tuple(notes))


def _truths(
  rows: Rows, problems: Problems
) -> dict[str, tuple[Row, np.ndarray, str]]:
  """Ground truth by id; entries without a usable window are reported."""
  truths: dict[str, tuple[Row, np.ndarray, str]] = {}
  seen: collections.Counter[str] = collections.Counter()
  for index, row in enumerate(rows.rows):
    video = str(row.get("vid", ""))
    qid = str(row["qid"]) if "qid" in row else f"{video}#{seen[video]}"
    seen[video] += 1
    where = rows.where(index)
    if qid in truths:
      problems.report(where, qid, "query given twice", "second one skipped")
      continue
    truth = _windows(row.get("relevant_windows"), 2, where, qid, problems)
    if truth is None or not len(truth):
      if truth is not None:
        problems.report(where, qid, "no `relevant_windows`", "query skipped")
      continue
    truths[qid] = (row, truth, where)
  return truths


def _sentence(row: Row) -> tuple[str, str]:
  """What names a query that has no id."""
  return str(row.get("vid", "")), str(row.get("query", "")).strip()


def _assign(
  rows: Rows,
  truths: Mapping[str, tuple[Row, np.ndarray, str]],
  problems: Problems,
) -> dict[str, int]:
  """Returns, for each id of the ground truth, its row in the submission.

  Rows are found by id. Where they have none, or the ids of the ground truth
  are but numbers given by the reader, they are found by video and sentence.
  """
  named: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
  numbered = True
  for qid, (row, _, _) in truths.items():
    numbered &= qid.startswith(f"{row.get('vid', '')}#")
    named[_sentence(row)].append(qid)
  return _find(rows, truths, named, numbered, problems)


def _find(
  rows: Rows,
  truths: Mapping[str, object],
  named: Mapping[tuple[str, str], list[str]],
  numbered: bool,
  problems: Problems,
) -> dict[str, int]:
  """Finds the query of each row, by id or by video and sentence."""
  found: dict[str, int] = {}
  turns: collections.Counter[tuple[str, str]] = collections.Counter()
  for index, row in enumerate(rows.rows):
    qid = str(row["qid"]) if "qid" in row else None
    key = _sentence(row)
    if qid not in truths and key in named and (qid is None or numbered):
      # Of equal sentences in a video, the n-th answers the n-th.
      qid = named[key][min(turns[key], len(named[key]) - 1)]
      turns[key] += 1
    if qid is None or qid not in truths:
      name = qid if qid is not None else key
      what = "not a query of the ground truth"
      problems.report(rows.where(index), name, what, "prediction skipped")
    elif qid in found:
      what = "query predicted twice"
      problems.report(rows.where(index), qid, what, "second one skipped")
    else:
      found[qid] = index
  for key in turns:
    # One answer to a sentence that is asked several times answers all.
    for qid in named[key]:
      found.setdefault(qid, found[named[key][0]])
  return found


def _windows(
  value: object, columns: int, where: str, qid: str, problems: Problems
) -> np.ndarray | None:
  """Checks windows.

  Args:
    value: A list of [start, end] or [start, end, score].
    columns: 2 for ground truth, 3 for predictions; without scores those
      listed first are the better ones.

  Returns:
    [n, columns] without the windows that cannot be; None for no windows at
    all, which has been reported.
  """
  try:
    array = np.asarray(value, float)
    if array.size == 0:
      return np.zeros((0, columns))
    if array.ndim != 2 or array.shape[1] not in (2, 3):
      raise ValueError
  except (TypeError, ValueError):
    field = "relevant_windows" if columns == 2 else "pred_relevant_windows"
    form = "[start, end]" if columns == 2 else "[start, end, score]"
    problems.report(
      where, qid, f"`{field}` is no list of {form}", "row skipped"
    )
    return None
  array = array[:, :columns]
  if array.shape[1] < columns:
    array = np.concatenate([array, np.zeros((len(array), 1))], axis=1)
  fine = np.isfinite(array).all(axis=1)
  forward = array[:, 1] >= array[:, 0]
  if not (fine & forward).all():
    for good, ahead, window in zip(fine, forward, array, strict=True):
      if good and ahead:
        continue
      what = "segment ends before it starts" if good else "not a finite number"
      shown = [float(f"{each:g}") for each in window]
      problems.report(where, qid, f"{what}: {shown}", "segment skipped")
    array = array[fine & forward]
  return array
