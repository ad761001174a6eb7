"""Classification, beside the one class that is most often right."""

import json
import pathlib

import numpy as np

from benchmarks.synthetic.tables import Table

_TOP = (1, 5)


def compare(folder: pathlib.Path) -> Table:
  """The table of one split: all videos, then by how many classes they show."""
  rows = list(json.loads((folder / "predictions.json").read_text()).values())
  scores = np.array([row["scores"] for row in rows])
  shown = np.zeros(scores.shape, bool)
  for i, row in enumerate(rows):
    shown[i, row["labels"]] = True
  order = np.argsort(-scores, axis=1, kind="stable")
  right = np.take_along_axis(shown, order, axis=1)
  hits = [np.any(right[:, :k], axis=1) for k in _TOP]
  constant = shown[:, int(shown.sum(axis=0).argmax())]
  count = shown.sum(axis=1)
  groups = [("all videos", np.ones(len(rows), bool))]
  groups += [(f"showing {n} classes", count == n) for n in np.unique(count)]
  headers = ["", "videos", *[f"top-{k}" for k in _TOP], "constant top-1"]
  return Table.of_groups(folder.name, headers, groups, (*hits, constant))
