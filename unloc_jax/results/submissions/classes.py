"""Tasks whose texts are classes: localization, segmentation, classification."""

import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from unloc_jax.data.pipeline import Split
from unloc_jax.metrics import (
  Report,
  classification,
  detection,
  files,
  frames,
  segmentation,
)
from unloc_jax.results.submissions.base import Batch, Submission, video_rows
from unloc_jax.task import targets
from unloc_jax.task.detections import Detections, listed
from unloc_jax.training.state import Parts

_SUBSET = "validation"  # What ActivityNet's files call the split scored.


class Segments(Submission):
  """Temporal action localization: ActivityNet's detection files."""

  def __init__(self, parts: Parts, split: Split):
    super().__init__(parts, split)
    self._found: dict[str, list[dict[str, Any]]] = {}

  def add(self, batch: Batch, found: Detections) -> None:
    for b, index in video_rows(batch):
      self._found[self.split.table[index].video_id] = [
        {
          "label": self.split.classes[int(label)],
          "score": float(score),
          "segment": segment.astype(float).tolist(),
        }
        for label, segment, score in zip(*listed(found, b), strict=True)
      ]

  def predictions(self) -> dict[str, Any]:
    """ActivityNet's submission."""
    return {
      "version": "VERSION 1.3",
      "results": self._found,
      "external_data": {"used": False, "details": ""},
    }

  def ground_truth(self) -> dict[str, Any]:
    """ActivityNet's annotations of the split, of the classes asked."""
    kept = set(self.split.classes)
    database = {}
    for index in self.split.usable:
      video = self.split.table.videos[index]
      if video is None:
        continue
      annotations = [
        {"segment": segment.tolist(), "label": video.texts[query]}
        for segment, query in zip(
          video.segments, video.segment_query, strict=True
        )
        if video.texts[query] in kept
      ]
      database[video.video_id] = {
        "subset": _SUBSET,
        "duration": video.duration,
        "annotations": annotations,
      }
    return {"version": "VERSION 1.3", "taxonomy": [], "database": database}

  def score(self) -> Report:
    return detection.evaluate(
      self.predictions(), self.ground_truth(), subset=_SUBSET
    )

  def write(self, folder: pathlib.Path) -> None:
    files.write_json(folder / "predictions.json", self.predictions())
    files.write_json(folder / "ground_truth.json", self.ground_truth())


class Frames(Submission):
  """Action segmentation: the class of every sampled frame, 0 = background."""

  def __init__(self, parts: Parts, split: Split):
    super().__init__(parts, split)
    self._videos: list[segmentation.Video] = []

  def add(self, batch: Batch, found: Detections) -> None:
    num_classes, num_frames = found.scores.shape[1:]
    truth = np.asarray(
      targets.frame_labels(
        jnp.asarray(batch["segments"]),
        jnp.asarray(batch["segment_query"]),
        num_frames,
        num_classes,
      )
    )
    for b, index in video_rows(batch):
      valid = batch["frame_mask"][b]
      logits = found.scores[b].T[valid]
      labels = truth[b].T[valid]
      # Background's score only has to fall as the best class's rises.
      background = -logits.max(axis=1, keepdims=True)
      self._videos.append(
        segmentation.Video(
          name=self.split.table[index].video_id,
          predicted=segmentation.from_logits(logits),
          truth=np.where(labels.any(axis=1), labels.argmax(axis=1) + 1, 0),
          scores=np.concatenate([background, logits], axis=1),
        )
      )

  def score(self) -> Report:
    return segmentation.evaluate(
      self._videos,
      expected=len(self.split.usable),
      classes=("background", *self.split.classes),
    )

  def write(self, folder: pathlib.Path) -> None:
    frames.write_npz(folder / "predictions.npz", self._videos)


class Tags(Submission):
  """Frame tagging: which texts are true of a frame."""

  def __init__(self, parts: Parts, split: Split):
    super().__init__(parts, split)
    self._counts = np.zeros(3, np.int64)  # hits, false alarms, misses
    self._seen = 0

  def add(self, batch: Batch, found: Detections) -> None:
    num_classes, num_frames = found.scores.shape[1:]
    truth = np.asarray(
      targets.frame_tags(
        jnp.asarray(batch["segments"]),
        jnp.asarray(batch["segment_query"]),
        num_frames,
        num_classes,
      )
    )
    valid = batch["frame_mask"] & batch["example_mask"][:, None]
    said = (found.scores > 0) & valid[:, None]
    truth = truth & valid[:, None]
    self._counts += [
      np.sum(said & truth),
      np.sum(said & ~truth),
      np.sum(~said & truth),
    ]
    self._seen += int(batch["example_mask"].sum())

  def score(self) -> Report:
    hits, false, missed = self._counts.tolist()
    figures: dict[str, float | None] = {
      "precision": 100 * hits / max(hits + false, 1),
      "recall": 100 * hits / max(hits + missed, 1),
      "F1": 100 * 2 * hits / max(2 * hits + false + missed, 1),
    }
    return Report(
      metrics=dict(figures),
      headline=figures,
      values={},
      tags={},
      seen=self._seen,
      expected=len(self.split.usable),
    )

  def write(self, folder: pathlib.Path) -> None:
    """Tags have no official file; the figures are all there is."""


class Videos(Submission):
  """Classification: a score of every class.

  Of a video with several classes the best-scored one counts as its label, so
  that top-k asks whether one of them is among the first k.
  """

  def __init__(self, parts: Parts, split: Split):
    super().__init__(parts, split)
    self._scores: dict[str, np.ndarray] = {}
    self._labels: dict[str, int] = {}
    self._shown: dict[str, list[int]] = {}

  def add(self, batch: Batch, found: Detections) -> None:
    for b, index in video_rows(batch):
      name = self.split.table[index].video_id
      scores, labels = found.scores[b], batch["segment_query"][b]
      labels = labels[labels >= 0]
      self._scores[name] = scores
      self._labels[name] = int(labels[scores[labels].argmax()])
      self._shown[name] = sorted(set(labels.tolist()))

  def score(self) -> Report:
    return classification.evaluate(
      np.stack(list(self._scores.values())),
      np.array(list(self._labels.values())),
      names=list(self._scores),
      classes=self.split.classes,
      expected=len(self.split.usable),
    )

  def write(self, folder: pathlib.Path) -> None:
    rows = {
      name: {"labels": self._shown[name], "scores": scores.tolist()}
      for name, scores in self._scores.items()
    }
    files.write_json(folder / "predictions.json", rows)
