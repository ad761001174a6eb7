"""Top-k accuracy of video classification."""

from collections.abc import Sequence

import numpy as np

from unloc_jax.metrics import analysis
from unloc_jax.metrics.problems import MetricsError, Problems
from unloc_jax.metrics.report import Report

KS = (1, 5)


def evaluate(
  scores: np.ndarray,
  labels: np.ndarray,
  *,
  names: Sequence[str] | None = None,
  classes: Sequence[str] | None = None,
  expected: int | None = None,
  ks: Sequence[int] = KS,
  lenient: bool = False,
) -> Report:
  """Scores classification.

  Args:
    scores: [N, C], the higher the likelier; of equal scores the lower class
      index comes first.
    labels: [N] int.
    names: N ids of videos, for complaints.
    classes: C names, for the breakdown by class.
    expected: Number of videos there should be; N if None.
    ks: Values of k.
    lenient: Count videos that cannot be scored as misses instead of raising.

  Returns:
    A report whose metrics are {"top1": percent, "top5": percent}.

  Raises:
    MetricsError: On NaN scores and on labels which are no class.
  """
  problems = Problems(lenient)
  scores, labels = np.asarray(scores, float), np.asarray(labels, int)
  if scores.ndim != 2 or labels.shape != scores.shape[:1] or not scores.size:
    raise MetricsError(
      f"predictions: scores of shape {scores.shape} and labels of shape"
      f" {labels.shape}; give [videos, classes] and [videos]"
    )
  number = len(scores)
  if names is None:
    names = [str(index) for index in range(number)]
  usable = _usable(scores, labels, names, problems)
  order = np.argsort(-scores, axis=1, kind="stable")
  hits = order == labels[:, None]
  values = {f"top{k}": 100.0 * (hits[:, :k].any(axis=1) & usable) for k in ks}
  metrics = {name: analysis.mean(column) for name, column in values.items()}
  return Report(
    metrics=dict(metrics),
    headline=metrics,
    values=values,
    tags={"class": _class_names(labels, classes)},
    seen=int(usable.sum()),
    expected=number if expected is None else expected,
    notes=tuple(problems.skipped),
  )


def _usable(
  scores: np.ndarray,
  labels: np.ndarray,
  names: Sequence[str],
  problems: Problems,
) -> np.ndarray:
  """Says which videos [N] can be scored."""
  unknown = (labels < 0) | (labels >= scores.shape[1])
  usable = ~np.isnan(scores).any(axis=1) & ~unknown
  for index in np.flatnonzero(~usable).tolist():
    what = "NaN among the scores"
    if unknown[index]:
      what = f"label {labels[index]} is not one of {scores.shape[1]} classes"
    where = f"predictions:{index + 1}"
    problems.report(where, names[index], what, "counts as a miss")
  return usable


def _class_names(
  labels: np.ndarray, classes: Sequence[str] | None
) -> np.ndarray:
  """Name of the class of each video [N]; its number where there is none."""
  known = range(0 if classes is None else len(classes))
  named = [
    classes[label] if classes is not None and label in known else str(label)
    for label in labels.tolist()
  ]
  return np.array(named, object)
