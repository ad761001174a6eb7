"""Reads built TFRecords without TensorFlow, and frames only when asked for."""

import dataclasses
import os
import struct
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

# Features that may be longer than all others together.
_LARGE = ("frames", "embeddings", "timestamps")


@dataclasses.dataclass(frozen=True)
class Stored:
  """One example of a built dataset.

  Attributes:
    path: Its shard.
    values: Features by key, lists; doubles are still bytes.
    large: Key -> (offset, bytes) of the features left on disk.
  """

  path: str
  values: dict[str, list[Any]]
  large: dict[str, tuple[int, int]]

  def text(self, key: str) -> list[str]:
    """Returns strings."""
    return [value.decode("utf-8", "replace") for value in self.values[key]]

  def doubles(self, key: str) -> list[float]:
    """Returns doubles, which are stored as bytes."""
    return [float(v) for v in np.frombuffer(self.values[key][0], "<f8")]

  def frames(self, indices: list[int]) -> list[bytes]:
    """Returns the JPEGs of some stored positions, ascending."""
    found: list[bytes] = []
    wanted = set(indices)
    with open(self.path, "rb") as file:
      start, size = self.large["frames"]
      for at, length in _lists(file, start, size):
        for index, (_, place, item) in enumerate(fields(file, at, length)):
          if index in wanted:
            file.seek(place)
            found.append(file.read(item))
    return found


def examples(path: str | os.PathLike[str]) -> Iterator[Stored]:
  """Yields the examples of one shard.

  Raises:
    ValueError: The shard is cut short or is no TFRecord.
  """
  for file, start, size in payloads(path):
    yield _example(file, os.fspath(path), start, size)


def payloads(
  path: str | os.PathLike[str],
) -> Iterator[tuple[IO[bytes], int, int]]:
  """Yields (open file, offset, bytes) of the records of a TFRecord file.

  Raises:
    ValueError: The file is cut short or is no TFRecord.
  """
  name = os.fspath(path)
  total = os.path.getsize(name)
  with open(name, "rb") as file:
    start = 0
    while start < total:
      file.seek(start)
      head = file.read(12)
      size = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else total
      end = start + 16 + size
      if end > total:
        raise ValueError(f"{name}: cut short at byte {start}; build it again")
      yield file, start + 12, size
      start = end


def _example(file: IO[bytes], path: str, start: int, size: int) -> Stored:
  """Reads Example { features { feature: map } }."""
  stored = Stored(path, {}, {})
  for _, at, length in list(fields(file, start, size)):
    for _, entry, entry_size in list(fields(file, at, length)):
      parts = {n: (p, s) for n, p, s in fields(file, entry, entry_size)}
      file.seek(parts[1][0])
      key = file.read(parts[1][1]).decode()
      if key in _LARGE:
        stored.large[key] = parts[2]
      else:
        stored.values[key] = values(file, *parts[2])
  return stored


def values(file: IO[bytes], start: int, size: int) -> list[Any]:
  """Reads a Feature: byte strings or integers; packed floats stay bytes."""
  found: list[Any] = []
  for kind, at, length in list(fields(file, start, size)):
    for _, place, item in list(fields(file, at, length)):
      file.seek(place)
      content = file.read(item)
      found += _integers(content) if kind == 3 else [content]
  return found


def _integers(packed: bytes) -> list[int]:
  values, value, shift = [], 0, 0
  for byte in packed:
    value |= (byte & 0x7F) << shift
    shift += 7
    if not byte & 0x80:
      # Negative numbers are stored as their complement.
      values.append(value - (1 << 64) if value >> 63 else value)
      value = shift = 0
  return values


def _lists(file: IO[bytes], start: int, size: int) -> Iterator[tuple[int, int]]:
  """Yields where the lists inside a Feature are."""
  for _, at, length in list(fields(file, start, size)):
    yield at, length


def fields(
  file: IO[bytes], start: int, size: int
) -> Iterator[tuple[int, int, int]]:
  """Yields (field number, offset, bytes) of a message's fields."""
  at, end = start, start + size
  while at < end:
    file.seek(at)
    tag, used = _varint(file)
    if tag & 7 != 2:
      raise ValueError(f"byte {at}: not an example of ours")
    length, more = _varint(file)
    at += used + more
    yield tag >> 3, at, length
    at += length


def _varint(file: IO[bytes]) -> tuple[int, int]:
  """Returns a number in base 128, and its bytes."""
  value = shift = 0
  while True:
    byte = file.read(1)
    if not byte or shift > 63:
      raise ValueError("not an example of ours")
    value |= (byte[0] & 0x7F) << shift
    shift += 7
    if not byte[0] & 0x80:
      return value, shift // 7
