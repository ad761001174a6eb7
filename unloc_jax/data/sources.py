"""What a source of records gives, and reading a record without its frames.

A source (`tfds_source`, `mediasequence`) reads what a record says of a video in
Python, and in tf.data what is stored for the streams.
"""

import collections
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from unloc_jax.data import shards


@dataclasses.dataclass(frozen=True)
class Video:
  """What a record says of a video, frames apart."""

  video_id: str
  duration: float  # Seconds
  frame_rate: float  # Stored frames per second
  frame_count: int  # N, stored frames
  query_ids: tuple[str, ...]  # For classes, indices in the manifest's list
  texts: tuple[str, ...]  # Captions or class names, parallel to query_ids
  annotations: tuple[str, ...]  # JSON objects, parallel to query_ids
  segments: np.ndarray  # float64 [S, 2], seconds
  segment_query: np.ndarray  # int64 [S], index into query_ids


class Source(Protocol):
  """A split's records and how to read one."""

  records: list[shards.Record]

  def video(self, record: shards.Record, data: bytes | None = None) -> Video:
    """What a record says; without its bytes, its frames stay unread.

    Raises CorruptDataError.
    """

  def stored(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Features of the streams, see `streams`; inside tf.data."""


def _varint(file: Any) -> int:
  value = shift = 0
  while True:
    byte = file.read(1)[0]
    value |= (byte & 0x7F) << shift
    if byte < 0x80:
      return value
    shift += 7


def _fields(file: Any, end: int) -> Iterator[tuple[int, int]]:
  """(number, length) of a message's fields; the file stands at their bytes."""
  while (position := file.tell()) < end:
    tag = _varint(file)
    if tag & 7 != 2:
      raise ValueError(f"byte {position} is not a length-delimited field")
    length = _varint(file)
    start = file.tell()
    yield tag >> 3, length
    file.seek(start + length)


def _small_features(
  file: Any, size: int, skip: frozenset[str]
) -> dict[str, list[Any]]:
  """Features of an Example, or context of a SequenceExample, except `skip`.

  Walks the bytes and seeks over what is skipped: the frames of a record are
  all but a thousandth of it.
  """
  features = {}
  for number, length in _fields(file, file.tell() + size):
    if number != 1:
      continue
    for _, entry_length in _fields(file, file.tell() + length):
      key, place = "", (0, 0)
      for part, part_length in _fields(file, file.tell() + entry_length):
        if part == 1:
          key = file.read(part_length).decode()
        else:
          place = file.tell(), part_length
      if key not in skip:
        file.seek(place[0])
        feature = tf.train.Feature.FromString(file.read(place[1]))
        kind = feature.WhichOneof("kind")
        features[key] = list(getattr(feature, kind).value) if kind else []
  return features


def read_small(
  record: shards.Record,
  data: bytes | None,
  skip: frozenset[str] = frozenset(),
) -> dict[str, list[Any]]:
  """A record's features by name, without the large ones of `skip`.

  From its bytes, where they are read already. Raises CorruptDataError.
  """
  try:
    if data is not None:
      return _small_features(io.BytesIO(data), len(data), skip)
    with shards.open_binary(record.path) as file:
      file.seek(record.offset + shards.HEADER_BYTES)
      return _small_features(file, record.size, skip)
  except (ValueError, IndexError, UnicodeError, DecodeError) as error:
    raise shards.CorruptDataError(f"{record} is corrupt: {error}") from error


def texts(values: list[bytes]) -> tuple[str, ...]:
  """Stored bytes as text."""
  return tuple(v.decode("utf-8", "replace") for v in values)


@dataclasses.dataclass(frozen=True)
class SplitTable:
  """The split's videos; a batch's example_index is an index into them."""

  # One a record; None where it was corrupt and allowed to be skipped
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


def read_table(
  source: Source,
  records: Sequence[shards.Record],
  corrupt: shards.CorruptRecords,
) -> SplitTable:
  """Reads every record except its frames."""

  def read(record: shards.Record) -> Video | None:
    return corrupt.tried(source.video, record)

  videos = shards.map_threads(read, records)
  corrupt.check()
  return SplitTable(tuple(_told_apart(videos)))


def _told_apart(videos: Sequence[Video | None]) -> Iterator[Video | None]:
  """Adds -2, -3, ... to ids of clips that MediaSequence gives one media id."""
  seen: collections.Counter[str] = collections.Counter()
  for video in videos:
    if video is not None:
      old = video.video_id
      seen[old] += 1
      if seen[old] > 1:
        new = f"{old}-{seen[old]}"
        # Ids of queries begin with it; those of classes are theirs alone.
        ids = tuple(
          i.replace(f"{old}#", f"{new}#", 1) if i.startswith(f"{old}#") else i
          for i in video.query_ids
        )
        video = dataclasses.replace(video, video_id=new, query_ids=ids)
    yield video
