"""Detection mAP of temporal action localization, by both conventions.

ActivityNet's counts all annotations. The other, ActionFormer's, first drops
very short and repeated ones; it also reports recall of the best k times n
detections of a class in a video, n being the number of its segments there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations.arrays import FoundSegments, TrueSegments, narrow
from unloc_jax.annotations.reading import fault
from unloc_jax.metrics import analysis, matching
from unloc_jax.metrics.matching import Matched
from unloc_jax.metrics.overlap import THRESHOLDS
from unloc_jax.metrics.report import Report, Table

TOP_K = (1, 5)
SHOWN = (0.5, 0.75, 0.95)
RESAMPLES = 100


def evaluate(
  detections: FoundSegments,
  truth: TrueSegments,
  *,
  thresholds: Sequence[float] = THRESHOLDS,
  resamples: int = RESAMPLES,
  seed: int = 0,
  notes: Sequence[str] = (),
) -> Report:
  """Scores temporal action localization at tIoU thresholds.

  Confidence intervals are of videos drawn again `resamples` times, 0 for none.

  Returns:
    A report whose metrics are {"tiou", "mAP", "average_mAP"} by the official
    convention, and both conventions under "official_activitynet" and
    "actionformer" (that one with "mRecall", and None where it drops all), in
    0..1. Per-example values say of each ground-truth segment whether any
    detection of its class meets it.

  Raises:
    AnnotationError: There is no segment to score against.
  """
  if not len(truth.labels):
    what = "no segment to score against"
    raise fault("ground truth", what, "check the file and --subset")
  matched = matching.match(truth, detections, thresholds)
  precision = matched.average_precision()
  figures = _figures(precision)
  means = _named(100.0 * precision.mean(axis=1), thresholds, "mAP")
  headline = {name: float(value) for name, value in means.items()}
  drawn = 100.0 * matching.resample(truth, detections, matched, resamples, seed)
  draws = _named(drawn.T, thresholds, "mAP") if resamples else {}
  values = _named(100.0 * matched.met(), thresholds, "found")
  del values["found"]
  return Report(
    metrics={
      "tiou": list(thresholds),
      **figures,
      "official_activitynet": figures,
      "actionformer": _clean_figures(detections, truth, matched),
    },
    headline=dict(headline),
    values=values,
    tags=_tags(truth),
    seen=detections.answered,
    expected=len(truth.videos),
    notes=(*notes, *_missing(truth, detections)),
    tables={"class": _class_table(truth, matched, precision)},
    intervals={
      name: analysis.interval(headline[name], column)
      for name, column in draws.items()
    },
  )


def _named(
  values: np.ndarray, thresholds: Sequence[float], name: str
) -> dict[str, np.ndarray]:
  """Values [K, ...] at the thresholds that are shown, and their mean over K."""
  shown = SHOWN if set(SHOWN) <= set(thresholds) else thresholds
  at = {f"{name}@{t:g}": values[list(thresholds).index(t)] for t in shown}
  return {**at, name: values.mean(axis=0)}


def _figures(precision: np.ndarray) -> dict[str, Any]:
  """{"mAP", "average_mAP"} in 0..1 of AP [K, C]."""
  mean = precision.mean(axis=1)
  return {"mAP": mean.tolist(), "average_mAP": float(mean.mean())}


def _clean_figures(
  detections: FoundSegments, truth: TrueSegments, matched: Matched
) -> dict[str, Any] | None:
  """Figures by the other convention; matched anew if it drops anything."""
  lasting = matching.lasting(truth)
  if not lasting.any():
    return None
  if not lasting.all():
    detections, truth = narrow(detections, truth, lasting)
    matched = matching.match(truth, detections, matched.thresholds)
  recalls = []
  for k in TOP_K:
    found = [np.bincount(truth.label, row) for row in matched.met(k)]
    recalls.append((np.array(found) / matched.positives).mean(axis=1))
  return {
    **_figures(matched.average_precision()),
    "mRecall": np.transpose(recalls).tolist(),
    "dropped": int((~lasting).sum()),
  }


def _class_table(
  truth: TrueSegments, matched: Matched, precision: np.ndarray
) -> Table:
  """AP by class, best first."""
  percent = 100.0 * precision
  rows: list[list[Any]] = [
    [
      truth.labels[i],
      int(matched.positives[i]),
      int(matched.begin[i + 1] - matched.begin[i]),
      *percent[:, i].tolist(),
      float(percent[:, i].mean()),
    ]
    for i in np.argsort(-percent.mean(axis=0), kind="stable")
  ]
  names = [f"AP@{t:g}" for t in matched.thresholds]
  return ["class", "segments", "detections", *names, "AP"], rows


def _tags(truth: TrueSegments) -> dict[str, np.ndarray]:
  """Length, number of segments in the video, and class of each segment."""
  in_video = np.bincount(truth.video, minlength=len(truth.videos))
  return {
    "length": truth.segment[:, 1] - truth.segment[:, 0],
    "segments": in_video[truth.video].astype(float),
    "class": np.array(truth.labels, object)[truth.label],
  }


def _missing(truth: TrueSegments, detections: FoundSegments) -> list[str]:
  """Videos with ground truth and no detection, counted and named."""
  silent = sorted(set(truth.video.tolist()) - set(detections.video.tolist()))
  if not silent:
    return []
  named = ", ".join(truth.videos[i] for i in silent[:5])
  more = ", ..." if len(silent) > 5 else ""
  return [f"{len(silent)} videos without detections, misses: {named}{more}"]
