"""Localization, beside the same detections with shuffled labels.

Shuffling within a video keeps when something was found and how sure the model
was, and loses what: chance, for a model that only sees that something happens.
"""

import json
import pathlib
from typing import Any

import numpy as np

from benchmarks.synthetic import lengths
from benchmarks.synthetic.tables import Table
from unloc_jax.metrics import detection, overlap

THRESHOLDS = (0.5, 0.7)
SHUFFLES = 3

Rows = dict[str, list[dict[str, Any]]]  # By video.


def shuffled(found: Rows, seed: int) -> Rows:
  """Detections whose labels went round within their video."""
  rng = np.random.default_rng(seed)
  out = {}
  for video, rows in found.items():
    order = rng.permutation(len(rows))
    out[video] = [
      {**row, "label": rows[i]["label"]}
      for row, i in zip(rows, order, strict=True)
    ]
  return out


def _share(event: dict[str, Any], duration: float) -> float:
  start, end = event["segment"]
  return (end - start) / duration


def of_length(
  found: Rows, database: dict[str, Any], low: float, high: float
) -> tuple[Rows, dict[str, Any]]:
  """Events of a range of lengths, and the detections that are about them.

  A detection that lies best on an event of another length is no mistake here:
  it is left out.
  """
  kept: Rows = {}
  truth = {}
  for video, entry in database.items():
    inside: list[dict[str, Any]] = []
    outside: list[dict[str, Any]] = []
    for event in entry["annotations"]:
      share = _share(event, entry["duration"])
      (inside if low <= share < high else outside).append(event)
    truth[video] = {**entry, "annotations": inside}
    rows = found.get(video, [])
    away = _best(rows, outside) >= THRESHOLDS[0]
    away &= _best(rows, outside) > _best(rows, inside)
    kept[video] = [row for row, out in zip(rows, away, strict=True) if not out]
  return kept, truth


def _best(rows: list[dict[str, Any]], events: list[dict[str, Any]]):
  """Largest tIoU [rows] with an event of the same class; 0 without one."""
  if not rows or not events:
    return np.zeros(len(rows))
  segments = np.array([row["segment"] for row in rows])[:, None]
  tiou = overlap.intersection_over_union(
    segments, np.array([event["segment"] for event in events])[None]
  )
  labels = np.array([row["label"] for row in rows])[:, None]
  same = labels == np.array([event["label"] for event in events])[None]
  return np.where(same, tiou, 0.0).max(axis=1)


def mean_precision(found: Rows, database: dict[str, Any]) -> list[float]:
  """mAP in percent at THRESHOLDS, over classes that have an event."""
  events = [row for entry in database.values() for row in entry["annotations"]]
  known = {row["label"] for row in events}
  results = {
    video: [row for row in rows if row["label"] in known]
    for video, rows in found.items()
    if video in database
  }
  report = detection.evaluate(
    {"results": results},
    {"database": database},
    thresholds=THRESHOLDS,
    subset="",
    resamples=0,
  )
  return [100 * value for value in report.metrics["mAP"]]


def compare(folder: pathlib.Path) -> Table:
  """The table of one split."""
  found = json.loads((folder / "predictions.json").read_text())["results"]
  truth = json.loads((folder / "ground_truth.json").read_text())["database"]
  chance = [shuffled(found, seed) for seed in range(SHUFFLES)]
  rows = []
  for name, low, high in (
    ("all events", 0.0, np.inf),
    *((lengths.name(*each), *each) for each in lengths.RANGES),
  ):
    kept, database = of_length(found, truth, low, high)
    count = sum(len(entry["annotations"]) for entry in database.values())
    if not count:
      continue
    ours = mean_precision(kept, database)
    theirs = np.mean(
      [mean_precision(*of_length(each, truth, low, high)) for each in chance],
      axis=0,
    )
    times = ours[0] / theirs[0] if theirs[0] else float("nan")
    rows.append([name, count, *ours, *map(float, theirs), float(times)])
  headers = ["", "events", *[f"mAP@{t:g}" for t in THRESHOLDS]]
  headers += ["shuffled @0.5", "@0.7", "times @0.5"]
  classes = {e["label"] for v in truth.values() for e in v["annotations"]}
  title = f"{folder.name} ({len(truth)} videos, {len(classes)} classes)"
  return Table(title, headers, rows)
