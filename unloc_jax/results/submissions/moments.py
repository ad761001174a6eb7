"""Moment retrieval: JSON lines as QVHighlights and its peers use them."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from unloc_jax import files
from unloc_jax.annotations import pairing
from unloc_jax.annotations.arrays import QueryMoments
from unloc_jax.data.splits import Split
from unloc_jax.metrics import qvhighlights, recall
from unloc_jax.metrics.report import Report
from unloc_jax.results.submissions.base import Batch, Submission, caption_rows
from unloc_jax.task.detections import Detections
from unloc_jax.task.sampling import Sampling


class Moments(Submission):
  """Moments of captions, scored by recall."""

  def __init__(self, split: Split):
    super().__init__(split)
    # By (video index, query index): float64 [D, 3] start, end, score.
    self._windows: dict[tuple[int, int], np.ndarray] = {}

  def add(self, batch: Batch, found: Detections) -> None:
    assert found.segments is not None
    for b, q, index, query in caption_rows(batch):
      scores = found.scores[b, q]
      table = np.concatenate([found.segments[b, q], scores[:, None]], axis=1)
      self._windows[index, query] = table[scores > 0].astype(float)

  def score(self) -> Report:
    return recall.evaluate(self.queries())

  def queries(self) -> list[QueryMoments]:
    """Every query of the split that has a moment, with what was found."""
    return [
      each for at in self._asked() if len((each := self._query(at)).truth)
    ]

  def _query(self, at: tuple[int, int]) -> QueryMoments:
    table = self.split.table
    return QueryMoments(
      id=table[at[0]].query_ids[at[1]],
      truth=table.segments_of(*at),
      predicted=self._windows.get(at),
      tags=pairing.tags(table.annotation(*at)),
    )

  def write(self, folder: pathlib.Path) -> None:
    answered = sorted(self._windows)
    _write_lines(folder / "predictions.jsonl", map(self._prediction, answered))
    _write_lines(folder / "ground_truth.jsonl", map(self._truth, self._asked()))

  def _asked(self) -> Iterator[tuple[int, int]]:
    """(video index, query index) of all queries of the split."""
    for index, video in enumerate(self.split.table.videos):
      for query in range(0 if video is None else len(video.query_ids)):
        yield index, query

  def _identity(self, at: tuple[int, int]) -> dict[str, Any]:
    video, query = self.split.table[at[0]], at[1]
    return {
      "qid": video.query_ids[query],
      "query": video.texts[query],
      "vid": video.video_id,
    }

  def _prediction(self, at: tuple[int, int]) -> dict[str, Any]:
    """The official row of what was found for a query."""
    windows = self._windows[at].tolist()
    return {**self._identity(at), "pred_relevant_windows": windows}

  def _truth(self, at: tuple[int, int]) -> dict[str, Any]:
    """The official row of a query, with what its annotation says."""
    return {
      **self.split.table.annotation(*at),
      **self._identity(at),
      "duration": self.split.table[at[0]].duration,
      "relevant_windows": self.split.table.segments_of(*at).tolist(),
    }


class Highlights(Moments):
  """QVHighlights: moments, and a saliency score per clip of two seconds."""

  def __init__(self, split: Split):
    super().__init__(split)
    self._sampling = Sampling.from_config(split.config)
    self._saliency: dict[tuple[int, int], np.ndarray] = {}

  def add(self, batch: Batch, found: Detections) -> None:
    """Takes also the relevance of the frames at the clips' centres."""
    super().add(batch, found)
    clip = pairing.CLIP_SECONDS
    for b, q, index, query in caption_rows(batch):
      video = self.split.table[index]
      step = float(
        self._sampling.seconds_per_position(video.frame_count, video.frame_rate)
      )
      centres = np.arange(clip / 2, video.duration, clip)
      valid = np.flatnonzero(batch["frame_mask"][b])
      curve = np.interp(centres, valid * step, found.curve[b, q][valid])
      self._saliency[index, query] = curve.astype(float)

  def score(self) -> Report:
    return qvhighlights.evaluate(self.queries())

  def _query(self, at: tuple[int, int]) -> QueryMoments:
    duration = self.split.table[at[0]].duration
    annotation = self.split.table.annotation(*at)
    return dataclasses.replace(
      super()._query(at),
      saliency=self._saliency.get(at),
      highlights=pairing.highlights(duration, annotation),
    )

  def _identity(self, at: tuple[int, int]) -> dict[str, Any]:
    """As the official files have it: query ids are whole numbers there."""
    identity = super()._identity(at)
    qid = identity["qid"]
    return {**identity, "qid": int(qid) if qid.isdigit() else qid}

  def _prediction(self, at: tuple[int, int]) -> dict[str, Any]:
    saliency = self._saliency[at].tolist()
    return {**super()._prediction(at), "pred_saliency_scores": saliency}


def _write_lines(path: pathlib.Path, rows: Iterable[dict[str, Any]]) -> None:
  files.write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
