"""Segmentation, beside background predicted everywhere."""

import pathlib

import numpy as np

from benchmarks.synthetic.tables import Table, by_length
from unloc_jax.annotations import frames
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import segmentation


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
  for name, chosen in by_length(share):
    groups.append((f"... of {name}", chosen & ~background))
  title = f"{folder.name} ({len(videos)} of {expected} videos scored)"
  headers = ["", "frames", "accuracy", "background"]
  columns = (predicted == truth, background)
  return Table.of_groups(title, headers, groups, columns)
