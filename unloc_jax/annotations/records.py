"""What annotation files say, whatever the benchmark."""

import collections
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unloc_jax.annotations.reading import (
  as_seconds,
  as_window,
  fault,
  is_blank,
)

_DEEPEST = 32  # Levels of lists and objects that are kept beside a query.
# A query before it is checked: id, text, windows, and what else is said of it.
Asked = tuple[str, Any, Sequence[Any], dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
  """A sentence, or the name of a class, asked of one video."""

  id: str  # Name of the query; for classes, its index in the manifest's list
  text: str  # The caption or class name
  # What else the official file says of it; JSON values
  annotation: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
  """A stretch of video that answers a query."""

  start: float  # Seconds
  end: float  # Seconds
  query: int  # Index into the video's queries


@dataclasses.dataclass(frozen=True, slots=True)
class VideoAnnotation:
  """What an annotation file says of one video."""

  video_id: str  # Unique in its benchmark
  split: str  # Name of the split it belongs to
  # Seconds by the annotation, None where it does not say
  duration: float | None
  queries: tuple[Query, ...]  # Sentences or classes
  segments: tuple[Segment, ...]  # Where they are, in seconds
  # The file, relative to the folder of videos; None to look it up by id
  path: str | None = None
  # Further names, without extension, the file may have
  names: tuple[str, ...] = ()

  @classmethod
  def from_json(cls, record: dict[str, Any]) -> "VideoAnnotation":
    """Reads `dataclasses.asdict` of an annotation, once it was JSON."""
    return cls(
      **{
        **record,
        "queries": tuple(Query(**query) for query in record["queries"]),
        "segments": tuple(Segment(**one) for one in record["segments"]),
        "names": tuple(record["names"]),
      }
    )


@dataclasses.dataclass
class SplitNotes:
  """What a reader found in one split's file, before any video is looked at."""

  videos: int = 0  # Videos in the file
  queries: int = 0  # Queries in the file
  segments: int = 0  # Segments in the file
  clipped: int = 0  # Segments cut at 0 or at the annotated end of the video
  # Reason -> segments, queries or videos left out for it
  dropped: collections.Counter[str] = dataclasses.field(
    default_factory=collections.Counter
  )
  # Lines for the report
  notes: list[str] = dataclasses.field(default_factory=list)

  def drop(self, why: str, line: str) -> None:
    """Counts something left out, and says what."""
    self.dropped[why] += 1
    self.notes.append(line)

  def repeated(self, video_id: str, where: object) -> None:
    """Counts a video that was given before."""
    line = f"{video_id}: again in {where}; the first is kept"
    self.drop("duplicate video id", line)

  def usable(
    self, name: str, windows: Iterable[Any], length: float
  ) -> list[tuple[float, float]]:
    """Segments in seconds; what lies outside of the video is cut or dropped.

    `name` says whose they are.
    """
    kept = []
    for window in windows:
      self.segments += 1
      pair = as_window(window)
      start, end = pair or (0.0, 0.0)
      why = ""
      if pair is None:
        why = "segment not two numbers"
      elif start >= end:
        why = "segment ends before it starts"
      elif start >= length or end <= 0:
        why = "segment outside the video"
      if why:
        self.drop(why, f"{name}, {window}: {why}")
        continue
      self.clipped += start < 0 or end > length
      kept.append((max(0.0, start), min(end, length)))
    return kept


@dataclasses.dataclass
class AnnotationSet:
  """All that the annotation files of a benchmark say."""

  # In the order of the files; ids are unique in a split. ActivityNet Captions
  # has two sets of captions, val_1 and val_2, of the same videos.
  videos: list[VideoAnnotation] = dataclasses.field(default_factory=list)
  # Class names by index; empty for captions
  classes: list[str] = dataclasses.field(default_factory=list)
  # What was found and what was left out, by split
  splits: dict[str, SplitNotes] = dataclasses.field(default_factory=dict)
  # The files read
  files: list[pathlib.Path] = dataclasses.field(default_factory=list)
  _ids: set[tuple[str, str]] = dataclasses.field(default_factory=set)

  def notes(self, split: str) -> SplitNotes:
    """Returns the notes of a split, made where new."""
    return self.splits.setdefault(split, SplitNotes())

  def add(
    self,
    where: object,
    video_id: str,
    split: str,
    duration: Any,
    asked: Iterable[Asked],
    *,
    path: str | None = None,
    names: Sequence[str] = (),
  ) -> None:
    """Adds a video; what of it cannot be used is counted and left out.

    The duration may be a number, a numeral or None. Raises AnnotationError: an
    annotation is nested too deeply.
    """
    notes = self.notes(split)
    if (split, video_id) in self._ids:
      notes.repeated(video_id, where)
      return
    self._ids.add((split, video_id))
    notes.videos += 1
    length = as_seconds(duration)
    if duration is not None and (length is None or length <= 0):
      what = f"duration {duration!r} is not a length; ignored"
      notes.notes.append(f"{video_id}: {what}")
      length = None
    queries: list[Query] = []
    segments: list[Segment] = []
    for query_id, text, windows, annotation in asked:
      name = f"{video_id}: query {query_id}"
      notes.queries += 1
      if not isinstance(text, str) or is_blank(text):
        notes.segments += len(windows)
        notes.drop("empty caption", f"{name} has no text")
        continue
      if annotation and _deep(annotation, _DEEPEST):
        raise fault(where, f"{name}: values nested deeper than {_DEEPEST}")
      kept = notes.usable(name, windows, math.inf if length is None else length)
      if windows and not kept:
        notes.dropped["query without a usable segment"] += 1
        continue
      segments += [Segment(*window, len(queries)) for window in kept]
      queries.append(Query(query_id, text.strip(), annotation))
    found = tuple(queries), tuple(segments)
    self.videos.append(
      VideoAnnotation(video_id, split, length, *found, path, tuple(names))
    )


def by_class(
  labelled: Iterable[tuple[Any, Any]],
  index: Mapping[Any, int],
  names: Sequence[str],
  more: Mapping[Any, Any] | None = None,
) -> list[Asked]:
  """One query for each distinct class, in the order of `names`.

  `labelled` are (class key, window) in the order of the file; `index` gives
  the place of a key in `names`. Of each is kept what `more` says, and a key
  that is a number, as COIN's "step".
  """
  windows: dict[Any, list[Any]] = {}
  for key, window in labelled:
    windows.setdefault(key, []).append(window)
  asked: list[Asked] = []
  for key in sorted(windows, key=lambda key: index[key]):
    step = {"step": key} if isinstance(key, int) else {}
    kept = {**step, **(more or {})}
    asked.append((str(index[key]), names[index[key]], windows[key], kept))
  return asked


def _deep(value: Any, most: int) -> bool:
  """Whether lists and objects are nested in more levels than `most`."""
  if isinstance(value, dict):
    value = list(value.values())
  if not isinstance(value, list):
    return False
  return most == 0 or any(_deep(each, most - 1) for each in value)
