"""Moment retrieval: JSON lines as QVHighlights and its peers use them."""

import json
import pathlib
from typing import Any

import numpy as np

from unloc_jax.data.pipeline import Split
from unloc_jax.metrics import Report, qvhighlights, recall
from unloc_jax.results.submissions.base import Batch, Submission, caption_rows
from unloc_jax.task.detections import Detections
from unloc_jax.task.sampling import Sampling
from unloc_jax.training.state import Parts

_CLIP_SECONDS = 2.0  # QVHighlights scores saliency per clip of this length.


class Moments(Submission):
  """Moments of captions, scored by recall."""

  def __init__(self, parts: Parts, split: Split):
    super().__init__(parts, split)
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
        **self._more(index, found.curve[b, q], batch["frame_mask"][b]),
      }

  def _more(
    self, index: int, curve: np.ndarray, mask: np.ndarray
  ) -> dict[str, Any]:
    """What else the benchmark's rows hold."""
    del index, curve, mask
    return {}

  def _identity(self, index: int, query: int) -> dict[str, Any]:
    video = self.split.table[index]
    return {
      "qid": video.query_ids[query],
      "query": video.texts[query],
      "vid": video.video_id,
    }

  def predictions(self) -> list[dict[str, Any]]:
    """Rows in the order of the split."""
    return [row for _, row in sorted(self._rows.items())]

  def ground_truth(self) -> list[dict[str, Any]]:
    """One row per query of the split, with what its annotation says."""
    table = self.split.table
    return [
      {
        **table.annotation(index, query),
        **self._identity(index, query),
        "duration": video.duration,
        "relevant_windows": table.segments_of(index, query).tolist(),
      }
      for index, video in enumerate(table.videos)
      if video is not None
      for query in range(len(video.query_ids))
    ]

  def score(self) -> Report:
    return recall.evaluate(self.predictions(), self.ground_truth())

  def write(self, folder: pathlib.Path) -> None:
    _write_lines(folder / "predictions.jsonl", self.predictions())
    _write_lines(folder / "ground_truth.jsonl", self.ground_truth())


class Highlights(Moments):
  """QVHighlights: moments, and a saliency score per clip of two seconds."""

  def _identity(self, index: int, query: int) -> dict[str, Any]:
    """As the official files have it: query ids are whole numbers there."""
    identity = super()._identity(index, query)
    qid = identity["qid"]
    return {**identity, "qid": int(qid) if qid.isdigit() else qid}

  def _more(
    self, index: int, curve: np.ndarray, mask: np.ndarray
  ) -> dict[str, Any]:
    """Saliency: the relevance of the frames at the clips' centres."""
    video = self.split.table[index]
    step = Sampling.from_config(self.parts.config).seconds_per_position(
      video.frame_count, video.frame_rate
    )
    centres = np.arange(_CLIP_SECONDS / 2, video.duration, _CLIP_SECONDS)
    valid = np.flatnonzero(mask)
    saliency = np.interp(centres, valid * float(step), curve[valid])
    return {"pred_saliency_scores": saliency.astype(float).tolist()}

  def score(self) -> Report:
    return qvhighlights.evaluate(self.predictions(), self.ground_truth())


def _write_lines(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  """Writes JSON lines beside, then renames."""
  beside = path.with_suffix(".tmp")
  with beside.open("w") as file:
    for row in rows:
      file.write(json.dumps(row) + "\n")
  beside.rename(path)
