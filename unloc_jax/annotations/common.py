"""What every annotation reader shares: its result, its checks, its counts."""

import collections
import dataclasses
import json
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from unloc_jax.annotations.records import Query, Segment, VideoAnnotation


class AnnotationError(ValueError):
  """An annotation file that cannot be read at all, and where."""


@dataclasses.dataclass
class SplitNotes:
  """What a reader found in one split's file, before any video is looked at.

  Attributes:
    videos: Videos in the file.
    queries: Queries in the file.
    segments: Segments in the file.
    clipped: Segments cut at 0 or at the annotated end of the video.
    dropped: Reason -> segments, queries or videos left out for it.
    notes: Lines for the report.
  """

  videos: int = 0
  queries: int = 0
  segments: int = 0
  clipped: int = 0
  dropped: collections.Counter[str] = dataclasses.field(
    default_factory=collections.Counter
  )
  notes: list[str] = dataclasses.field(default_factory=list)

  def plus(self, other: "SplitNotes") -> "SplitNotes":
    """Returns both together."""
    return SplitNotes(
      self.videos + other.videos,
      self.queries + other.queries,
      self.segments + other.segments,
      self.clipped + other.clipped,
      self.dropped + other.dropped,
      self.notes + other.notes,
    )


@dataclasses.dataclass
class AnnotationSet:
  """All that the annotation files of a benchmark say.

  Attributes:
    videos: In the order of the files; ids are unique.
    classes: Class names by index; empty for captions.
    splits: What was found and what was left out, by split.
    files: The files read.
  """

  videos: list[VideoAnnotation] = dataclasses.field(default_factory=list)
  classes: list[str] = dataclasses.field(default_factory=list)
  splits: dict[str, SplitNotes] = dataclasses.field(default_factory=dict)
  files: list[pathlib.Path] = dataclasses.field(default_factory=list)

  def notes(self, split: str) -> SplitNotes:
    """Returns the notes of a split, made where new."""
    return self.splits.setdefault(split, SplitNotes())

  def merge(self, other: "AnnotationSet") -> None:
    """Adds what another file says. Classes must have been agreed before."""
    # The same video may be in two splits: val_1 and val_2 of ActivityNet
    # Captions are two sets of captions of the same videos.
    seen = {(video.split, video.video_id) for video in self.videos}
    for video in other.videos:
      key = (video.split, video.video_id)
      if key in seen:
        notes = other.notes(video.split)
        notes.dropped["duplicate video id"] += 1
        notes.notes.append(f"{video.video_id}: twice; the first is kept")
      else:
        seen.add(key)
        self.videos.append(video)
    for split, notes in other.splits.items():
      self.splits[split] = self.notes(split).plus(notes)
    self.files += other.files


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
      notes.dropped["empty caption"] += 1
      notes.notes.append(f"{self.video_id}: query {query_id} has no text")
      return
    kept = [pair for w in windows if (pair := self._checked(query_id, w))]
    if windows and not kept:
      notes.dropped["query without a usable segment"] += 1
      return
    index = len(self._queries)
    self._queries.append(Query(query_id, text.strip(), annotation or {}))
    self._segments += [Segment(start, end, index) for start, end in kept]

  def _checked(self, query_id: str, window: Any) -> tuple[float, float] | None:
    """Returns the usable part of a segment in seconds, or None."""
    notes = self._notes
    pair = as_window(window)
    if pair is None:
      self._drop(query_id, window, "segment not two numbers")
      return None
    start, end = pair
    if start >= end:
      self._drop(query_id, window, "segment ends before it starts")
      return None
    limit = math.inf if self.duration is None else self.duration
    if start >= limit or end <= 0:
      self._drop(query_id, window, "segment outside the video")
      return None
    if start < 0 or end > limit:
      notes.clipped += 1
    return max(0.0, start), min(end, limit)

  def _drop(self, query_id: str, window: Any, why: str) -> None:
    self._notes.dropped[why] += 1
    self._notes.notes.append(
      f"{self.video_id}: query {query_id}, {window}: {why}"
    )

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
  except (TypeError, ValueError):
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


def class_queries(
  draft: VideoDraft,
  labelled: Iterable[tuple[Any, Any]],
  index: dict[Any, int],
  names: Sequence[str],
  extra: dict[Any, dict[str, Any]] | None = None,
) -> None:
  """Adds one query per distinct class of a video.

  Args:
    draft: The video.
    labelled: (class key, window) in the order of the file.
    index: Class key -> index.
    names: Class names by index.
    extra: Class key -> what else to keep of it.
  """
  windows: dict[Any, list[Any]] = {}
  for key, window in labelled:
    windows.setdefault(key, []).append(window)
  for key in sorted(windows, key=lambda key: index[key]):
    draft.add(
      str(index[key]),
      names[index[key]],
      windows[key],
      extra[key] if extra else {},
    )


def read_json(path: pathlib.Path) -> Any:
  """Reads a JSON file, noting keys given twice.

  Raises:
    AnnotationError: It cannot be read; says the line.
  """
  try:
    return json.loads(
      path.read_text(encoding="utf-8-sig"), object_pairs_hook=_Object
    )
  except json.JSONDecodeError as error:
    raise AnnotationError(
      f"{path}, line {error.lineno}: not JSON ({error.msg}); fetch the file"
      " again"
    ) from error
  except (OSError, UnicodeDecodeError) as error:
    raise AnnotationError(f"{path}: cannot be read ({error})") from error


class _Object(dict[str, Any]):
  """A JSON object that remembers the keys it was given twice."""

  def __init__(self, pairs: list[tuple[str, Any]]):
    self.repeated: list[str] = []
    super().__init__()
    for key, value in pairs:
      if key in self:
        self.repeated.append(key)
      else:
        self[key] = value


def note_repeated(record: Any, notes: SplitNotes) -> None:
  """Puts video ids given twice in one file into the notes."""
  for key in record.repeated if isinstance(record, _Object) else ():
    notes.dropped["duplicate video id"] += 1
    notes.notes.append(f"{key}: twice in the file; the first is kept")


def read_lines(path: pathlib.Path) -> list[tuple[int, dict[str, Any] | None]]:
  """Reads a JSONL file: (line number, object), None where not an object."""
  rows: list[tuple[int, dict[str, Any] | None]] = []
  try:
    text = path.read_text(encoding="utf-8-sig")
  except (OSError, UnicodeDecodeError) as error:
    raise AnnotationError(f"{path}: cannot be read ({error})") from error
  # Not splitlines(): a caption may hold U+2028, which JSON leaves unescaped.
  for number, line in enumerate(text.split("\n"), 1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
    except json.JSONDecodeError:
      row = None
    rows.append((number, row if isinstance(row, dict) else None))
  return rows


def require(record: Any, keys: Sequence[str], where: str) -> Any:
  """Returns `record` if it is an object with these keys.

  Raises:
    AnnotationError: It is not; names the first key missing.
  """
  if not isinstance(record, dict):
    raise AnnotationError(f"{where}: expected an object")
  for key in keys:
    if key not in record:
      raise AnnotationError(f"{where}: no {key!r}")
  return record


def files_of(place: pathlib.Path, pattern: str) -> list[pathlib.Path]:
  """Returns the annotation files: `place` itself, or those in the folder.

  Raises:
    AnnotationError: There is none.
  """
  if place.is_file():
    return [place]
  found = sorted(place.glob(pattern)) if place.is_dir() else []
  if not found:
    raise AnnotationError(
      f"{place}: no annotation file {pattern} there; give --annotations the"
      " folder that holds the official files"
    )
  return found
