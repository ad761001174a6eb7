"""Tasks whose texts are classes: localization, segmentation, classification."""

import functools
import pathlib
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from unloc_jax import files
from unloc_jax.annotations import reading
from unloc_jax.annotations.arrays import (
  FoundSegments,
  FrameClasses,
  TrueSegments,
)
from unloc_jax.data.splits import Split
from unloc_jax.metrics import classification, detection, segmentation
from unloc_jax.metrics.report import Report
from unloc_jax.results.submissions.base import Batch, Submission, video_rows
from unloc_jax.task import targets
from unloc_jax.task.detections import Detections, listed
from unloc_jax.task.frame_classes import frame_classes

_NONE = {"used": False, "details": ""}  # No external data.
_SUBSET = "validation"  # What ActivityNet's files call the split scored.


class Segments(Submission):
  """Temporal action localization: ActivityNet's detection files."""

  def __init__(self, split: Split):
    super().__init__(split)
    # By video: float64 [N, 4] class, start, end, score, best first.
    self._found: dict[str, np.ndarray] = {}

  def add(self, batch: Batch, found: Detections) -> None:
    for b, index in video_rows(batch):
      labels, segments, scores = listed(found, b)
      table = np.column_stack([labels, segments, scores]).astype(float)
      self._found[self.split.table[index].video_id] = table

  def score(self) -> Report:
    rows = [(v, *row) for v in self._truth for row in self._truth[v]]
    truth = TrueSegments.of(self._truth, rows)
    numbers = {name: i for i, name in enumerate(truth.labels)}
    # Classes without a segment in the split are not scored.
    bare = [name for name in self.split.classes if name not in numbers]
    index = np.array([numbers.get(name, -1) for name in self.split.classes])
    tables = {
      video: np.column_stack([index[table[:, 0].astype(int)], table[:, 1:]])
      for video, table in self._found.items()
    }
    return detection.evaluate(
      FoundSegments.of(truth, tables), truth, notes=reading.left_out(bare)
    )

  @functools.cached_property
  def _truth(self) -> dict[str, list[tuple[str, float, float]]]:
    """By video: label, start and end of the events of the classes asked."""
    kept = set(self.split.classes)
    truth = {}
    for index in self.split.usable:
      video = self.split.table.videos[index]
      if video is not None:
        segments = zip(video.segment_query, video.segments, strict=True)
        labelled = [(video.texts[q], *each.tolist()) for q, each in segments]
        truth[video.video_id] = [row for row in labelled if row[0] in kept]
    return truth

  def write(self, folder: pathlib.Path) -> None:
    """Writes ActivityNet's submission, and its annotations of the split."""
    classes = self.split.classes
    results = {
      video: [
        {"label": classes[int(label)], "score": score, "segment": segment}
        for label, *segment, score in table.tolist()
      ]
      for video, table in self._found.items()
    }
    lengths = {v.video_id: v.duration for v in self.split.table.videos if v}
    database = {
      video: {
        "subset": _SUBSET,
        "duration": lengths[video],
        "annotations": [
          {"segment": segment, "label": label} for label, *segment in rows
        ],
      }
      for video, rows in self._truth.items()
    }
    taxonomy = [
      {"nodeId": i, "nodeName": name, "parentId": None}
      for i, name in enumerate(classes)
    ]
    for name, rest in (
      ("predictions", {"results": results, "external_data": _NONE}),
      ("ground_truth", {"taxonomy": taxonomy, "database": database}),
    ):
      value = {"version": "VERSION 1.3", **rest}
      files.write_json(folder / f"{name}.json", value)


class Frames(Submission):
  """Action segmentation: the class of every sampled frame, 0 = background."""

  def __init__(self, split: Split):
    super().__init__(split)
    self._videos: list[FrameClasses] = []

  def add(self, batch: Batch, found: Detections) -> None:
    truth = _on_frames(targets.frame_labels, batch, found)
    cost = self.split.config.decode.switch_cost
    for b, index in video_rows(batch):
      valid = batch["frame_mask"][b]
      logits = found.scores[b].T[valid]
      labels = truth[b].T[valid]
      # Background's score only has to fall as the best class's rises.
      background = -logits.max(axis=1, keepdims=True)
      self._videos.append(
        FrameClasses(
          name=self.split.table[index].video_id,
          predicted=frame_classes(logits, cost),
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
    arrays: dict[str, np.ndarray] = {}
    for video in self._videos:
      arrays[f"{video.name}/P"] = video.predicted
      arrays[f"{video.name}/Y"] = video.truth
      if video.scores is not None:
        arrays[f"{video.name}/S"] = video.scores
    files.write_arrays(folder / "predictions.npz", **arrays)


class Tags(Submission):
  """Frame tagging: which texts are true of a frame."""

  def __init__(self, split: Split):
    super().__init__(split)
    self._counts = np.zeros(3, np.int64)  # hits, false alarms, misses
    self._seen = 0

  def add(self, batch: Batch, found: Detections) -> None:
    valid = batch["frame_mask"] & batch["example_mask"][:, None]
    truth = _on_frames(targets.frame_tags, batch, found) & valid[:, None]
    said = (found.scores > 0) & valid[:, None]
    outcomes = (said & truth, said & ~truth, ~said & truth)
    self._counts += [np.sum(each) for each in outcomes]
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

  def __init__(self, split: Split):
    super().__init__(split)
    # By video: scores [C], and int [n] the classes it shows.
    self._found: dict[str, tuple[np.ndarray, np.ndarray]] = {}

  def add(self, batch: Batch, found: Detections) -> None:
    for b, index in video_rows(batch):
      shown = np.unique(batch["segment_query"][b])
      name = self.split.table[index].video_id
      self._found[name] = found.scores[b], shown[shown >= 0]

  def score(self) -> Report:
    rows = [self._found[name] for name in sorted(self._found)]
    return classification.evaluate(
      np.stack([scores for scores, _ in rows]),
      np.array([shown[scores[shown].argmax()] for scores, shown in rows]),
      self.split.classes,
      expected=len(self.split.usable),
    )

  def write(self, folder: pathlib.Path) -> None:
    rows = {
      name: {"labels": shown.tolist(), "scores": scores.tolist()}
      for name, (scores, shown) in self._found.items()
    }
    files.write_json(folder / "predictions.json", rows)


def _on_frames(
  make: Callable[..., object], batch: Batch, found: Detections
) -> np.ndarray:
  """Targets bool [B, C, T] of the frames of a batch."""
  num_classes, num_frames = found.scores.shape[1:]
  segments = jnp.asarray(batch["segments"])
  owners = jnp.asarray(batch["segment_query"])
  return np.asarray(make(segments, owners, num_frames, num_classes))
