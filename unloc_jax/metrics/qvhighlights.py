"""QVHighlights: moment retrieval and highlight detection, as scored officially.

The layout of the metrics, their keys and their rounding to two decimals are
those of the official script.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations.arrays import QueryMoments
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
# Metrics in the official layout, the brief, per-query values [N] in percent.
Blocks = tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]


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


def percent(share: np.ndarray | np.floating[Any]) -> float | None:
  """Rounds a mean of shares as printed officially; None where there is none."""
  if not share.size or np.isnan(share).any():
    return None
  return float(f"{100 * np.mean(share):.2f}")


def _moment_block(found: Moments) -> dict[str, Any]:
  """The block of one range of lengths in the official layout."""
  rows = found.precision[~np.isnan(found.precision).any(axis=1)]
  mean = rows.mean(axis=0) if len(rows) else np.full(len(THRESHOLDS), np.nan)
  by_threshold = {
    str(t): percent(m) for t, m in zip(THRESHOLDS, mean, strict=True)
  }
  return {
    "MR-mAP": {**by_threshold, "average": percent(mean)},
    "MR-R1": {str(t): percent(found.overlap >= t) for t in THRESHOLDS},
  }


def _moments_scored(queries: Sequence[QueryMoments]) -> Blocks:
  """Moment retrieval, in ranges of ground-truth length in seconds."""
  found = {name: moments(queries, limits) for name, limits in RANGES.items()}
  blocks = {name: _moment_block(each) for name, each in found.items()}
  full = blocks["full"]
  brief = {
    "MR-full-R1@0.5": full["MR-R1"]["0.5"],
    "MR-full-R1@0.7": full["MR-R1"]["0.7"],
    "MR-full-mAP": full["MR-mAP"]["average"],
    "MR-full-mAP@0.5": full["MR-mAP"]["0.5"],
    "MR-full-mAP@0.75": full["MR-mAP"]["0.75"],
  }
  values = {
    f"MR-full-R1@{t}": 100.0 * (found["full"].overlap >= t) for t in (0.5, 0.7)
  }
  values["MR-full-mAP"] = 100.0 * found["full"].precision.mean(axis=1)
  for name in ("long", "middle", "short"):
    brief[f"MR-{name}-mAP"] = blocks[name]["MR-mAP"]["average"]
    column = np.full(len(queries), np.nan)
    column[found[name].index] = 100.0 * found[name].precision.mean(axis=1)
    values[f"MR-{name}-mAP"] = column
  return blocks, brief, values


def _highlights_scored(queries: Sequence[QueryMoments]) -> Blocks:
  """Highlight detection, of the queries that people gave scores for."""
  there = [query.highlights is not None for query in queries]
  columns = highlights.columns(
    [query.saliency for query in queries if query.highlights is not None],
    [q.highlights for q in queries if q.highlights is not None],
  )
  blocks: dict[str, Any] = {}
  brief: dict[str, Any] = {}
  values = {}
  for name, column in columns.items():
    block, figure = name.rsplit("-", 1)
    mean = column.mean(keepdims=True) if len(column) else column
    brief[name] = percent(mean / 100.0)
    blocks.setdefault(block, {})[f"HL-{figure}"] = brief[name]
    values[name] = np.full(len(queries), np.nan)
    values[name][there] = column
  return blocks, brief, values


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
  queries = sorted(queries, key=lambda query: query.id)
  ranked = any(query.saliency is not None for query in queries)
  parts: list[Blocks] = []
  if not ranked or any(query.predicted is not None for query in queries):
    parts.append(_moments_scored(queries))
  if ranked:
    parts.append(_highlights_scored(queries))
  blocks = {name: value for part in parts for name, value in part[0].items()}
  brief = {name: value for part in parts for name, value in part[1].items()}
  return Report(
    metrics={"brief": brief, **dict(sorted(blocks.items()))},
    headline=brief,
    values={name: each for part in parts for name, each in part[2].items()},
    **recall.of_queries(queries, expected),
  )
