"""What an annotation file says of one video, whatever the benchmark."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
  """A sentence, or the name of a class, asked of one video.

  Attributes:
    id: Name of the query; for classes, its index in the manifest's list.
    text: The caption or class name.
    annotation: What else the official file says of it; JSON values.
  """

  id: str
  text: str
  annotation: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
  """A stretch of video that answers a query.

  Attributes:
    start: Seconds.
    end: Seconds.
    query: Index into the video's queries.
  """

  start: float
  end: float
  query: int


@dataclasses.dataclass(frozen=True, slots=True)
class VideoAnnotation:
  """What an annotation file says of one video.

  Attributes:
    video_id: Unique in its benchmark.
    split: Name of the split it belongs to.
    duration: Seconds by the annotation, None where it does not say.
    queries: Sentences or classes.
    segments: Where they are, in seconds.
    path: The file, relative to the folder of videos; None to look it up by id.
    names: Further names, without extension, the file may have.
  """

  video_id: str
  split: str
  duration: float | None
  queries: tuple[Query, ...]
  segments: tuple[Segment, ...]
  path: str | None = None
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
