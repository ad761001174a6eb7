"""Draws the best and the worst examples of a split while it is scored."""

import bisect
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from matplotlib.figure import Figure

from unloc_jax import files
from unloc_jax.data.splits import Split
from unloc_jax.metrics import overlap, segmentation
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
Drawing = Callable[[], Figure]  # Holds what it draws, and no more


@dataclasses.dataclass(frozen=True)
class _Row:
  """A video of a batch, and what was found in the batch."""

  batch: Batch
  found: Detections
  b: int  # Its row
  index: int  # Of the split's table
  shown: np.ndarray  # Positions of its frames
  step: float  # Seconds between two of them


class Gallery:
  """Draws `eval.num_drawn` examples: half scored best, half worst.

  The score of a caption is the tIoU of its first moment, of a localized or
  segmented video its `agreement`, of a classified one that of its true class.
  Of equal failures the surest come first.
  """

  def __init__(self, config: ml_collections.ConfigDict, split: Split):
    task = get_task(config.task)
    self._sampling = Sampling.from_config(config)
    self._split = split
    # Too many tags are true of a frame to be drawn.
    self._count = 0 if task.targets == "tags" else config.eval.num_drawn
    # The worst, then the best: ((score, -how sure), drawing), by these.
    self._kept: list[tuple[tuple[float, float], Drawing]] = []
    self._asks_captions = task.texts == "captions"
    drawings: dict[str, Callable[[_Row], None]] = {
      "per_query": self._localized,
      "per_frame": self._segmented,
      "per_video": self._classified,
    }
    self._draw_classes = drawings[task.decode]

  def add(self, batch: Batch, found: Detections) -> None:
    """Draws those of the batch that are among the best or worst so far."""
    if not self._count:
      return
    if self._asks_captions:
      for b, q, index, query in caption_rows(batch):
        self._asked(self._row(batch, found, b, index), q, query)
      return
    for b, index in video_rows(batch):
      self._draw_classes(self._row(batch, found, b, index))

  def _row(self, batch: Batch, found: Detections, b: int, index: int) -> _Row:
    shown = np.flatnonzero(batch["frame_mask"][b])
    counts, rates = batch["frame_count"][b], batch["frame_rate"][b]
    step = float(self._sampling.seconds_per_position(counts, rates))
    return _Row(batch, found, b, index, shown, step)

  def offer(
    self, score: float, sure: float, prepare: Callable[[], Drawing]
  ) -> None:
    """Keeps an example where it is among the worst or the best so far."""
    half, rank = -(-self._count // 2), (float(score), -float(sure))
    at = bisect.bisect(self._kept, rank, key=lambda each: each[0])
    is_full = len(self._kept) == self._count
    if not (is_full and at == half):
      self._kept.insert(at, (rank, prepare()))
      # It is neither among the worst nor among the best any more.
      del self._kept[half : half + is_full]

  def _seen(self, row: _Row) -> Seen:
    frames = row.batch.get("streams", {}).get("frames")
    if frames is not None:
      places = np.linspace(0, len(row.shown) - 1, figures.THUMBNAILS)
      frames = frames[row.b][row.shown[places.round().astype(int)]]
    duration = self._split.table[row.index].duration
    return Seen(duration, row.shown * row.step, frames)

  def _asked(self, row: _Row, q: int, query: int) -> None:
    """Query q of the row, of the video's queries the one with index `query`."""
    video, found = self._split.table[row.index], row.found
    truth = self._split.table.segments_of(row.index, query)
    if not len(truth):
      return
    assert found.segments is not None
    best = np.flatnonzero(found.scores[row.b, q] > 0)[:_BEST]
    segments = found.segments[row.b, q][best]
    scores = found.scores[row.b, q][best]
    met = overlap.intersection_over_union(segments[:1, None], truth[None])

    def prepare() -> Drawing:
      title = f"“{video.texts[query]}”  —  {video.video_id}"
      curve = found.curve[row.b, q][row.shown]
      drawn = (title, self._seen(row), truth, segments, scores, curve)
      return functools.partial(figures.timeline, *drawn)

    self.offer(met.max(initial=0.0), scores.max(initial=0.0), prepare)

  def _truth(self, index: int) -> list[Event]:
    """True events of a video, of the classes asked for."""
    video = self._split.table[index]
    pairs = zip(video.segments, video.segment_query, strict=True)
    events = [Event(video.texts[q], float(s[0]), float(s[1])) for s, q in pairs]
    return [event for event in events if event.label in self._split.classes]

  def _events(self, row: _Row, events: Sequence[Event]) -> None:
    truth, name = self._truth(row.index), self._split.table[row.index].video_id
    if not truth and not events:
      return

    def prepare() -> Drawing:
      named = zip(self._split.classes, row.found.curve[row.b], strict=True)
      relevance = {each: curve[row.shown] for each, curve in named}
      drawn = (name, self._seen(row), truth, events, relevance)
      return functools.partial(figures.events, *drawn)

    sure = float(np.mean([event.score for event in events] or [0.0]))
    self.offer(agreement(truth, events), sure, prepare)

  def _localized(self, row: _Row) -> None:
    """As many of the best detections as there are true events."""
    count = max(1, len(self._truth(row.index)))
    best = (values[:count] for values in listed(row.found, row.b))
    events = [
      Event(self._split.classes[label], float(start), float(end), float(score))
      for label, (start, end), score in zip(*best, strict=True)
    ]
    self._events(row, events)

  def _segmented(self, row: _Row) -> None:
    cost, step = self._split.config.decode.switch_cost, row.step
    classes = frame_classes(row.found.scores[row.b].T[row.shown], cost)
    labels, places = segmentation.runs(classes)
    events = [
      Event(self._split.classes[label - 1], start * step, end * step)
      for label, (start, end) in zip(labels, places, strict=True)
      if label != BACKGROUND
    ]
    self._events(row, events)

  def _classified(self, row: _Row) -> None:
    video, scores = self._split.table[row.index], row.found.scores[row.b]
    true = np.isin(self._split.classes, video.texts)

    def prepare() -> Drawing:
      best = np.argsort(-scores, kind="stable")[:_RANKED]
      names = [self._split.classes[label] for label in best]
      drawn = (self._seen(row), names, scores[best], true[best].tolist())
      return functools.partial(figures.ranking, video.video_id, *drawn)

    score = scores.max(where=true, initial=0.0)
    self.offer(score, scores.max(), prepare)

  def write(self, folder: pathlib.Path) -> dict[str, list[tuple[str, bytes]]]:
    """Writes one PNG an example: {"best" or "worst": [(score, PNG)]}."""
    half = -(-len(self._kept) // 2)
    written: dict[str, list[tuple[str, bytes]]] = {"best": [], "worst": []}
    best, worst = self._kept[half:][::-1], self._kept[:half]
    for kind, some in (("best", best), ("worst", worst)):
      for number, ((score, _), draw) in enumerate(some, start=1):
        png = figures.rendered(draw())
        files.write_bytes(folder / f"timeline_{kind}_{number}.png", png)
        written[kind].append((f"{score:.2f}", png))
    return written


def agreement(truth: Sequence[Event], found: Sequence[Event]) -> float:
  """Mean tIoU, 0 to 1, to the best event of the class opposite.

  What is missed and what is found in vain count as 0.
  """
  best = []
  for some, others in ((truth, found), (found, truth)):
    for event in some:
      same = [each[1:3] for each in others if each.label == event.label]
      segments = np.array(same, float).reshape(-1, 2)
      one = np.array(event[1:3], float)
      met = overlap.intersection_over_union(one, segments)
      best.append(met.max(initial=0.0))
  return float(np.mean(best))
