"""SplitTable: everything evaluation needs to know of a split, on the host."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from unloc_jax.data import shards, sources

Video = sources.Video


@dataclasses.dataclass(frozen=True)
class SplitTable:
  """The split's videos; a batch's example_index is an index into them.

  Attributes:
    videos: one Video per record, segments in seconds; None where the record
      was corrupt and allowed to be skipped.
  """

  videos: tuple[Video | None, ...]

  def __len__(self) -> int:
    return len(self.videos)

  def __getitem__(self, index: int) -> Video:
    video = self.videos[index]
    if video is None:
      raise IndexError(f"example {index} is a corrupt record")
    return video

  def annotation(self, index: int, query: int) -> dict[str, Any]:
    """What else the official file says of a query."""
    return json.loads(self[index].annotations[query])

  def segments_of(self, index: int, query: int) -> Any:
    """float64 [n, 2], seconds: the segments of one query."""
    video = self[index]
    return video.segments[video.segment_query == query]

  @property
  def num_queries(self) -> int:
    """Queries of all videos."""
    return sum(len(v.query_ids) for v in self.videos if v is not None)


def read_table(
  source: sources.Source,
  records: Sequence[shards.Record],
  corrupt: shards.CorruptRecords,
) -> SplitTable:
  """Reads every record except its frames."""

  def read(record: shards.Record) -> Video | None:
    if record in corrupt:
      return None
    try:
      return source.video(record)
    except shards.CorruptDataError as error:
      corrupt.add(record, error)
      return None

  videos = shards.map_threads(read, records)
  corrupt.check()
  return SplitTable(tuple(videos))
