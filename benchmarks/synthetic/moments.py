"""Moment retrieval, beside the best constant prediction.

One pair of fractions of the video for every query; it is chosen on the very
split that it is scored on, for each figure by itself, so no constant is better.
"""

import itertools
import pathlib

import numpy as np

from benchmarks.synthetic.tables import Table, by_length
from unloc_jax.annotations import moments, pairing
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import overlap, recall

THRESHOLDS = (0.5, 0.7)
_GRID = 41  # Fractions 0, 1/40, ..., 1 of the video.


def best_constant(truth: np.ndarray) -> list[np.ndarray]:
  """Hits bool [Q] of the best constant prediction, at each of THRESHOLDS.

  The truth [Q, 2] is in fractions of the video.
  """
  fractions = np.linspace(0, 1, _GRID)
  guesses = np.array(list(itertools.combinations(fractions, 2)))
  tiou = overlap.intersection_over_union(guesses[:, None], truth[None])
  return [tiou[np.argmax((tiou >= m).mean(axis=1))] >= m for m in THRESHOLDS]


def compare(folder: pathlib.Path) -> Table:
  """The table of one split: all queries, those of a kind, of a length."""
  path = folder / "ground_truth.jsonl"
  queries, _ = pairing.read(folder / "predictions.jsonl", path, Problems())
  report = recall.evaluate(queries)
  rows, _ = moments.read_rows(path, Problems())
  durations = {str(row.id): row.duration for row in rows}
  truth = np.array([q.truth[0] / durations[q.id] for q in queries])
  groups = [("all queries", np.ones(len(queries), bool))]
  kinds = np.array([query.tags.get("kinds", "") for query in queries])
  groups += [(str(kind), kinds == kind) for kind in np.unique(kinds) if kind]
  groups += by_length(truth[:, 1] - truth[:, 0])
  ours = [report.values[f"R1@{m:g}"] > 0 for m in THRESHOLDS]
  headers = ["", "queries", "R1@0.5", "R1@0.7", "constant @0.5", "@0.7"]
  title = f"{folder.name} ({report.seen} of {report.expected} queries scored)"
  columns = (*ours, *best_constant(truth))
  return Table.of_groups(title, headers, groups, columns)
