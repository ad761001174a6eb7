"""What a run learned of the embedded benchmark, beside the best constant.

    python -m benchmarks.synthetic --workdir runs/demo/mr

Reads the submission files that evaluation wrote. The best constant prediction
is one pair of fractions of the video for every query; it is chosen on the very
split that it is scored on, for each figure by itself, so no constant is better.
"""

import argparse
import itertools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unloc_jax.metrics import recall, table

THRESHOLDS = (0.5, 0.7)
_GRID = 41  # Fractions 0, 1/40, ..., 1 of the video.
_LENGTHS = ((0, 0.06), (0.06, 0.12), (0.12, 0.25), (0.25, 1.01))

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
  for low, high in _LENGTHS:
    name = f"{100 * low:.0f}-{100 * min(high, 1):.0f}% of the video"
    found.append(
      (name, lambda row, low=low, high=high: low <= share(row) < high)
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
  lengths = np.diff(guesses, axis=1) + np.diff(truth, axis=1).T
  tiou = overlap / (lengths - overlap)
  return {m: tiou[np.argmax((tiou >= m).mean(axis=1))] >= m for m in THRESHOLDS}


def compare(folder: pathlib.Path) -> str:
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
  return table.render(headers, rows, title)


def main(argv: Sequence[str] | None = None) -> None:
  """Prints a table per split."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--workdir", required=True, type=pathlib.Path)
  parser.add_argument("--split", nargs="+", default=["val", "test", "unseen"])
  flags = parser.parse_args(argv)
  results = flags.workdir / "results"
  for split in flags.split:
    print(compare(results / split), end="\n\n")
  pictures = sorted((results / flags.split[-1]).glob("timeline_*.png"))
  print(f"{len(pictures)} timelines per split, such as {pictures[0]}")


if __name__ == "__main__":
  main()
