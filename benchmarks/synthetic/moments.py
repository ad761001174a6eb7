"""Moment retrieval, beside the best constant prediction.

One pair of fractions of the video for every query; it is chosen on the very
split that it is scored on, for each figure by itself, so no constant is better.
"""

import itertools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.synthetic import lengths
from benchmarks.synthetic.tables import Table
from unloc_jax.metrics import recall

THRESHOLDS = (0.5, 0.7)
_GRID = 41  # Fractions 0, 1/40, ..., 1 of the video.

Row = dict[str, Any]
Group = tuple[str, Callable[[Row], bool]]


def read_lines(path: pathlib.Path) -> list[Row]:
  """Reads JSON lines."""
  return [json.loads(line) for line in path.read_text().splitlines()]


def share(row: Row) -> float:
  """Length of a query's segment as a share of its video."""
  (start, end), *_ = row["relevant_windows"]
  return (end - start) / row["duration"]


def groups(rows: Sequence[Row]) -> list[Group]:
  """All queries, then those of each kind, then of each length."""
  found: list[Group] = [("all queries", lambda row: True)]
  for kind in sorted({row["kinds"] for row in rows if "kinds" in row}):
    found.append((kind, lambda row, kind=kind: row["kinds"] == kind))
  for low, high in lengths.RANGES:
    found.append(
      (
        lengths.name(low, high),
        lambda row, low=low, high=high: low <= share(row) < high,
      )
    )
  return found


def best_constant(rows: Sequence[Row]) -> dict[float, np.ndarray]:
  """Hits of the best constant prediction: {tIoU: bool [queries]}."""
  truth = np.array([row["relevant_windows"][0] for row in rows])
  truth = truth / np.array([[row["duration"]] for row in rows])
  fractions = np.linspace(0, 1, _GRID)
  guesses = np.array(list(itertools.combinations(fractions, 2)))
  overlap = np.minimum(guesses[:, None, 1], truth[None, :, 1]) - np.maximum(
    guesses[:, None, 0], truth[None, :, 0]
  )
  overlap = np.maximum(overlap, 0)
  total = np.diff(guesses, axis=1) + np.diff(truth, axis=1).T
  tiou = overlap / (total - overlap)
  return {m: tiou[np.argmax((tiou >= m).mean(axis=1))] >= m for m in THRESHOLDS}


def compare(folder: pathlib.Path) -> Table:
  """The table of one split."""
  truth = read_lines(folder / "ground_truth.jsonl")
  predictions = read_lines(folder / "predictions.jsonl")
  report = recall.evaluate(predictions, truth)
  constant = best_constant(truth)
  rows = []
  for name, belongs in groups(truth):
    chosen = np.array([belongs(row) for row in truth])
    if not chosen.any():
      continue
    ours = [report.values[f"R1@{m:g}"][chosen].mean() for m in THRESHOLDS]
    theirs = [100 * constant[m][chosen].mean() for m in THRESHOLDS]
    rows.append([name, int(chosen.sum()), *map(float, [*ours, *theirs])])
  headers = ["", "queries", "R1@0.5", "R1@0.7", "constant @0.5", "@0.7"]
  title = f"{folder.name} ({report.seen} of {report.expected} queries scored)"
  return Table(title, headers, rows)
