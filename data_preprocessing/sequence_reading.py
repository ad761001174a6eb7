"""Reads MediaSequence records, ours or others', as examples of a dataset."""

import os
import re
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from data_preprocessing import tfrecord_reading
from data_preprocessing.tfrecord_reading import Stored

_FRAMES = "image/encoded"
# Of a SequenceExample: its context, and its lists.
_CONTEXT, _LISTS = 1, 2
_SHARD = re.compile(r"([-_.]?tfrecords?)?[-_.]?\d+-of-\d+|@\d+|\.tfrecords?")


class StoredSequence(Stored):
  """A MediaSequence record under the names that `Stored` has."""

  def frames(self, indices: list[int]) -> list[bytes]:
    """Returns the JPEGs of some stored positions, ascending."""
    wanted, found = set(indices), []
    with open(self.path, "rb") as file:
      start, size = self.large["frames"]
      for index, feature in enumerate(_entries(file, start, size)):
        if index in wanted:
          found.append(tfrecord_reading.values(file, *feature)[0])
    return found


def split_of(name: str) -> str:
  """Returns the split that a file's name tells: all but its numbering."""
  return _SHARD.sub("", name).strip("-_.") or "all"


def examples(
  path: str | os.PathLike[str], frame_rate: float
) -> Iterator[StoredSequence]:
  """Yields the records of one file.

  Args:
    path: The file.
    frame_rate: Of records that do not say theirs.

  Raises:
    ValueError: The file is cut short, or holds something else.
  """
  for file, start, size in tfrecord_reading.payloads(path):
    try:
      yield _record(file, os.fspath(path), start, size, frame_rate)
    except (KeyError, IndexError) as error:
      raise ValueError(
        f"{os.fspath(path)}: byte {start}: no MediaSequence record, it lacks"
        f" {error}"
      ) from error


def _record(
  file: IO[bytes], path: str, start: int, size: int, frame_rate: float
) -> StoredSequence:
  """Reads SequenceExample { context, feature_lists }."""
  context: dict[str, list[Any]] = {}
  large: dict[str, tuple[int, int]] = {}
  count = 0
  for part, at, length in list(tfrecord_reading.fields(file, start, size)):
    for key, place in _named(file, at, length):
      if part == _CONTEXT:
        context[key] = tfrecord_reading.values(file, *place)
      elif part == _LISTS and key == _FRAMES:
        large["frames"] = place
        count = sum(1 for _ in _entries(file, *place))
  if "frames" not in large:
    raise KeyError(_FRAMES)
  return StoredSequence(path, _as_example(context, count, frame_rate), large)


def _named(
  file: IO[bytes], start: int, size: int
) -> Iterator[tuple[str, tuple[int, int]]]:
  """Yields the keys of a map, and where their values are."""
  for _, at, length in list(tfrecord_reading.fields(file, start, size)):
    parts = {n: (p, s) for n, p, s in tfrecord_reading.fields(file, at, length)}
    file.seek(parts[1][0])
    key = file.read(parts[1][1]).decode()
    if 2 in parts:
      yield key, parts[2]


def _entries(
  file: IO[bytes], start: int, size: int
) -> Iterator[tuple[int, int]]:
  """Yields where the features of a feature list are."""
  for _, at, length in tfrecord_reading.fields(file, start, size):
    yield at, length


def _as_example(
  context: dict[str, list[Any]], count: int, frame_rate: float
) -> dict[str, list[Any]]:
  """Returns the features of an example of ours."""
  # Floats are still bytes.
  rates = context.get("image/frame_rate") or []
  rate = float(np.frombuffer(rates[0], "<f4")[0]) if rates else frame_rate
  end = context.get("clip/end/timestamp")
  labels = context.get("segment/label/string", [])
  numbers = context.get("segment/label/index", [])
  keys = (
    list(zip(numbers, labels, strict=True))
    if (len(numbers) == len(labels))
    else [(0, label) for label in labels]
  )
  kinds = list(dict.fromkeys(keys))
  return {
    "video_id": context["clip/media_id"],
    "duration": [_doubles([end[0] / 1e6 if end else count / rate])],
    "frame_rate": [_doubles([rate])],
    "frame_count": [count],
    "queries/id": [str(number).encode() for number, _ in kinds],
    "queries/text": [label for _, label in kinds],
    "segments/start": [_doubles(_times(context, "segment/start", rate))],
    "segments/end": [_doubles(_times(context, "segment/end", rate))],
    "segments/query": [kinds.index(key) for key in keys],
  }


def _times(
  context: dict[str, list[Any]], name: str, rate: float
) -> list[float]:
  """Returns seconds, from time stamps or else from frame numbers."""
  stamps = context.get(f"{name}/timestamp")
  if stamps:
    return [stamp / 1e6 for stamp in stamps]
  return [index / rate for index in context.get(f"{name}/index", [])]


def _doubles(values: list[float]) -> bytes:
  return np.asarray(values, "<f8").tobytes()
