"""Scores submissions with the official scripts' numbers. NumPy only.

Every evaluator takes what the official files hold, as JSON values in memory or
as read by this package, and returns a `Report`:

  recall.evaluate(predictions, ground_truth)
    Moment retrieval (ActivityNet Captions, Charades-STA, TACoS): R{k}@{m},
    mIoU. Rows {"qid", "query", "vid", "pred_relevant_windows": [[start, end,
    score], ...]} and {"qid", "query", "vid", "duration", "relevant_windows"}.
  qvhighlights.evaluate(predictions, ground_truth)
    QVHighlights; the same rows, with "pred_saliency_scores" and
    "relevant_clip_ids", "saliency_scores". The metrics have the official
    layout.
  detection.evaluate(predictions, ground_truth, thresholds=, subset=)
    ActivityNet, THUMOS14: {"results": {VID: [{"label", "score", "segment"}]}}
    and {"database": {VID: {"subset", "annotations": [...]}}}.
  segmentation.evaluate([segmentation.Video(name, predicted, truth, scores)])
    COIN and others: the class of every frame.
  classification.evaluate(scores, labels)
    Top-1 and top-5.

A report says how many examples were seen of how many. `report.metrics` is what
a metrics file holds, `report.headline` what a log line holds, in percent.

  show.text(report, benchmark)      all of it as plain-text tables
  show.to_json(report, resamples, seed)  figures and analysis as JSON values
  analysis.breakdown(report, "kind")     results by a tag: "length", "segments",
                                    "class", or any string of the ground truth
  analysis.intervals(report)        seeded bootstrap confidence intervals
  table.render(headers, rows)       a plain-text table
  files.write_json(path, value)     whole or not at all
  frames.write_npz(path, videos)    a segmentation submission

`python -m unloc_jax.metrics --help` describes the command and the formats.
All raise `MetricsError`, one line with file, line and id, on input that cannot
be scored, unless `lenient=True` skips it and notes so in the report.
"""

from unloc_jax.metrics import (
  analysis,
  classification,
  detection,
  files,
  frames,
  moments,
  qvhighlights,
  recall,
  segmentation,
  show,
  table,
)
from unloc_jax.metrics.problems import MetricsError, Problems
from unloc_jax.metrics.report import Interval, Report

__all__ = [
  "Interval",
  "MetricsError",
  "Problems",
  "Report",
  "analysis",
  "classification",
  "detection",
  "files",
  "frames",
  "moments",
  "qvhighlights",
  "recall",
  "segmentation",
  "show",
  "table",
]
