"""Times the evaluators on submissions of the benchmarks' real size.

  python -m benchmarks.metrics [--repeats 3]

Everything is drawn from a seed; nothing is read but what was just written.
Prints the best of the repeats, from the file on disk to the figures, with and
without confidence intervals. benchmarks.official sets the official script
beside ours.
"""

import argparse
import datetime
import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import clock, record
from unloc_jax.annotations import BENCHMARKS, detection_submissions, pairing
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import (
  analysis,
  detection,
  overlap,
  qvhighlights,
  recall,
)

# Scores with so many bootstrap draws.
Scoring = Callable[[int], None]
CLIPS = 75
WINDOWS = 10


def moment_rows(
  queries: int, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """Draws a submission of QVHighlights' form, and its ground truth."""
  predictions, truth = [], []
  for qid in range(queries):
    starts = rng.integers(0, 60, rng.integers(1, 4)) * 2
    ends = np.minimum(starts + 2 * rng.integers(1, 40, len(starts)), 2 * CLIPS)
    windows = np.stack([starts, ends], axis=1).tolist()
    ids = sorted({c for s, e in windows for c in range(s // 2, e // 2)})
    base = {"qid": qid, "query": "a query", "vid": f"video_{qid}"}
    truth.append(
      {
        **base,
        "duration": 2 * CLIPS,
        "relevant_windows": windows,
        "relevant_clip_ids": ids,
        "saliency_scores": rng.integers(0, 5, (len(ids), 3)).tolist(),
      }
    )
    guesses = rng.uniform(0, 75, (WINDOWS, 2)).round(2)
    guesses[:, 1] += guesses[:, 0]
    scores = np.sort(rng.random((WINDOWS, 1)).round(4), axis=0)[::-1]
    predictions.append(
      {
        **base,
        "pred_relevant_windows": np.hstack([guesses, scores]).tolist(),
        "pred_saliency_scores": rng.normal(size=CLIPS).round(4).tolist(),
      }
    )
  return predictions, truth


def detections(
  videos: int,
  classes: int,
  each: int,
  instances: float,
  subset: str,
  rng: np.random.Generator,
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Draws detections around segments drawn before, and those segments."""
  database, results = {}, {}
  for index in range(videos):
    number = 1 + rng.poisson(instances - 1)
    label = int(rng.integers(classes))
    start = rng.uniform(0, 150, number)
    end = start + rng.uniform(2, 40, number)
    database[f"v_{index}"] = {
      "subset": subset,
      "annotations": [
        {"segment": [s, e], "label": f"class {label}"}
        for s, e in zip(start.tolist(), end.tolist(), strict=True)
      ],
    }
    chosen = rng.integers(number, size=each)
    guess = start[chosen] + rng.normal(0, 4, each)
    last = np.maximum(guess + 0.5, end[chosen] + rng.normal(0, 4, each))
    other = rng.integers(classes, size=each)
    labels = np.where(rng.random(each) < 0.6, label, other).tolist()
    scores = rng.random(each).round(4).tolist()
    segments = np.stack([guess, last], axis=1).tolist()
    results[f"v_{index}"] = [
      {"label": f"class {name}", "score": score, "segment": segment}
      for name, score, segment in zip(labels, scores, segments, strict=True)
    ]
  return {"results": results}, {"database": database}


def write_moments(
  folder: pathlib.Path, queries: int
) -> tuple[pathlib.Path, pathlib.Path]:
  """Writes what `moment_rows` draws; predictions, ground truth."""
  paths = folder / f"{queries}.p.jsonl", folder / f"{queries}.g.jsonl"
  drawn = moment_rows(queries, np.random.default_rng(0))
  for path, rows in zip(paths, drawn, strict=True):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
  return paths


def moments(folder: pathlib.Path, queries: int, kind: Any) -> Scoring:
  """Writes a submission; returns what scores it."""
  paths = write_moments(folder, queries)

  def run(draws: int) -> None:
    read, _ = pairing.read(*paths, Problems())
    analysis.intervals(kind.evaluate(read), draws, 0)

  return run


def segments(
  folder: pathlib.Path, name: str, videos: int, *sizes: Any
) -> Scoring:
  """Writes a submission to a benchmark; returns what scores it."""
  chosen, rng = BENCHMARKS[name], np.random.default_rng(0)
  drawn = detections(videos, *sizes, chosen.subset, rng)
  paths = folder / f"{name}.p.json", folder / f"{name}.g.json"
  for path, content in zip(paths, drawn, strict=True):
    path.write_text(json.dumps(content))

  def run(draws: int) -> None:
    found, truth, _ = detection_submissions.read(
      *paths, Problems(), chosen.subset
    )
    tiou = chosen.tiou or overlap.THRESHOLDS
    detection.evaluate(found, truth, thresholds=tiou, resamples=draws)

  return run


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--repeats", type=int, default=3)
  args = parser.parse_args()
  load = os.getloadavg()[0]
  print(f"{datetime.date.today()}, {record.machine()}, load {load:.1f}\n")
  header = ("file to figures", "seconds", "of processor")
  header = (*header, "with intervals", "of processor", "target")
  rows = []
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    anet = segments(folder, "anet", 4728, 200, 100, 1.6)
    thumos = segments(folder, "thumos14", 212, 20, 200, 15.8)
    for title, score, draws, target in (
      ("QVHighlights val", moments(folder, 1550, qvhighlights), 1000, "2"),
      ("ActivityNet Captions val_2", moments(folder, 17031, recall), 1000, "-"),
      ("ActivityNet, 4,728 videos x 100", anet, detection.RESAMPLES, "5"),
      ("THUMOS14, 212 videos x 200", thumos, detection.RESAMPLES, "5"),
    ):
      runs = (functools.partial(score, n) for n in (0, draws))
      taken = [clock.in_turns([run], args.repeats).min(axis=1) for run in runs]
      rows.append([title, *(f"{x:.2f}" for x in np.ravel(taken)), target])
  print(record.markdown(header, rows))


if __name__ == "__main__":
  main()
