"""Random access to the records of TFRecord shards.

A TFRecord is a length (8 bytes, little endian), its checksum (4), the payload
and its checksum (4). One pass over the lengths gives every record's place, so
any example is one seek away and a truncated shard is found before any work.
"""

import concurrent.futures
import dataclasses
import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tensorflow as tf
from tensorflow.python.lib.io import tf_record

HEADER_BYTES = 12
_FOOTER_BYTES = 4
_THREADS = 32

T = TypeVar("T")


class CorruptDataError(ValueError):
  """A shard or record that is not what was written."""


def masked_crc(data: bytes) -> int:
  """TFRecord's checksum: CRC-32C, rotated and offset. For short data only."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc ^= byte
    for _ in range(8):
      crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
  crc ^= 0xFFFFFFFF
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def open_binary(path: str) -> Any:
  """Opens a local file, or a file of any file system TensorFlow knows."""
  # GFile reads half a megabyte after each seek: too much for local headers.
  return tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb")


@dataclasses.dataclass(frozen=True)
class Record:
  """The place of one record."""

  path: str  # The shard
  number: int  # Index in it, from 0
  offset: int  # Where the record's header starts, bytes
  size: int  # Bytes of the payload

  def __str__(self) -> str:
    return f"record {self.number} of {self.path}"


def shard_records(path: str) -> list[Record]:
  """Every record of a shard, from its lengths; checks that it is whole."""
  records: list[Record] = []
  total = tf.io.gfile.stat(path).length
  offset = 0
  with open_binary(path) as shard:
    while offset < total:
      shard.seek(offset)
      header = shard.read(HEADER_BYTES)
      place = f"{path}: record {len(records)} (byte {offset})"
      if len(header) < HEADER_BYTES:
        raise CorruptDataError(f"{place} is cut short; copy the shard again")
      size, crc = struct.unpack("<QI", header)
      if masked_crc(header[:8]) != crc:
        raise CorruptDataError(
          f"{place} has a corrupt length, so what follows it is lost; copy "
          "the shard again"
        )
      records.append(Record(path, len(records), offset, size))
      offset += HEADER_BYTES + size + _FOOTER_BYTES
      if offset > total:
        raise CorruptDataError(
          f"{place} ends {offset - total} bytes after the shard does; the "
          "shard is truncated, copy it again"
        )
  return records


def read_record(record: Record) -> bytes:
  """The payload; raises CorruptDataError when its checksum is wrong."""
  reader = tf_record.tf_record_random_reader(record.path)
  try:
    return reader.read(record.offset)[0]
  except (tf.errors.DataLossError, tf.errors.OutOfRangeError, IndexError) as e:
    raise CorruptDataError(
      f"{record} (byte {record.offset}) is corrupt: its checksum does not match"
    ) from e
  finally:
    reader.close()


def read_verified(record: Record) -> bytes:
  """The payload of a record whose checksum `verify` found right before.

  Computing it takes as long as reading and parsing the record do.
  """
  with open_binary(record.path) as shard:
    shard.seek(record.offset)
    header, payload = shard.read(HEADER_BYTES), shard.read(record.size)
  if header[:8] != struct.pack("<Q", record.size) or (
    len(payload) != record.size
  ):
    raise CorruptDataError(f"{record} is not what it was; do not write to it")
  return payload


def stored_checksum(record: Record) -> bytes:
  """The checksum written behind the payload, which tells records apart."""
  with open_binary(record.path) as shard:
    shard.seek(record.offset + HEADER_BYTES + record.size)
    return shard.read(_FOOTER_BYTES)


def map_threads(
  function: Callable[[Any], Any], items: Sequence[Any]
) -> list[Any]:
  """[function(item) for item in items], many at once: the wait is for disks."""
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    return list(pool.map(function, items))


@dataclasses.dataclass
class CorruptRecords:
  """Counts corrupt records, each once, and stops past what is allowed."""

  allowed: int  # How many may be skipped
  # A line for each that was met so far
  errors: dict[Record, str] = dataclasses.field(default_factory=dict)

  def tried(self, read: Callable[[Record], T], record: Record) -> T | None:
    """What is read of a record; None where it is corrupt, which is counted."""
    if record not in self.errors:
      try:
        return read(record)
      except CorruptDataError as error:
        self.errors[record] = str(error)
    return None

  def check(self) -> None:
    """Raises CorruptDataError where they are more than allowed."""
    if len(self.errors) > self.allowed:
      first = next(iter(self.errors.values()))
      raise CorruptDataError(
        f"{len(self.errors)} corrupt record(s), data.max_corrupt_records="
        f"{self.allowed}; first: {first}; rebuild the shard or allow more"
      )


def verify(records: Sequence[Record], corrupt: CorruptRecords) -> None:
  """Reads every record once and counts those whose checksum is wrong."""

  def is_read(record: Record) -> bool:
    return corrupt.tried(read_record, record) is not None

  map_threads(is_read, records)
  corrupt.check()


def total_bytes(records: Sequence[Record]) -> int:
  """Bytes of all payloads."""
  return sum(record.size for record in records)
