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


def draw_segments(rng, number, whole=False):
  if whole:  # Of whole seconds: many are equal, some have no length.
    return np.sort(rng.integers(0, 4, (number, 2)), axis=1).astype(float)
  start = rng.uniform(0, 50, number)
  return np.stack([start, start + rng.uniform(0.1, 30, number)], axis=1)


def drawn(rng, videos, most_true, most_found, whole=False):
  """Segments of up to three classes: true ones, and detections of these."""
  truth, found = {}, {}
  for video in (f"v{i}" for i in range(videos)):
    rows = draw_segments(rng, rng.integers(1, most_true), whole).tolist()
    rows.sort()  # As the evaluator does, whatever the file says.
    truth[video] = [(f"c{rng.integers(3)}", *row) for row in rows]
    rows = draw_segments(rng, rng.integers(0, most_found), whole).tolist()
    found[video] = [(f"c{rng.integers(3)}", *row, rng.random()) for row in rows]
  names = {row[0] for rows in truth.values() for row in rows}
  for video, rows in found.items():
    found[video] = [row for row in rows if row[0] in names]
  return truth, found, names
