"""Scores predictions with the official scripts' numbers. NumPy only.

Every evaluator takes the arrays of `unloc_jax.annotations.arrays`, made in this
process or read by `unloc_jax.annotations`, and returns a `Report`:

  recall           moment retrieval: R{k}@{m}, mIoU
  qvhighlights     QVHighlights, in the official layout
  detection        ActivityNet, THUMOS14: mAP by both conventions
  segmentation     the class of every frame: accuracy, mAP, edit, F1
  classification   top-1 and top-5

`report.metrics` is what a metrics file holds, `report.headline` what a log line
holds, in percent; a report says how many examples were seen of how many.
`show.text` lays it out, `analysis` breaks it down and gives intervals.

No figure depends on the order of a file or of the arguments, but where the
official script's own does (windows of one query with equal scores).
"""

from unloc_jax.metrics.report import Interval, Report

__all__ = ["Interval", "Report"]
