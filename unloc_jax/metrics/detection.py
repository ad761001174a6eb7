"""Detection mAP of temporal action localization, by both conventions.

ActivityNet's counts all annotations. The other, ActionFormer's, first drops
very short and repeated ones; it also reports recall of the best k times n
detections of a class in a video, n being the number of its segments there.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from unloc_jax.metrics import analysis, files, labelled, matching
from unloc_jax.metrics.files import Document
from unloc_jax.metrics.labelled import Detections, Truth
from unloc_jax.metrics.matching import Matched
from unloc_jax.metrics.problems import MetricsError, Problems
from unloc_jax.metrics.report import Interval, Report

ACTIVITYNET = tuple(float(f"{t:.2f}") for t in np.linspace(0.5, 0.95, 10))
THUMOS14 = (0.3, 0.4, 0.5, 0.6, 0.7)
SHOWN = (0.5, 0.75, 0.95)
RESAMPLES = 100


def _tables(
  truth: Truth, matched: Matched, thresholds: Sequence[float]
) -> dict[str, tuple[list[str], list[list[Any]]]]:
  """AP by class, best first."""
  precision = 100.0 * matched.average_precision()
  order = np.argsort(-precision.mean(axis=0), kind="stable")
  rows = [
    [
      truth.labels[i],
      int(matched.positives[i]),
      int(matched.begin[i + 1] - matched.begin[i]),
      *[float(each) for each in precision[:, i]],
      float(precision[:, i].mean()),
    ]
    for i in order
  ]
  names = [f"AP@{t:g}" for t in thresholds]
  return {"class": (["class", "segments", "detections", *names, "AP"], rows)}


def _figures(
  truth: Truth, matched: Matched
) -> tuple[dict[str, Any], np.ndarray]:
  """Returns {"mAP": [K], "average_mAP"} in 0..1, and mAP [K]."""
  if not len(truth.labels):
    raise MetricsError(
      "ground truth: no segment to score against; check the file and --subset"
    )
  mean = matched.average_precision().mean(axis=1)
  figures = {
    "mAP": [float(each) for each in mean],
    "average_mAP": float(mean.mean()),
  }
  return figures, mean


def _clean_figures(
  document: Document,
  truth: Truth,
  problems: Problems,
  blocked: Collection[str],
  thresholds: Sequence[float],
  official: tuple[Detections, Matched],
) -> dict[str, Any] | None:
  """Figures by the other convention; recomputed only if it drops anything."""
  cleaned = labelled.clean(truth)
  if not len(cleaned.segment):
    return None
  detections, matched = official
  if len(cleaned.segment) < len(truth.segment):
    if len(cleaned.labels) < len(truth.labels):
      # A class may be gone with its segments: its detections go too.
      quiet = Problems(lenient=True)
      detections = labelled.read_detections(document, cleaned, quiet, blocked)
    matched = matching.match(cleaned, detections, thresholds)
  figures, _ = _figures(cleaned, matched)
  recall = matching.recall_at(cleaned, detections, thresholds)
  figures["mRecall"] = [[float(each) for each in row] for row in recall]
  figures["dropped"] = len(truth.segment) - len(cleaned.segment)
  return figures


def _headline(
  mean: np.ndarray, thresholds: Sequence[float]
) -> dict[str, float | None]:
  shown = SHOWN if SHOWN[-1] in thresholds else thresholds
  headline: dict[str, float | None] = {
    f"mAP@{t:g}": float(100 * mean[list(thresholds).index(t)])
    for t in shown
    if t in thresholds
  }
  headline["mAP"] = float(100 * mean.mean())
  return headline


def evaluate(
  predictions: Document | dict[str, Any],
  ground_truth: Document | dict[str, Any],
  *,
  thresholds: Sequence[float] = ACTIVITYNET,
  subset: str = "validation",
  blocked: Collection[str] = (),
  lenient: bool = False,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Report:
  """Scores temporal action localization.

  Args:
    predictions: {"results": {VID: [{"label", "score", "segment"}]}}, seconds.
    ground_truth: {"database": {VID: {"subset", "annotations": [{"segment",
      "label"}]}}}.
    thresholds: tIoU; `ACTIVITYNET` or `THUMOS14`.
    subset: Which videos; "" for all.
    blocked: Ids of videos that are left out on both sides.
    lenient: Skip and note what cannot be scored instead of raising.
    resamples: Draws of videos for the confidence intervals, 0 for none.
    seed: Of those draws.

  Returns:
    A report whose metrics are {"tiou", "mAP", "average_mAP"} by the official
    convention, and both conventions under "official_activitynet" and
    "actionformer" (that one with "mRecall", and None where it drops all), in
    0..1. Per-example values say of each ground-truth segment whether any
    detection of its class meets it.

  Raises:
    MetricsError: On unknown videos and classes, NaN, reversed segments.
  """
  problems = Problems(lenient)
  document = files.as_document(predictions, "predictions")
  known = files.as_document(ground_truth, "ground truth")
  key = labelled.label_key(document)
  truth = labelled.read_truth(known, problems, subset, blocked, key)
  detections = labelled.read_detections(document, truth, problems, blocked)
  matched = matching.match(truth, detections, thresholds)
  figures, mean = _figures(truth, matched)
  other = _clean_figures(
    document, truth, problems, blocked, thresholds, (detections, matched)
  )
  headline = _headline(mean, thresholds)
  drawn = matching.resample(truth, detections, matched, resamples, seed)
  both = {"official_activitynet": figures, "actionformer": other}
  return Report(
    metrics={"tiou": [float(t) for t in thresholds], **figures, **both},
    headline=headline,
    values=_values(truth, detections, thresholds),
    tags=_tags(truth),
    seen=detections.videos,
    expected=len(truth.videos),
    notes=(*truth.notes, *_missing(truth, detections), *problems.skipped),
    tables=_tables(truth, matched, thresholds),
    intervals=_intervals(headline, 100 * drawn, thresholds),
  )


def _values(
  truth: Truth, detections: Detections, thresholds: Sequence[float]
) -> dict[str, np.ndarray]:
  """Whether a detection meets each ground-truth segment, in percent."""
  found = matching.met(truth, detections, thresholds)
  shown = SHOWN if SHOWN[-1] in thresholds else thresholds
  return {
    f"found@{t:g}": 100.0 * found[k]
    for k, t in enumerate(thresholds)
    if t in shown
  }


def _tags(truth: Truth) -> dict[str, np.ndarray]:
  """Length, number of segments in the video, and class of each segment."""
  in_video = np.bincount(truth.video, minlength=len(truth.videos))
  return {
    "length": truth.segment[:, 1] - truth.segment[:, 0],
    "segments": in_video[truth.video].astype(float),
    "class": np.array(truth.labels, object)[truth.label],
  }


def _missing(truth: Truth, detections: Detections) -> list[str]:
  """Videos with ground truth and no detection, counted and named."""
  silent = sorted(set(truth.video.tolist()) - set(detections.video.tolist()))
  if not silent:
    return []
  named = ", ".join(truth.videos[i] for i in silent[:5])
  more = ", ..." if len(silent) > 5 else ""
  return [f"{len(silent)} videos without detections, misses: {named}{more}"]


def _intervals(
  headline: dict[str, float | None],
  drawn: np.ndarray,
  thresholds: Sequence[float],
) -> dict[str, Interval]:
  """Intervals of the headline figures; drawn [R, K] in percent."""
  intervals: dict[str, Interval] = {}
  if not len(drawn):
    return intervals
  for name, value in headline.items():
    _, _, threshold = name.partition("@")
    column = (
      drawn[:, list(thresholds).index(float(threshold))]
      if threshold
      else drawn.mean(axis=1)
    )
    intervals[name] = analysis.interval(float(value or 0.0), column)
  return intervals
