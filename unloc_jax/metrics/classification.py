"""Top-k accuracy of video classification."""

from collections.abc import Sequence

import numpy as np

from unloc_jax.metrics import analysis
from unloc_jax.metrics.report import Report

KS = (1, 5)


def evaluate(
  scores: np.ndarray,
  labels: np.ndarray,
  classes: Sequence[str],
  *,
  expected: int | None = None,
  ks: Sequence[int] = KS,
) -> Report:
  """Scores classification of N videos, of which `expected` there should be.

  Args:
    scores: [N, C], the higher the likelier; of equal scores the lower class
      index comes first. A video with a NaN counts as a miss.
    labels: [N] int.
    classes: C names, for the breakdown by class.
    expected: N if None.
    ks: How many of the best-scored classes count.
  """
  usable = ~np.isnan(scores).any(axis=1)
  order = np.argsort(-scores, axis=1, kind="stable")
  hits = (order == labels[:, None]) & usable[:, None]
  values = {f"top{k}": 100.0 * hits[:, :k].any(axis=1) for k in ks}
  metrics = {name: analysis.mean(column) for name, column in values.items()}
  lost = len(scores) - int(usable.sum())
  return Report(
    metrics=dict(metrics),
    headline=metrics,
    values=values,
    tags={"class": np.array(classes, object)[labels]},
    seen=len(scores) - lost,
    expected=len(scores) if expected is None else expected,
    notes=(f"{lost} videos with NaN among the scores: misses",) if lost else (),
  )
