"""QVHighlights: moment retrieval and highlight detection, as scored officially.

The layout of the metrics, their keys and their rounding to two decimals are
those of the official script.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations.arrays import QueryMoments, in_order
from unloc_jax.metrics import analysis, highlights, overlap, recall
from unloc_jax.metrics.overlap import THRESHOLDS
from unloc_jax.metrics.report import Report

MAX_WINDOWS = 10
RANGES: Mapping[str, tuple[float, float]] = {
  "short": (0, 10),
  "middle": (10, 30),
  "long": (30, 150),
  "full": (-np.inf, np.inf),
}
_BRIEF = (
  *(f"MR-full-{figure}" for figure in ("R1@0.5", "R1@0.7")),
  *(f"MR-full-{figure}" for figure in ("mAP", "mAP@0.5", "mAP@0.75")),
  *(f"MR-{name}-mAP" for name in ("long", "middle", "short")),
)


def moments(
  queries: Sequence[QueryMoments], limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
  """Windows against the ground truth of (limits[0], limits[1]] seconds.

  Returns [N, K] AP at each threshold, and whether the window listed first
  meets it; NaN for queries that the official means leave out.
  """
  truths, kept = [], []
  for index, query in enumerate(queries):
    length = query.truth[:, 1] - query.truth[:, 0]
    inside = query.truth[(length > limits[0]) & (length <= limits[1])]
    if len(inside):
      truths.append(inside)
      kept.append(index)
  listed = [recall.predicted(queries[i])[:MAX_WINDOWS] for i in kept]
  truth = overlap.pad_segments(truths)
  precision, first = np.full((2, len(queries), len(THRESHOLDS)), np.nan)
  precision[kept] = _precision(listed, *truth)
  first[kept] = _first_overlap(listed, *truth)[:, None] >= np.array(THRESHOLDS)
  # A query that is there with an empty list is left out of the official mean;
  # one that is not there at all, which the official script refuses, is a miss.
  empty = [q.predicted is not None and not len(q.predicted) for q in queries]
  precision[empty] = np.nan
  return precision, first


def _precision(
  listed: Sequence[np.ndarray], truth: np.ndarray, mask: np.ndarray
) -> np.ndarray:
  """AP [Q, K] of windows sorted by score, equal ones as listed."""
  # The few windows of a query fit a rectangle.
  windows, there = overlap.pad_segments(
    [w[np.argsort(-w[:, 2], kind="stable"), :2] for w in listed]
  )
  groups = overlap.Groups(windows[there], there.sum(axis=1), truth, mask)
  true = np.zeros((len(THRESHOLDS), *there.shape), bool)
  true[:, there] = overlap.match(groups, THRESHOLDS)
  ranks = np.arange(1, there.shape[1] + 1)
  precision = np.where(true, np.cumsum(true, axis=2) / ranks, 0.0)
  monotone = np.maximum.accumulate(precision[..., ::-1], axis=2)[..., ::-1]
  mean: np.ndarray = (monotone * true).sum(axis=2) / mask.sum(axis=1)
  return mean.T


def _first_overlap(
  listed: Sequence[np.ndarray], truth: np.ndarray, mask: np.ndarray
) -> np.ndarray:
  """IoU [Q] of the window listed first with the one it overlaps most.

  That one is chosen by true IoU, the first of equals, and scored by the hull.
  """
  first, there = overlap.pad_segments([w[:1, :2] for w in listed])
  shared = overlap.intersection_over_union(first, truth)
  best = np.argmax(np.where(mask, shared, -1.0), axis=1)
  nearest = truth[np.arange(len(best)), best]
  value = overlap.intersection_over_union(first[:, 0], nearest, hull=True)
  return np.where(there[:, 0], value, 0.0)


def _percent(share: float | None) -> float | None:
  """As printed officially; None where there is none."""
  return None if share is None else float(f"{100 * share:.2f}")


def _figures(table: np.ndarray, average: bool) -> dict[str, float | None]:
  """Percent of shares [N, K] by threshold, and their "average"."""
  means = [analysis.mean(column) for column in table.T]
  found = dict(zip(map(str, THRESHOLDS), map(_percent, means), strict=True))
  if average:
    known = [mean for mean in means if mean is not None]
    found["average"] = _percent(float(np.mean(known)) if known else None)
  return found


def evaluate(
  queries: Sequence[QueryMoments], *, expected: int | None = None
) -> Report:
  """Scores a QVHighlights submission, in the official layout, `brief` first.

  Where no query has windows, or none has saliency, that part is not scored. A
  query that is missing from the submission counts as a miss everywhere; one
  that is there with an empty list counts as a miss in R1 and, as officially,
  not at all in mAP. `expected` is how many queries the ground truth has; as
  many as given if None.
  """
  queries = in_order(queries)
  ranked = any(query.saliency is not None for query in queries)
  shares: dict[str, np.ndarray] = {}
  blocks: dict[str, Any] = {}
  brief: dict[str, Any] = {}
  if not ranked or any(query.predicted is not None for query in queries):
    found = {part: moments(queries, limits) for part, limits in RANGES.items()}
    for part, (precision, first) in found.items():
      blocks[part] = {
        "MR-mAP": _figures(precision, average=True),
        "MR-R1": _figures(first, average=False),
      }
    for name in _BRIEF:
      _, part, figure = name.split("-")
      kind, _, at = figure.partition("@")
      brief[name] = blocks[part][f"MR-{kind}"][at or "average"]
      table = found[part][kind == "R1"]
      shares[name] = (
        table[:, THRESHOLDS.index(float(at))] if at else table.mean(axis=1)
      )
  if ranked:
    for name, column in highlights.columns(queries).items():
      block, figure = name.rsplit("-", 1)
      brief[name] = _percent(analysis.mean(column))
      blocks.setdefault(block, {})[f"HL-{figure}"] = brief[name]
      shares[name] = column
  return Report(
    metrics={"brief": brief, **dict(sorted(blocks.items()))},
    headline=brief,
    values={name: 100.0 * column for name, column in shares.items()},
    **recall.of_queries(queries, expected),
  )
