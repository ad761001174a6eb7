"""QVHighlights: moment retrieval and highlight detection, as scored officially.

The layout of the metrics, their keys and their rounding to two decimals are
those of the official script.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.metrics import highlights, overlap, pairing
from unloc_jax.metrics.files import Row, Rows
from unloc_jax.metrics.pairing import Paired, Query
from unloc_jax.metrics.problems import Problems
from unloc_jax.metrics.report import Report

THRESHOLDS = tuple(float(f"{t:.2f}") for t in np.linspace(0.5, 0.95, 10))
MAX_WINDOWS = 10
RANGES: Mapping[str, tuple[float, float] | None] = {
  "short": (0, 10),
  "middle": (10, 30),
  "long": (30, 150),
  "full": None,
}


@dataclasses.dataclass(frozen=True)
class Moments:
  """Per-query results of one range of lengths, for Q of its queries.

  Attributes:
    index: [Q] into all queries.
    precision: [Q, K] AP at each threshold; NaN for queries the official mean
      leaves out.
    overlap: [Q] IoU of the window listed first.
  """

  index: np.ndarray
  precision: np.ndarray
  overlap: np.ndarray


def moments(
  queries: Sequence[Query], limits: tuple[float, float] | None
) -> Moments:
  """Matches windows to the ground truth whose length is in a range.

  Args:
    queries: All queries.
    limits: Shorter than or as long as the first is left out, longer than the
      second too, in seconds; None keeps every window.
  """
  truths, kept = [], []
  for index, query in enumerate(queries):
    truth = query.truth
    if limits is not None:
      length = truth[:, 1] - truth[:, 0]
      truth = truth[(length > limits[0]) & (length <= limits[1])]
    if len(truth):
      truths.append(truth)
      kept.append(index)
  chosen = [queries[index] for index in kept]
  listed = [
    np.zeros((0, 3)) if q.predicted is None else q.predicted[:MAX_WINDOWS]
    for q in chosen
  ]
  precision = _precision(listed, truths)
  # A query that is there with an empty list is left out of the official mean;
  # one that is not there at all, which the official script refuses, is a miss.
  empty = np.array(
    [
      q.submission is not None and not len(w)
      for q, w in zip(chosen, listed, strict=True)
    ],
    bool,
  )
  precision[empty] = np.nan
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
  return ((monotone * tall).sum(axis=2) / mask.sum(axis=1)).T


def _first_overlap(
  listed: Sequence[np.ndarray], truths: Sequence[np.ndarray]
) -> np.ndarray:
  """IoU [Q] of the window listed first with the one it overlaps most.

  The window is chosen by true IoU, the first of equals, and scored by the
  hull of the pair.
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


def percent(value: float | np.floating[Any]) -> float | None:
  """Rounds a share as printed officially; None where there is no query."""
  return None if np.isnan(value) else float(f"{100 * value:.2f}")


def _mean(values: np.ndarray) -> np.ndarray:
  """Mean over queries [..., Q, K] -> [K], NaN where there are none."""
  values = values[~np.isnan(values).any(axis=1)]
  return values.mean(0) if len(values) else np.full(values.shape[1], np.nan)


def moment_block(
  found: Moments, recall_thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Any]:
  """Returns the block of one range of lengths in the official layout."""
  mean = _mean(found.precision)
  precision = {
    str(t): percent(m) for t, m in zip(THRESHOLDS, mean, strict=True)
  }
  precision["average"] = percent(np.mean(mean))
  recall = {}
  for threshold in recall_thresholds:
    hits = found.overlap >= threshold
    recall[str(threshold)] = percent(np.mean(hits) if len(hits) else np.nan)
  return {"MR-mAP": precision, "MR-R1": recall}


def _moment_brief(blocks: Mapping[str, Any]) -> dict[str, Any]:
  full = blocks["full"]
  brief = {
    "MR-full-R1@0.5": full["MR-R1"]["0.5"],
    "MR-full-R1@0.7": full["MR-R1"]["0.7"],
    "MR-full-mAP": full["MR-mAP"]["average"],
    "MR-full-mAP@0.5": full["MR-mAP"]["0.5"],
    "MR-full-mAP@0.75": full["MR-mAP"]["0.75"],
  }
  for name in ("long", "middle", "short"):
    brief[f"MR-{name}-mAP"] = blocks[name]["MR-mAP"]["average"]
  return brief


def score_moments(
  queries: Sequence[Query],
  ranges: Mapping[str, tuple[float, float] | None] = RANGES,
  recall_thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
  """Moment retrieval.

  Args:
    queries: All queries.
    ranges: Name -> limits of ground-truth length in seconds.
    recall_thresholds: IoU of R1.

  Returns:
    Blocks by range, the brief, and per-query values [N] in percent.
  """
  found = {name: moments(queries, limits) for name, limits in ranges.items()}
  blocks = {
    name: moment_block(each, recall_thresholds) for name, each in found.items()
  }
  full = found["full"]
  values = {
    "MR-full-R1@0.5": 100.0 * (full.overlap >= 0.5),
    "MR-full-R1@0.7": 100.0 * (full.overlap >= 0.7),
    "MR-full-mAP": 100.0 * full.precision.mean(axis=1),
  }
  for name in ("short", "middle", "long"):
    column = np.full(len(queries), np.nan)
    column[found[name].index] = 100.0 * found[name].precision.mean(axis=1)
    values[f"MR-{name}-mAP"] = column
  return blocks, _moment_brief(blocks), values


def score_highlights(
  paired: Paired, problems: Problems
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
  """Highlight detection: blocks by level, the brief, per-query values."""
  kept, predicted, truth = [], [], []
  for index, query in enumerate(paired.queries):
    saliency = highlights.annotated(
      query.annotation, query.annotated_at, query.qid, problems
    )
    if saliency is None:
      continue
    kept.append(index)
    truth.append(saliency)
    predicted.append(_saliency(query, problems))
  columns = highlights.columns(predicted, truth)
  blocks: dict[str, Any] = {}
  brief: dict[str, Any] = {}
  values = {}
  for name in highlights.LEVELS:
    block = f"HL-min-{name}"
    blocks[block] = {}
    for figure in ("mAP", "Hit1"):
      column = columns[f"{block}-{figure}"]
      share = column.mean() / 100.0 if len(column) else np.nan
      blocks[block][f"HL-{figure}"] = percent(share)
      brief[f"{block}-{figure}"] = percent(share)
      values[f"{block}-{figure}"] = np.full(len(paired.queries), np.nan)
      values[f"{block}-{figure}"][kept] = column
  return blocks, brief, values


def _saliency(query: Query, problems: Problems) -> np.ndarray | None:
  """Checks `pred_saliency_scores`; None counts as a miss."""
  if query.submission is None:
    return None
  what = "no `pred_saliency_scores`"
  if "pred_saliency_scores" in query.submission:
    what = "`pred_saliency_scores` is no list of finite numbers"
    try:
      scores = np.asarray(query.submission["pred_saliency_scores"], float)
      if scores.ndim == 1 and len(scores) and np.isfinite(scores).all():
        return scores
    except (TypeError, ValueError):
      pass
  problems.report(query.submitted_at, query.qid, what, "counts as a miss")
  return None


def evaluate(
  predictions: Rows | Sequence[Row],
  ground_truth: Rows | Sequence[Row],
  *,
  lenient: bool = False,
) -> Report:
  """Scores a QVHighlights submission.

  Args:
    predictions: [{"qid", "query", "vid", "pred_relevant_windows",
      "pred_saliency_scores"}]; either of the last two may be left out of all
      rows, and is then not scored.
    ground_truth: Rows of `highlight_*_release.jsonl` with `relevant_windows`,
      and with `relevant_clip_ids` and `saliency_scores` where highlights are
      predicted.
    lenient: Skip and note what cannot be scored instead of raising.

  Returns:
    A report whose metrics have the official layout, `brief` first. A query
    that is missing from the submission counts as a miss everywhere; one that
    is there with an empty list counts as a miss in R1 and, as officially, not
    at all in mAP.

  Raises:
    MetricsError: On unknown or repeated ids, NaN, reversed segments.
  """
  problems = Problems(lenient)
  paired = pairing.pair(predictions, ground_truth, problems)
  rows = [q.submission for q in paired.queries if q.submission is not None]
  brief: dict[str, Any] = {}
  blocks: dict[str, Any] = {}
  values: dict[str, np.ndarray] = {}
  if any("pred_relevant_windows" in row for row in rows) or not rows:
    some, short, columns = score_moments(paired.queries)
    blocks.update(some)
    brief.update(short)
    values.update(columns)
  if any("pred_saliency_scores" in row for row in rows):
    some, short, columns = score_highlights(paired, problems)
    blocks.update(some)
    brief.update(short)
    values.update(columns)
  return Report(
    metrics={"brief": brief, **dict(sorted(blocks.items()))},
    headline=brief,
    values=values,
    tags=paired.tags(),
    seen=paired.seen,
    expected=paired.expected,
    notes=(*paired.notes, *problems.skipped),
  )


def exchange_layout(
  queries: Sequence[Query],
) -> dict[str, Any]:
  """The same layout for other benchmarks, as DETR-style toolkits print it.

  R1 goes down to IoU 0.3, long windows have no upper limit, and the brief
  also holds R1@0.3 and the mean IoU.
  """
  ranges = {**RANGES, "long": (30, float("inf"))}
  thresholds = (0.3, 0.35, 0.4, 0.45, *THRESHOLDS)
  blocks, brief, _ = score_moments(queries, ranges, thresholds)
  full = moments(queries, None)
  brief["MR-full-R1@0.3"] = blocks["full"]["MR-R1"]["0.3"]
  brief["MR-full-mIoU"] = percent(
    float(np.mean(full.overlap)) if len(full.overlap) else np.nan
  )
  return {
    "brief": dict(sorted(brief.items())),
    **dict(sorted(blocks.items())),
  }
