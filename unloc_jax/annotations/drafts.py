"""What every reader of annotations shares: checks, counts, names of splits."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unloc_jax.annotations.records import (
  Query,
  Segment,
  SplitNotes,
  VideoAnnotation,
)

SPLIT_NAMES = {
  "training": "train",
  "validation": "val",
  "validate": "val",
  "testing": "test",
  "val_1": "val",
  "val_2": "test",
}


def split_name(text: str) -> str:
  """Returns our name of a split: train, val, test, or the file's own."""
  name = text.strip().lower()
  return SPLIT_NAMES.get(name, name)


class VideoDraft:
  """Collects the queries and segments of one video, and checks them."""

  def __init__(
    self,
    video_id: str,
    split: str,
    duration: Any,
    notes: SplitNotes,
    *,
    path: str | None = None,
    names: Sequence[str] = (),
  ):
    """Starts a video; its duration may be a number, a numeral or None."""
    self.video_id = video_id
    self.split = split
    self.path = path
    self.names = tuple(names)
    self._notes = notes
    self._queries: list[Query] = []
    self._segments: list[Segment] = []
    self.duration = self._length(duration)
    notes.videos += 1

  def _length(self, duration: Any) -> float | None:
    if duration is None:
      return None
    length = as_seconds(duration)
    if length is None or length <= 0:
      self._notes.notes.append(
        f"{self.video_id}: duration {duration!r} is not a length; ignored"
      )
      return None
    return length

  def add(
    self,
    query_id: str,
    text: Any,
    windows: Iterable[Any],
    annotation: dict[str, Any] | None = None,
  ) -> None:
    """Adds a query with its segments, clipping or dropping bad ones."""
    notes = self._notes
    notes.queries += 1
    windows = list(windows)
    notes.segments += len(windows)
    if not isinstance(text, str) or not text.strip():
      line = f"{self.video_id}: query {query_id} has no text"
      notes.drop("empty caption", line)
      return
    kept = [pair for w in windows if (pair := self._checked(query_id, w))]
    if windows and not kept:
      notes.dropped["query without a usable segment"] += 1
      return
    index = len(self._queries)
    self._queries.append(Query(query_id, text.strip(), annotation or {}))
    self._segments += [Segment(start, end, index) for start, end in kept]

  def add_classes(
    self,
    labelled: Iterable[tuple[Any, Any]],
    index: Mapping[Any, int],
    names: Sequence[str],
    extra: Mapping[Any, dict[str, Any]] | None = None,
  ) -> None:
    """Adds one query per distinct class, which may have `extra` to keep.

    `labelled` are (class key, window) in the order of the file; `index` gives
    the place of a key in `names`.
    """
    windows: dict[Any, list[Any]] = {}
    for key, window in labelled:
      windows.setdefault(key, []).append(window)
    for key in sorted(windows, key=lambda key: index[key]):
      more = extra[key] if extra else {}
      self.add(str(index[key]), names[index[key]], windows[key], more)

  def _checked(self, query_id: str, window: Any) -> tuple[float, float] | None:
    """Returns the usable part of a segment in seconds, or None."""
    pair = as_window(window)
    limit = math.inf if self.duration is None else self.duration
    start, end = pair or (0.0, 0.0)
    why = ""
    if pair is None:
      why = "segment not two numbers"
    elif start >= end:
      why = "segment ends before it starts"
    elif start >= limit or end <= 0:
      why = "segment outside the video"
    if why:
      line = f"{self.video_id}: query {query_id}, {window}: {why}"
      self._notes.drop(why, line)
      return None
    if start < 0 or end > limit:
      self._notes.clipped += 1
    return max(0.0, start), min(end, limit)

  def done(self) -> VideoAnnotation:
    """Returns the checked video."""
    return VideoAnnotation(
      video_id=self.video_id,
      split=self.split,
      duration=self.duration,
      queries=tuple(self._queries),
      segments=tuple(self._segments),
      path=self.path,
      names=self.names,
    )


def as_seconds(value: Any) -> float | None:
  """Returns a finite number of seconds, or None."""
  if isinstance(value, bool):
    return None
  try:
    number = float(value)
  except (TypeError, ValueError, OverflowError):
    return None
  return number if math.isfinite(number) else None


def as_window(window: Any) -> tuple[float, float] | None:
  """Returns (start, end) in seconds, or None."""
  if not isinstance(window, (list, tuple)) or len(window) != 2:
    return None
  start, end = as_seconds(window[0]), as_seconds(window[1])
  if start is None or end is None:
    return None
  return start, end
