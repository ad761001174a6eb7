"""Writes tf.train.Example records of any length, in little memory.

A two-hour video is a record of a gigabyte. TensorFlow's writer wants it whole
in memory, twice; this one copies it through from a file, and needs no
TensorFlow in the workers.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import IO, Protocol

import google_crc32c
import numpy as np

# A protocol buffer may not be longer.
MAX_RECORD_BYTES = (1 << 31) - 1
_CRC_MASK = 0xA282EAD8


class Payload(Protocol):
  """The encoded `Feature` of one key, possibly too long for memory."""

  @property
  def size(self) -> int:
    """Bytes."""

  def chunks(self) -> Iterator[bytes]:
    """Yields the bytes in order."""


class Bytes:
  """A feature held in memory."""

  def __init__(self, content: bytes):
    self._content = content

  @property
  def size(self) -> int:
    return len(self._content)

  def chunks(self) -> Iterator[bytes]:
    yield self._content


class Spool:
  """A list of byte strings kept in a file until the record is written.

  Attributes:
    lengths: Bytes of each string, in order.
  """

  def __init__(self, file: IO[bytes]):
    """Starts an empty list in an empty file open for writing and reading."""
    self._file = file
    self.lengths: list[int] = []

  def append(self, item: bytes) -> None:
    """Adds one byte string to the list."""
    self._file.write(item)
    self.lengths.append(len(item))

  def items(self) -> Iterator[bytes]:
    """Yields the byte strings in order."""
    self._file.seek(0)
    for length in self.lengths:
      item = self._file.read(length)
      if len(item) != length:
        raise OSError("a spool file lost its end; is the disk full?")
      yield item

  @property
  def size(self) -> int:
    body = self._body()
    return 1 + len(varint(body)) + body

  def chunks(self) -> Iterator[bytes]:
    yield b"\x0a" + varint(self._body())
    for item in self.items():
      yield b"\x0a" + varint(len(item))
      yield item

  def _body(self) -> int:
    return sum(1 + len(varint(n)) + n for n in self.lengths)


def texts(items: Iterable[str | bytes]) -> Bytes:
  """Encodes a list of strings."""
  listed = bytearray()
  for item in items:
    content = item.encode() if isinstance(item, str) else item
    listed += b"\x0a" + varint(len(content)) + content
  return Bytes(b"\x0a" + varint(len(listed)) + bytes(listed))


def doubles(values: Iterable[float]) -> Bytes:
  """Encodes doubles as one string of little-endian bytes, exactly."""
  return texts([np.asarray(list(values), "<f8").tobytes()])


def integers(values: Iterable[int]) -> Bytes:
  """Encodes a list of non-negative integers."""
  packed = b"".join(varint(value) for value in values)
  listed = b"\x0a" + varint(len(packed)) + packed if packed else b""
  return Bytes(b"\x1a" + varint(len(listed)) + listed)


def floats(values: np.ndarray) -> Bytes:
  """Encodes an array of any shape as single-precision floats."""
  packed = np.ascontiguousarray(values, "<f4").tobytes()
  listed = b"\x0a" + varint(len(packed)) + packed if packed else b""
  return Bytes(b"\x12" + varint(len(listed)) + listed)


def example_size(features: dict[str, Payload]) -> int:
  """Returns the bytes of the Example's message, without the record's frame."""
  return sum(len(head) + features[key].size for key, head in _heads(features))


def write_example(out: IO[bytes], features: dict[str, Payload]) -> int:
  """Appends one tf.train.Example to an open TFRecord file.

  Args:
    out: The file, at its end.
    features: Encoded features by key; written in the order of the keys, so
      that equal examples are equal bytes.

  Returns:
    Bytes of the message.

  Raises:
    ValueError: The record is longer than a protocol buffer may be.
  """
  return write_message(out, _example_chunks(features), _framed_size(features))


def write_message(out: IO[bytes], chunks: Iterable[bytes], size: int) -> int:
  """Appends one record of `size` bytes, given in pieces, and returns size."""
  if size > MAX_RECORD_BYTES:
    raise ValueError(
      f"a record of {size / 1e9:.2f} GB, and 2.14 GB is the most; lower the"
      " frame rate, short side or quality"
    )
  length = struct.pack("<Q", size)
  out.write(length)
  out.write(struct.pack("<I", _masked(google_crc32c.value(length))))
  checksum = 0
  written = 0
  for chunk in chunks:
    out.write(chunk)
    checksum = google_crc32c.extend(checksum, chunk)
    written += len(chunk)
  if written != size:
    raise ValueError(f"a record of {size} bytes was given {written}")
  out.write(struct.pack("<I", _masked(checksum)))
  return size


def record_size(message_bytes: int) -> int:
  """Returns the bytes a message takes in the file."""
  return message_bytes + 16


def encode_example(features: dict[str, Payload]) -> bytes:
  """Returns the serialised Example; for records that fit in memory."""
  return b"".join(_example_chunks(features))


def _framed_size(features: dict[str, Payload]) -> int:
  body = example_size(features)
  return 1 + len(varint(body)) + body


def _example_chunks(features: dict[str, Payload]) -> Iterator[bytes]:
  """Yields Example { features: Features { feature: map } } in pieces."""
  yield b"\x0a" + varint(example_size(features))
  for key, head in _heads(features):
    yield head
    yield from features[key].chunks()


def _heads(features: dict[str, Payload]) -> Iterator[tuple[str, bytes]]:
  """Yields each key with the bytes of its map entry before the Feature."""
  for key in sorted(features):
    name = key.encode()
    size = features[key].size
    inner = b"\x0a" + varint(len(name)) + name + b"\x12" + varint(size)
    yield key, b"\x0a" + varint(len(inner) + size) + inner


def varint(value: int) -> bytes:
  """Encodes a non-negative integer in base 128."""
  if value < 0:
    raise ValueError(f"{value} is negative")
  groups = bytearray()
  while value >= 0x80:
    groups.append(value & 0x7F | 0x80)
    value >>= 7
  groups.append(value)
  return bytes(groups)


def _masked(checksum: int) -> int:
  """TFRecord stores checksums rotated, so that they can be checksummed."""
  rotated = (checksum >> 15) | (checksum << 17)
  return (rotated + _CRC_MASK) & 0xFFFFFFFF
