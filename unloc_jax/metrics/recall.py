"""Recall R{k}@{m} and mean IoU of moment retrieval."""

from collections.abc import Sequence

import numpy as np

from unloc_jax.metrics import analysis, overlap, pairing
from unloc_jax.metrics.files import Row, Rows
from unloc_jax.metrics.problems import Problems
from unloc_jax.metrics.report import Report

KS = (1, 5)
THRESHOLDS = (0.3, 0.5, 0.7)


def best_overlaps(queries: Sequence[pairing.Query], k: int) -> np.ndarray:
  """IoU of the k best-scored predictions with the ground truth.

  Args:
    queries: N queries.
    k: Number of predictions.

  Returns:
    [N, k] IoU with whichever ground-truth segment is overlapped most; 0 where
    there are fewer predictions. Equal scores keep the order of the file.
  """
  chosen = []
  for query in queries:
    listed = query.predicted
    if listed is None or not len(listed):
      chosen.append(np.zeros((0, 2)))
      continue
    order = np.argsort(-listed[:, 2], kind="stable")[:k]
    chosen.append(listed[order, :2])
  predicted, there = overlap.pad_segments(chosen)
  truth, truth_mask = overlap.pad_segments([query.truth for query in queries])
  values = overlap.intersection_over_union(
    predicted[:, :, None, :], truth[:, None, :, :]
  )
  values = np.where(there[:, :, None] & truth_mask[:, None, :], values, 0.0)
  best = values.max(axis=2)
  return np.pad(best, ((0, 0), (0, k - best.shape[1])))


def columns(
  queries: Sequence[pairing.Query],
  ks: Sequence[int] = KS,
  thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, np.ndarray]:
  """Per-query values [N] in percent: "R{k}@{m}" and "mIoU"."""
  best = np.maximum.accumulate(best_overlaps(queries, max(ks)), axis=1)
  values = {
    f"R{k}@{m:g}": 100.0 * (best[:, k - 1] >= m) for k in ks for m in thresholds
  }
  values["mIoU"] = 100.0 * best[:, 0]
  return values


def evaluate(
  predictions: Rows | Sequence[Row],
  ground_truth: Rows | Sequence[Row],
  *,
  ks: Sequence[int] = KS,
  thresholds: Sequence[float] = THRESHOLDS,
  lenient: bool = False,
) -> Report:
  """Scores moment retrieval.

  Args:
    predictions: [{"qid", "query", "vid", "pred_relevant_windows"}], the windows
      [start, end, score] in seconds.
    ground_truth: [{"qid", "query", "vid", "duration", "relevant_windows"}], and
      any further strings (such as "kind"), which become tags.
    ks: Numbers of predictions that count.
    thresholds: IoU from which a prediction is right.
    lenient: Skip and note what cannot be scored instead of raising.

  Returns:
    A report whose metrics are {"R1@0.5": percent, ..., "mIoU": percent}.

  Raises:
    MetricsError: On unknown or repeated ids, NaN, reversed segments.
  """
  problems = Problems(lenient)
  paired = pairing.pair(predictions, ground_truth, problems)
  values = columns(paired.queries, ks, thresholds)
  metrics = {name: analysis.mean(column) for name, column in values.items()}
  return Report(
    metrics=dict(metrics),
    headline=metrics,
    values=values,
    tags=paired.tags(),
    seen=paired.seen,
    expected=paired.expected,
    notes=(*paired.notes, *problems.skipped),
  )
