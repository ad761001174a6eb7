"""Segmentation, beside background predicted everywhere."""

import pathlib

import numpy as np

from benchmarks.synthetic import lengths
from benchmarks.synthetic.tables import Table
from unloc_jax.metrics import frames, segmentation
from unloc_jax.metrics.problems import Problems


def shares(truth: np.ndarray) -> np.ndarray:
  """Length of the event that each frame [T] is in; 0 in the background."""
  classes, places = segmentation.runs(truth)
  size = np.diff(places, axis=1)[:, 0]
  length = np.where(classes == segmentation.BACKGROUND, 0, size)
  return np.repeat(length, size) / len(truth)


def compare(folder: pathlib.Path) -> Table:
  """The table of one split."""
  path = folder / "predictions.npz"
  videos, expected, _, _ = frames.read(path, path, Problems())
  predicted = np.concatenate([video.predicted for video in videos])
  truth = np.concatenate([video.truth for video in videos])
  share = np.concatenate([shares(video.truth) for video in videos])
  background = truth == segmentation.BACKGROUND
  groups = [
    ("all frames", np.ones(len(truth), bool)),
    ("background", background),
    ("in an event", ~background),
  ]
  for each in lengths.RANGES:
    chosen = ~background & lengths.within(share, *each)
    groups.append((f"... of {lengths.name(*each)}", chosen))
  rows = [
    [
      name,
      int(chosen.sum()),
      100.0 * float(np.mean(predicted[chosen] == truth[chosen])),
      100.0 * float(np.mean(background[chosen])),
    ]
    for name, chosen in groups
    if chosen.any()
  ]
  title = f"{folder.name} ({len(videos)} of {expected} videos scored)"
  return Table(title, ["", "frames", "accuracy", "background"], rows)
