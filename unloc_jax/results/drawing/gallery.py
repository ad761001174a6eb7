"""Draws some videos of a split while it is scored."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from matplotlib.figure import Figure

from unloc_jax.data.splits import Split
from unloc_jax.metrics import segmentation
from unloc_jax.results.drawing import figures
from unloc_jax.results.drawing.figures import Event, Seen
from unloc_jax.results.submissions.base import caption_rows, video_rows
from unloc_jax.task.detections import Detections, listed
from unloc_jax.task.frame_classes import BACKGROUND, frame_classes
from unloc_jax.task.sampling import Sampling
from unloc_jax.task.tasks import get_task

_BEST = 3  # Moments shown of a query.
_RANKED = 5  # Classes shown of a classified video.

Batch = Mapping[str, Any]


class Gallery:
  """Draws evenly spread videos of a split: of captions, the first asked."""

  def __init__(self, config: ml_collections.ConfigDict, split: Split):
    task = get_task(config.task)
    self._sampling = Sampling.from_config(config)
    self._split = split
    count = min(config.eval.num_drawn, len(split.table))
    if task.targets == "tags":
      count = 0  # Too many are true of a frame to be drawn.
    spread = np.linspace(0, len(split.table) - 1, count).round().astype(int)
    self._wanted = set(spread.tolist())
    self._figures: dict[str, Figure] = {}
    self._asks_captions = task.texts == "captions"
    drawings: dict[str, Callable[..., Figure]] = {
      "per_query": self._localized,
      "per_frame": self._segmented,
      "per_video": self._classified,
    }
    self._draw_classes = drawings[task.decode]

  def add(self, batch: Batch, found: Detections) -> None:
    """Draws those of the batch that are wanted."""
    if self._asks_captions:
      for b, q, index, query in caption_rows(batch):
        if index in self._wanted:
          self._wanted.discard(index)
          name = f"{self._split.table[index].video_id}_{query}"
          self._figures[name] = self._asked(batch, found, b, q, index, query)
      return
    for b, index in video_rows(batch):
      if index in self._wanted:
        name = self._split.table[index].video_id
        self._figures[name] = self._draw_classes(batch, found, b, index)

  def _seen(self, batch: Batch, b: int, index: int) -> tuple[np.ndarray, Seen]:
    """Indices of the sampled frames of a row, and what was seen of it."""
    shown = np.flatnonzero(batch["frame_mask"][b])
    seconds = self._sampling.seconds_per_position(
      batch["frame_count"][b], batch["frame_rate"][b]
    )
    frames = batch.get("streams", {}).get("frames")
    frames = None if frames is None else frames[b][shown]
    duration = self._split.table[index].duration
    return shown, Seen(duration, shown * float(seconds), frames)

  def _asked(
    self,
    batch: Batch,
    found: Detections,
    b: int,
    q: int,
    index: int,
    query: int,
  ) -> Figure:
    video = self._split.table[index]
    best = np.flatnonzero(found.scores[b, q] > 0)[:_BEST]
    shown, seen = self._seen(batch, b, index)
    assert found.segments is not None
    return figures.timeline(
      f"“{video.texts[query]}”  —  {video.video_id}",
      seen,
      self._split.table.segments_of(index, query),
      found.segments[b, q][best],
      found.scores[b, q][best],
      found.curve[b, q][shown],
    )

  def _truth(self, index: int) -> list[Event]:
    """True events of a video, of the classes asked for."""
    video = self._split.table[index]
    pairs = zip(video.segments, video.segment_query, strict=True)
    events = [Event(video.texts[q], float(s[0]), float(s[1])) for s, q in pairs]
    return [event for event in events if event.label in self._split.classes]

  def _events(
    self,
    shown: np.ndarray,
    seen: Seen,
    index: int,
    found: Sequence[Event],
    curves: np.ndarray,
  ) -> Figure:
    named = zip(self._split.classes, curves, strict=True)
    return figures.events(
      self._split.table[index].video_id,
      seen,
      self._truth(index),
      found,
      {name: curve[shown] for name, curve in named},
    )

  def _localized(
    self, batch: Batch, found: Detections, b: int, index: int
  ) -> Figure:
    """As many of the best detections as there are true events."""
    count = max(1, len(self._truth(index)))
    best = (values[:count] for values in listed(found, b))
    events = [
      Event(self._split.classes[label], float(start), float(end), float(score))
      for label, (start, end), score in zip(*best, strict=True)
    ]
    shown, seen = self._seen(batch, b, index)
    return self._events(shown, seen, index, events, found.curve[b])

  def _segmented(
    self, batch: Batch, found: Detections, b: int, index: int
  ) -> Figure:
    shown, seen = self._seen(batch, b, index)
    cost = self._split.config.decode.switch_cost
    classes = frame_classes(found.scores[b].T[shown], cost)
    labels, places = segmentation.runs(classes)
    step = float(seen.times[1] - seen.times[0]) if len(shown) > 1 else 0.0
    events = [
      Event(self._split.classes[label - 1], start * step, end * step)
      for label, (start, end) in zip(labels, places, strict=True)
      if label != BACKGROUND
    ]
    return self._events(shown, seen, index, events, found.curve[b])

  def _classified(
    self, batch: Batch, found: Detections, b: int, index: int
  ) -> Figure:
    video, scores = self._split.table[index], found.scores[b]
    best = np.argsort(-scores, kind="stable")[:_RANKED]
    names = [self._split.classes[label] for label in best]
    true = [name in video.texts for name in names]
    _, seen = self._seen(batch, b, index)
    return figures.ranking(video.video_id, seen, names, scores[best], true)

  def write(self, folder: pathlib.Path) -> None:
    """Writes one PNG per video."""
    for name, figure in self._figures.items():
      safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
      figures.save(figure, folder / f"timeline_{safe}.png", dpi=110)
