"""What annotation files say, whatever the benchmark."""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any


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

  def add(self, other: "SplitNotes") -> None:
    """Adds what another file of the split held."""
    self.videos += other.videos
    self.queries += other.queries
    self.segments += other.segments
    self.clipped += other.clipped
    self.dropped += other.dropped
    self.notes += other.notes


@dataclasses.dataclass
class AnnotationSet:
  """All that the annotation files of a benchmark say."""

  # In the order of the files; ids are unique
  videos: list[VideoAnnotation] = dataclasses.field(default_factory=list)
  # Class names by index; empty for captions
  classes: list[str] = dataclasses.field(default_factory=list)
  # What was found and what was left out, by split
  splits: dict[str, SplitNotes] = dataclasses.field(default_factory=dict)
  # The files read
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
        line = f"{video.video_id}: twice; the first is kept"
        other.notes(video.split).drop("duplicate video id", line)
      else:
        seen.add(key)
        self.videos.append(video)
    for split, notes in other.splits.items():
      self.notes(split).add(notes)
    self.files += other.files

  def note_repeated(self, video_ids: Iterable[str], split: str) -> None:
    """Notes videos that one file gave twice."""
    for video_id in video_ids:
      line = f"{video_id}: twice in the file; the first is kept"
      self.notes(split).drop("duplicate video id", line)
