"""QVHighlights: moment retrieval and highlight detection, as scored officially.

The layout of the metrics, their keys and their rounding to two decimals are
those of the official script.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations.arrays import QueryMoments, in_order
from unloc_jax.metrics import highlights, overlap, recall
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


@dataclasses.dataclass(frozen=True)
class Moments:
  """Per-query results of one range of lengths, for Q of its queries."""

  index: np.ndarray  # [Q] into all queries
  # [Q, K] AP at each threshold; NaN for queries the official mean leaves out
  precision: np.ndarray
  overlap: np.ndarray  # [Q] IoU of the window listed first


def moments(
  queries: Sequence[QueryMoments], limits: tuple[float, float]
) -> Moments:
  """Matches windows to the ground truth of (limits[0], limits[1]] seconds."""
  truths, kept = [], []
  for index, query in enumerate(queries):
    length = query.truth[:, 1] - query.truth[:, 0]
    inside = query.truth[(length > limits[0]) & (length <= limits[1])]
    if len(inside):
      truths.append(inside)
      kept.append(index)
  listed = [recall.predicted(queries[i])[:MAX_WINDOWS] for i in kept]
  precision = _precision(listed, truths)
  # A query that is there with an empty list is left out of the official mean;
  # one that is not there at all, which the official script refuses, is a miss.
  for row, (index, windows) in enumerate(zip(kept, listed, strict=True)):
    if queries[index].predicted is not None and not len(windows):
      precision[row] = np.nan
  return Moments(np.array(kept, int), precision, _first_overlap(listed, truths))


def _precision(
  listed: Sequence[np.ndarray], truths: Sequence[np.ndarray]
) -> np.ndarray:
  """AP [Q, K] of windows sorted by score, equal ones as listed."""
  ordered = [w[np.argsort(-w[:, 2], kind="stable"), :2] for w in listed]
  count = np.array([len(each) for each in ordered], int)
  begin = np.cumsum(count) - count
  truth, mask = overlap.pad_segments(list(truths))
  stacked = np.concatenate([np.zeros((0, 2)), *ordered])
  true = overlap.match(
    overlap.Groups(stacked, begin, count, truth, mask), np.array(THRESHOLDS)
  )
  # [K, Q, D]: the few windows of a query fit a rectangle.
  width = max(1, int(count.max(initial=0)))
  there = np.arange(width)[None, :] < count[:, None]
  tall = np.zeros((len(THRESHOLDS), *there.shape), bool)
  tall[:, there] = true
  found = np.cumsum(tall, axis=2)
  precision = np.where(tall, found / np.arange(1, width + 1), 0.0)
  monotone = np.maximum.accumulate(precision[..., ::-1], axis=2)[..., ::-1]
  mean: np.ndarray = (monotone * tall).sum(axis=2) / mask.sum(axis=1)
  return mean.T


def _first_overlap(
  listed: Sequence[np.ndarray], truths: Sequence[np.ndarray]
) -> np.ndarray:
  """IoU [Q] of the window listed first with the one it overlaps most.

  That one is chosen by true IoU, the first of equals, and scored by the hull.
  """
  truth, mask = overlap.pad_segments(list(truths))
  first = np.array([w[0, :2] if len(w) else (0.0, 0.0) for w in listed])
  first = first.reshape(-1, 1, 2)
  shared = overlap.intersection_over_union(first, truth)
  best = np.argmax(np.where(mask, shared, -1.0), axis=1)
  rows = np.arange(len(listed))
  value = overlap.intersection_over_union(
    first[:, 0], truth[rows, best], hull=True
  )
  return np.where([len(w) > 0 for w in listed], value, 0.0)


def _mean(shares: np.ndarray) -> float:
  """Mean of the queries [N] that have a share; NaN where none has."""
  kept = shares[~np.isnan(shares)]
  return float(np.mean(kept)) if kept.size else np.nan


def _percent(share: float) -> float | None:
  """As printed officially; None where there is none."""
  return None if np.isnan(share) else float(f"{100 * share:.2f}")


def _moment_columns(queries: Sequence[QueryMoments]) -> dict[str, np.ndarray]:
  """Shares [N] of moments, "MR-full-mAP@0.5"; NaN where a query has none."""
  columns: dict[str, np.ndarray] = {}
  for name, limits in RANGES.items():
    found = moments(queries, limits)
    tables = np.full((2, len(queries), len(THRESHOLDS)), np.nan)
    tables[0, found.index] = found.overlap[:, None] >= np.array(THRESHOLDS)
    tables[1, found.index] = found.precision
    for kind, table in zip(("R1", "mAP"), tables, strict=True):
      for threshold, column in zip(THRESHOLDS, table.T, strict=True):
        columns[f"MR-{name}-{kind}@{threshold}"] = column
    columns[f"MR-{name}-mAP"] = tables[1].mean(axis=1)
  return columns


def _moment_figures(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """{"full": {"MR-mAP": {"0.5", ..., "average"}, "MR-R1"}, "long", ...}."""
  blocks: dict[str, Any] = {}
  for name in RANGES:
    by_kind = [
      {str(t): _mean(columns[f"MR-{name}-{kind}@{t}"]) for t in THRESHOLDS}
      for kind in ("mAP", "R1")
    ]
    by_kind[0]["average"] = float(np.mean(list(by_kind[0].values())))
    precision, recalls = (
      {key: _percent(share) for key, share in each.items()} for each in by_kind
    )
    blocks[name] = {"MR-mAP": precision, "MR-R1": recalls}
  return blocks


def _highlight_columns(
  queries: Sequence[QueryMoments],
) -> dict[str, np.ndarray]:
  """Shares [N] of clips, "HL-min-Fair-mAP"; NaN where nobody gave scores."""
  there = [query.highlights is not None for query in queries]
  shares = highlights.columns(
    [query.saliency for query in queries if query.highlights is not None],
    [q.highlights for q in queries if q.highlights is not None],
  )
  columns = {name: np.full(len(queries), np.nan) for name in shares}
  for name, share in shares.items():
    columns[name][there] = share
  return columns


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
    shares = _moment_columns(queries)
    blocks = _moment_figures(shares)
    for name in _BRIEF:
      _, part, figure = name.split("-")
      kind, _, at = figure.partition("@")
      brief[name] = blocks[part][f"MR-{kind}"][at or "average"]
  if ranked:
    for name, column in _highlight_columns(queries).items():
      block, figure = name.rsplit("-", 1)
      brief[name] = _percent(_mean(column))
      blocks.setdefault(block, {})[f"HL-{figure}"] = brief[name]
      shares[name] = column
  return Report(
    metrics={"brief": brief, **dict(sorted(blocks.items()))},
    headline=brief,
    values={name: 100.0 * shares[name] for name in brief},
    **recall.of_queries(queries, expected),
  )
