"""Times the evaluators on submissions of the benchmarks' real size.

  python -m benchmarks.metrics [--repeats 3]

Everything is drawn from a seed; nothing is read but what was just written.
Prints the best of the repeats, from the file on disk to the figures, with and
without confidence intervals. benchmarks.official sets the official script
beside ours.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from unloc_jax.annotations import (
  BENCHMARKS,
  Benchmark,
  detection_submissions,
  pairing,
)
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import (
  analysis,
  detection,
  overlap,
  qvhighlights,
  recall,
  table,
)

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


def timed(
  run: Callable[[int], object], repeats: int, resamples: int
) -> list[float]:
  """Shortest wall and processor seconds without draws, then with them."""
  clocks = time.perf_counter, time.process_time
  figures: list[float] = []
  for draws in (0, resamples):
    taken = []
    for _ in range(repeats):
      start = [clock() for clock in clocks]
      run(draws)
      taken.append([c() - s for c, s in zip(clocks, start, strict=True)])
    figures.extend(np.min(taken, axis=0).tolist())
  return figures


def write_rows(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  """Writes a JSONL."""
  path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def time_moments(folder: pathlib.Path, repeats: int) -> list[list[object]]:
  """Times QVHighlights' validation split and a large recall split."""
  rows: list[list[object]] = []
  cases = (
    ("QVHighlights val, 1,550 queries", 1550, qvhighlights, "2"),
    ("ActivityNet Captions val_2, 17,031 queries", 17031, recall, "-"),
  )
  for name, queries, kind, target in cases:
    predictions, truth = moment_rows(queries, np.random.default_rng(0))
    write_rows(folder / "p.jsonl", predictions)
    write_rows(folder / "g.jsonl", truth)

    def run(draws: int, kind: Any = kind) -> None:
      read = pairing.read(folder / "p.jsonl", folder / "g.jsonl", Problems())
      analysis.intervals(kind.evaluate(read[0]), draws, 0)

    rows.append([name, *timed(run, repeats, 1000), target])
  return rows


def time_detection(folder: pathlib.Path, repeats: int) -> list[list[object]]:
  """Times ActivityNet's and THUMOS14's test sizes."""
  rows: list[list[object]] = []
  cases = (
    ("anet", "4,728 videos x 100, 200 classes", (4728, 200, 100, 1.6)),
    ("thumos14", "212 videos x 200, 20 classes", (212, 20, 200, 15.8)),
  )
  for benchmark, size, sizes in cases:
    chosen = BENCHMARKS[benchmark]
    rng = np.random.default_rng(0)
    predictions, truth = detections(*sizes, chosen.subset, rng)
    (folder / "p.json").write_text(json.dumps(predictions))
    (folder / "g.json").write_text(json.dumps(truth))

    def run(draws: int, chosen: Benchmark = chosen) -> None:
      found, truth, _ = detection_submissions.read(
        folder / "p.json", folder / "g.json", Problems(), chosen.subset
      )
      tiou = chosen.tiou or overlap.THRESHOLDS
      detection.evaluate(found, truth, thresholds=tiou, resamples=draws)

    seconds = timed(run, repeats, detection.RESAMPLES)
    rows.append([f"{chosen.title}, {size}", *seconds, "5"])
  return rows


def machine() -> str:
  """Returns processor, cores and load of this machine."""
  info = pathlib.Path("/proc/cpuinfo")
  lines = info.read_text().splitlines() if info.is_file() else []
  models = [line for line in lines if line.startswith("model name")]
  name = models[0].split(":", 1)[1].strip() if models else platform.machine()
  return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--repeats", type=int, default=3)
  args = parser.parse_args()
  today = datetime.datetime.now(datetime.UTC).date()
  print(f"{today}, {machine()}, NumPy {np.__version__}")
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    rows = time_moments(folder, args.repeats)
    rows += time_detection(folder, args.repeats)
  headers = ["file to figures", "seconds", "of processor"]
  headers += ["with intervals", "of processor", "target"]
  print(table.render(headers, rows))


if __name__ == "__main__":
  main()
