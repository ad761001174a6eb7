"""What every reader of annotations shares: checks, counts, names of splits."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unloc_jax.annotations.reading import WRONG, fault, is_blank, number
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
_DEEPEST = 32  # Levels of lists and objects that are kept beside a query.


def split_name(text: Any, where: object) -> str:
  """Returns our name of a split: train, val, test, or the file's own.

  Raises AnnotationError: it cannot name files, or `all` of a dataset.
  """
  name = text.strip().lower() if isinstance(text, str) else ""
  name = SPLIT_NAMES.get(name, name)
  if not re.fullmatch(r"\w[\w-]*", name, re.ASCII) or name == "all":
    what = f"{text!r} cannot name a split"
    raise fault(where, what, "use letters, digits, _ and -, and not `all`")
  return name


class VideoDraft:
  """Collects the queries and segments of one video, and checks them.

  The duration may be a number, a numeral or None.
  """

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
    self._notes = notes
    self._queries: list[Query] = []
    self._segments: list[Segment] = []
    length = as_seconds(duration)
    if duration is not None and (length is None or length <= 0):
      what = f"duration {duration!r} is not a length; ignored"
      notes.notes.append(f"{video_id}: {what}")
      length = None
    self._video = video_id, split, length
    self._file = path, tuple(names)
    notes.videos += 1

  def add(
    self,
    query_id: str,
    text: Any,
    windows: Iterable[Any],
    annotation: dict[str, Any] | None = None,
  ) -> None:
    """Adds a query with its segments, clipping or dropping bad ones."""
    notes, video = self._notes, self._video[0]
    notes.queries += 1
    windows = list(windows)
    notes.segments += len(windows)
    if not isinstance(text, str) or is_blank(text):
      notes.drop("empty caption", f"{video}: query {query_id} has no text")
      return
    if annotation and _deep(annotation, _DEEPEST):
      what = f"query {query_id}: values nested deeper than {_DEEPEST}"
      raise fault(video, what)
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
    video, _, length = self._video
    limit = math.inf if length is None else length
    start, end = pair or (0.0, 0.0)
    why = ""
    if pair is None:
      why = "segment not two numbers"
    elif start >= end:
      why = "segment ends before it starts"
    elif start >= limit or end <= 0:
      why = "segment outside the video"
    if why:
      self._notes.drop(why, f"{video}: query {query_id}, {window}: {why}")
      return None
    if start < 0 or end > limit:
      self._notes.clipped += 1
    return max(0.0, start), min(end, limit)

  def done(self) -> VideoAnnotation:
    """Returns the checked video."""
    found = tuple(self._queries), tuple(self._segments)
    return VideoAnnotation(*self._video, *found, *self._file)


def _deep(value: Any, most: int) -> bool:
  """Whether lists and objects are nested in more levels than `most`."""
  if isinstance(value, dict):
    value = list(value.values())
  if not isinstance(value, list):
    return False
  return most == 0 or any(_deep(each, most - 1) for each in value)


def as_seconds(value: Any) -> float | None:
  """Returns a finite number of seconds, or None."""
  try:
    seconds = number(value)
  except WRONG:
    return None
  return seconds if math.isfinite(seconds) else None


def as_window(window: Any) -> tuple[float, float] | None:
  """Returns (start, end) in seconds, or None."""
  if not isinstance(window, (list, tuple)) or len(window) != 2:
    return None
  start, end = as_seconds(window[0]), as_seconds(window[1])
  return None if start is None or end is None else (start, end)
