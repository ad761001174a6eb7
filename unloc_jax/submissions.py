"""Detections of a split -> the benchmark's submission file and its score."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from unloc_jax.data.pipeline import Split
from unloc_jax.detections import Detections
from unloc_jax.metrics import recall
from unloc_jax.metrics.report import Report
from unloc_jax.state import Parts

Batch = Mapping[str, np.ndarray]


class Submission(Protocol):
  """Collects detections, scores them, writes them as the benchmark wants."""

  def add(self, batch: Batch, found: Detections) -> None:
    """Takes the detections of one batch."""

  def score(self) -> Report:
    """The benchmark's figures."""

  def write(self, folder: pathlib.Path) -> None:
    """Writes predictions and ground truth in the official format."""


def make(parts: Parts, split: Split) -> Submission:
  """The submission of a task."""
  return _KINDS[parts.task.metric](parts, split)


def caption_rows(batch: Batch):
  """(row b, caption q, video index, query index) of all captions asked."""
  for b in np.flatnonzero(batch["example_mask"]):
    for q in np.flatnonzero(batch["query_mask"][b]):
      query = int(batch["query_offset"][b]) + int(q)
      yield int(b), int(q), int(batch["example_index"][b]), query


class Moments:
  """Moment retrieval: JSON lines as QVHighlights and its peers use them."""

  def __init__(self, parts: Parts, split: Split):
    self._parts = parts
    self._table = split.table
    self._rows: dict[tuple[int, int], dict[str, Any]] = {}

  def add(self, batch: Batch, found: Detections) -> None:
    assert found.segments is not None
    for b, q, index, query in caption_rows(batch):
      keep = found.scores[b, q] > 0
      windows = np.concatenate(
        [found.segments[b, q][keep], found.scores[b, q][keep][:, None]], axis=1
      )
      self._rows[index, query] = {
        **self._identity(index, query),
        "pred_relevant_windows": windows.astype(float).tolist(),
      }

  def _identity(self, index: int, query: int) -> dict[str, Any]:
    video = self._table[index]
    return {
      "qid": video.query_ids[query],
      "query": video.texts[query],
      "vid": video.video_id,
    }

  def ground_truth(self) -> list[dict[str, Any]]:
    """One row per query of the split."""
    rows = []
    for index, video in enumerate(self._table.videos):
      for query in range(len(video.query_ids) if video is not None else 0):
        rows.append(
          {
            **self._table.annotation(index, query),
            **self._identity(index, query),
            "duration": self._table[index].duration,
            "relevant_windows": self._table.segments_of(index, query).tolist(),
          }
        )
    return rows

  def score(self) -> Report:
    return recall.evaluate(list(self._rows.values()), self.ground_truth())

  def write(self, folder: pathlib.Path) -> None:
    write_lines(folder / "predictions.jsonl", list(self._rows.values()))
    write_lines(folder / "ground_truth.jsonl", self.ground_truth())


def write_lines(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  """Writes JSON lines beside, then renames."""
  beside = path.with_suffix(".tmp")
  with beside.open("w") as file:
    for row in rows:
      file.write(json.dumps(row) + "\n")
  beside.rename(path)


_KINDS = {"recall": Moments, "qvhighlights": Moments}
