"""Hand-made files, and arrays as readers make them of what is quickly told."""

import pathlib

import numpy as np

from unloc_jax.annotations.arrays import (
  FoundSegments,
  QueryMoments,
  TrueSegments,
)

MADE = pathlib.Path(__file__).parent.parent / "data" / "metrics"


def queries(truths, predictions):
  """Queries "0", "1", ...; a prediction None is a query left unanswered."""
  return [
    QueryMoments(
      str(i),
      np.array(truth, float).reshape(-1, 2),
      None if found is None else np.array(found, float).reshape(-1, 3),
    )
    for i, (truth, found) in enumerate(zip(truths, predictions, strict=True))
  ]


def segments(truth, found):
  """(found, truth) of {video: [(label, start, end)]} and the same with score.

  Labels that the truth does not know are left out.
  """
  rows = [(video, *row) for video in truth for row in truth[video]]
  real = TrueSegments.of(truth, rows)
  number = {name: i for i, name in enumerate(real.labels)}
  tables = {
    video: np.array(
      [(number.get(label, -1), *rest) for label, *rest in found[video]], float
    ).reshape(-1, 4)
    for video in found
  }
  return FoundSegments.of(real, tables), real
