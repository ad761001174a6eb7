"""Draws some videos of a split while it is scored."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from unloc_jax.data.pipeline import Split
from unloc_jax.metrics import segmentation
from unloc_jax.results.drawing import figures
from unloc_jax.results.drawing.figures import Event
from unloc_jax.results.submissions.base import caption_rows, video_rows
from unloc_jax.task.detections import Detections, listed
from unloc_jax.task.sampling import Sampling
from unloc_jax.training.state import Parts

_BEST = 3  # Moments shown of a query.
_RANKED = 5  # Classes shown of a classified video.

Batch = Mapping[str, np.ndarray]


class Gallery:
  """Draws evenly spread videos of a split: of captions, the first asked."""

  def __init__(self, parts: Parts, split: Split):
    self._sampling = Sampling.from_config(parts.config)
    self._split = split
    count = min(parts.config.eval.num_drawn, len(split.table))
    if parts.task.targets == "tags":
      count = 0  # Too many are true of a frame to be drawn.
    spread = np.linspace(0, len(split.table) - 1, count).round().astype(int)
    self._wanted = set(spread.tolist())
    self._figures: dict[str, Figure] = {}
    self._asks_captions = parts.task.texts == "captions"
    drawings: dict[str, Callable[..., Figure]] = {
      "per_query": self._localized,
      "per_frame": self._segmented,
      "per_video": self._classified,
    }
    self._draw_classes = drawings[parts.task.decode]

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

  def _seen(self, batch: Batch, b: int):
    """Indices, times and pictures of the sampled frames of a row."""
    shown = np.flatnonzero(batch["frame_mask"][b])
    seconds = self._sampling.seconds_per_position(
      batch["frame_count"][b], batch["frame_rate"][b]
    )
    frames = batch["frames"][b][shown] if "frames" in batch else None
    return shown, shown * float(seconds), frames

  def _asked(self, batch, found, b, q, index, query) -> Figure:
    video = self._split.table[index]
    best = np.flatnonzero(found.scores[b, q] > 0)[:_BEST]
    shown, times, frames = self._seen(batch, b)
    return figures.timeline(
      f"“{video.texts[query]}”  —  {video.video_id}",
      video.duration,
      self._split.table.segments_of(index, query),
      found.segments[b, q][best],
      found.scores[b, q][best],
      times,
      found.curve[b, q][shown],
      frames,
    )

  def _truth(self, index: int) -> list[Event]:
    """True events of a video, of the classes asked for."""
    video = self._split.table[index]
    return [
      Event(video.texts[query], float(segment[0]), float(segment[1]))
      for segment, query in zip(
        video.segments, video.segment_query, strict=True
      )
      if video.texts[query] in self._split.classes
    ]

  def _events(self, batch, b, index, found: Sequence[Event], curves) -> Figure:
    video, truth = self._split.table[index], self._truth(index)
    shown, times, frames = self._seen(batch, b)
    labels = {event.label for event in (*truth, *found)}
    return figures.events(
      video.video_id,
      video.duration,
      truth,
      found,
      times,
      {
        name: curve[shown]
        for name, curve in zip(self._split.classes, curves, strict=True)
        if name in labels
      },
      frames,
    )

  def _localized(self, batch, found, b, index) -> Figure:
    """As many of the best detections as there are true events."""
    count = max(1, len(self._truth(index)))
    labels, segments, scores = (values[:count] for values in listed(found, b))
    events = [
      Event(self._split.classes[label], float(start), float(end), float(score))
      for label, (start, end), score in zip(
        labels, segments, scores, strict=True
      )
    ]
    return self._events(batch, b, index, events, found.curve[b])

  def _segmented(self, batch, found, b, index) -> Figure:
    shown, times, _ = self._seen(batch, b)
    classes = segmentation.from_logits(found.scores[b].T[shown])
    labels, places = segmentation.runs(classes)
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    events = [
      Event(self._split.classes[label - 1], start * step, end * step)
      for label, (start, end) in zip(labels, places, strict=True)
      if label != segmentation.BACKGROUND
    ]
    return self._events(batch, b, index, events, found.curve[b])

  def _classified(self, batch, found, b, index) -> Figure:
    video = self._split.table[index]
    scores = found.scores[b]
    best = np.argsort(-scores, kind="stable")[:_RANKED]
    names = [self._split.classes[label] for label in best]
    return figures.ranking(
      video.video_id,
      names,
      scores[best],
      [name in video.texts for name in names],
      self._seen(batch, b)[2],
    )

  def write(self, folder: pathlib.Path) -> Sequence[pathlib.Path]:
    """Writes one PNG per video; returns their paths."""
    paths = []
    for name, figure in self._figures.items():
      safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
      path = folder / f"timeline_{safe}.png"
      figure.savefig(path, dpi=110)
      paths.append(path)
    return paths
