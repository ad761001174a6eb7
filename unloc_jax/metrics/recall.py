"""Recall R{k}@{m} and mean IoU of moment retrieval."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations.arrays import QueryMoments, in_order
from unloc_jax.annotations.reading import fault, summarize
from unloc_jax.metrics import analysis, overlap
from unloc_jax.metrics.report import Report

KS = (1, 5)
THRESHOLDS = (0.3, 0.5, 0.7)


def best_overlaps(queries: Sequence[QueryMoments], k: int) -> np.ndarray:
  """IoU [N, k] of the k best-scored predictions with the ground truth.

  Each has that of the segment it overlaps most; 0 where there are fewer
  predictions. Equal scores keep the order of the file.
  """
  listed = map(predicted, queries)
  segments, there = overlap.pad_segments(
    [w[np.argsort(-w[:, 2], kind="stable")[:k], :2] for w in listed]
  )
  truth, mask = overlap.pad_segments([query.truth for query in queries])
  values = overlap.intersection_over_union(segments[:, :, None], truth[:, None])
  values = np.where(there[:, :, None] & mask[:, None], values, 0.0)
  best = values.max(axis=2)
  return np.pad(best, ((0, 0), (0, k - best.shape[1])))


def predicted(query: QueryMoments) -> np.ndarray:
  """Windows of a query [D, 3], none where nothing was predicted."""
  return np.zeros((0, 3)) if query.predicted is None else query.predicted


def evaluate(
  queries: Sequence[QueryMoments], *, expected: int | None = None
) -> Report:
  """Scores moment retrieval: {"R1@0.5": percent, ..., "mIoU": percent}.

  Among the k best predictions one counts if its IoU reaches a threshold.
  `expected` is how many queries the ground truth has; as many as given if None.
  """
  queries = in_order(queries)
  best = np.maximum.accumulate(best_overlaps(queries, max(KS)), axis=1)
  values = {
    f"R{k}@{m:g}": 100.0 * (best[:, k - 1] >= m) for k in KS for m in THRESHOLDS
  }
  values["mIoU"] = 100.0 * best[:, 0]
  metrics = {name: analysis.mean(column) for name, column in values.items()}
  return Report(
    metrics=dict(metrics),
    headline=metrics,
    values=values,
    **of_queries(queries, expected),
  )


def of_queries(
  queries: Sequence[QueryMoments], expected: int | None
) -> dict[str, Any]:
  """Tags, confidence, counts, misses: what reports on queries share."""
  if not queries:
    what, do = "no query that has a moment", "score a split that has them"
    raise fault("ground truth", what, do)
  lengths = [float(np.mean(q.truth[:, 1] - q.truth[:, 0])) for q in queries]
  tags = {
    "length": np.array(lengths, float),
    "segments": np.array([len(query.truth) for query in queries], float),
  }
  for name in sorted({name for query in queries for name in query.tags}):
    column = [query.tags.get(name, "-") for query in queries]
    tags[name] = np.array(column, object)
  misses, seen = [], len(queries)
  for query in queries:
    what = "an empty list of windows"
    if query.predicted is None and query.saliency is None:
      seen, what = seen - 1, "no predictions"
    elif query.predicted is None or len(query.predicted):
      continue
    misses.append(f"query {query.id}: {what}, counts as a miss")
  notes: list[str] = []
  if misses:
    notes.append(f"{len(misses)} of {len(queries)} queries without predictions")
    notes += summarize(misses)
  best = [predicted(query)[:, 2].max(initial=0.0) for query in queries]
  return {
    "tags": tags,
    "confidence": np.array(best, float),
    "seen": seen,
    "expected": len(queries) if expected is None else expected,
    "notes": tuple(notes),
  }
