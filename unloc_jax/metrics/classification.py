"""Top-k accuracy of video classification."""

from collections.abc import Sequence

import numpy as np

from unloc_jax.metrics import analysis
from unloc_jax.metrics.report import Confusion, Report

KS = (1, 5)  # How many of the best-scored classes count


def evaluate(
  scores: np.ndarray,
  labels: np.ndarray,
  classes: Sequence[str],
  *,
  expected: int | None = None,
  notes: Sequence[str] = (),
) -> Report:
  """Scores classification of N videos, of which `expected` there should be.

  Args:
    scores: [N, C], the higher the likelier; of equal scores the lower class
      index comes first. A video with a NaN counts as a miss.
    labels: [N] int; at C and above, a class that nothing was scored for.
    classes: Names by label, for the breakdown.
    expected: N if None.
    notes: For the report.
  """
  usable = ~np.isnan(scores).any(axis=1)
  order = np.argsort(-scores, axis=1, kind="stable")
  hits = (order == labels[:, None]) & usable[:, None]
  values = {f"top{k}": 100.0 * hits[:, :k].any(axis=1) for k in KS}
  metrics = {name: analysis.mean(column) for name, column in values.items()}
  lost = len(scores) - int(usable.sum())
  misses = [f"{lost} videos without a number as score: misses"] if lost else []
  return Report(
    metrics=dict(metrics),
    headline=metrics,
    values=values,
    tags={"class": np.array(classes, object)[labels]},
    seen=len(scores) - lost,
    expected=len(scores) if expected is None else expected,
    notes=(*misses, *notes),
    confidence=np.where(usable, scores.max(axis=1), 0.0),
    confusion=Confusion(
      dict(enumerate(classes)), labels[usable], order[usable, 0]
    ),
  )
