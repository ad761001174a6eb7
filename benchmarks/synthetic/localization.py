"""Localization, beside the same detections with shuffled labels.

Shuffling within a video keeps when something was found and how sure the model
was, and loses what: chance, for a model that only sees that something happens.
"""

import dataclasses
import pathlib

import numpy as np

from benchmarks.synthetic.tables import Table, by_length
from unloc_jax.annotations import detection_submissions, reading
from unloc_jax.annotations.arrays import FoundSegments, TrueSegments, narrow
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import detection, overlap

THRESHOLDS = (0.5, 0.7)
SHUFFLES = 3


def shuffled(found: FoundSegments, seed: int) -> FoundSegments:
  """Detections whose labels went round within their video."""
  rng = np.random.default_rng(seed)
  label = found.label.copy()
  for video in np.unique(found.video):
    rows = np.flatnonzero(found.video == video)
    label[rows] = label[rng.permutation(rows)]
  return dataclasses.replace(found, label=label)


def of_events(
  found: FoundSegments, truth: TrueSegments, wanted: np.ndarray
) -> tuple[FoundSegments, TrueSegments]:
  """Some of the events, and the detections that are about them.

  A detection that lies best on another event, not `wanted` [G], is no mistake
  here: it is left out.
  """
  kept = np.ones(len(found.score), bool)
  for video in range(len(truth.videos)):
    rows = np.flatnonzero(found.video == video)
    here = np.flatnonzero(truth.video == video)
    tiou = overlap.intersection_over_union(
      found.segment[rows][:, None], truth.segment[here][None]
    )
    same = found.label[rows][:, None] == truth.label[here][None]
    tiou = np.where(same, tiou, 0.0)
    inside = tiou[:, wanted[here]].max(axis=1, initial=0.0)
    outside = tiou[:, ~wanted[here]].max(axis=1, initial=0.0)
    kept[rows] = (outside < THRESHOLDS[0]) | (outside <= inside)
  return narrow(found.only(kept), truth, wanted)


def mean_precision(found: FoundSegments, truth: TrueSegments) -> list[float]:
  """MAP in percent at THRESHOLDS, over classes that have an event."""
  report = detection.evaluate(found, truth, thresholds=THRESHOLDS, resamples=0)
  return [100 * value for value in report.metrics["mAP"]]


def compare(folder: pathlib.Path) -> Table:
  """The table of one split."""
  path = folder / "ground_truth.json"
  found, truth, _ = detection_submissions.read(
    folder / "predictions.json", path, Problems(lenient=True), ""
  )
  database = reading.read_json(path).value["database"]
  lengths = np.array([database[name]["duration"] for name in truth.videos])
  size = truth.segment[:, 1] - truth.segment[:, 0]
  chance = [shuffled(found, seed) for seed in range(SHUFFLES)]
  rows = []
  groups = [("all events", np.ones(len(size), bool))]
  for name, wanted in groups + by_length(size / lengths[truth.video]):
    if not wanted.any():
      continue
    ours = mean_precision(*of_events(found, truth, wanted))
    theirs = np.mean(
      [mean_precision(*of_events(each, truth, wanted)) for each in chance],
      axis=0,
    )
    times = ours[0] / theirs[0] if theirs[0] else float("nan")
    count = int(wanted.sum())
    rows.append([name, count, *ours, *map(float, theirs), float(times)])
  headers = ["", "events", *[f"mAP@{t:g}" for t in THRESHOLDS]]
  headers += ["shuffled @0.5", "@0.7", "times @0.5"]
  videos, classes = len(truth.videos), len(truth.labels)
  title = f"{folder.name} ({videos} videos, {classes} classes)"
  return Table(title, headers, rows)
