"""Batches of a pipeline; a record that cannot be read is told by its name.

Nothing is checked on the way: only where TensorFlow gives up on a batch are
its records tried one by one, and frames decoded to find the one at fault.
"""

import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf

from unloc_jax.data import shards, streams
from unloc_jax.data.batch import Batch
from unloc_jax.data.splits import Split
from unloc_jax.task.sampling import Sampling


@dataclasses.dataclass
class BatchStream:
  """Iterator of host-local batches."""

  split: Split  # Opened
  rows: Callable[[range], tf.data.Dataset]  # Numbers -> rows
  record_of: Callable[[int], int]  # Number of a row -> record; below 0: none
  numbers: range  # Of the rows that are left, in order
  host_rows: int  # Rows of a host-local batch
  length: int  # Batches in an epoch (training) or in all (evaluation)

  def __post_init__(self) -> None:
    self._batches = self._read()

  def _read(self) -> Iterator[Batch]:
    """Batches of the rows that are left."""
    config = self.split.config.data
    options = tf.data.Options()
    options.deterministic = True
    if config.num_workers > 0:
      options.threading.private_threadpool_size = config.num_workers
    rows = self.rows(self.numbers)
    rows = rows.batch(self.host_rows, drop_remainder=True)
    rows = rows.prefetch(config.prefetch).with_options(options)
    return rows.as_numpy_iterator()

  def __iter__(self) -> Iterator[Batch]:
    return self

  def __next__(self) -> Batch:
    while True:
      try:
        batch = next(self._batches)
      except tf.errors.OpError as error:
        self._leave_out(error)
        self._batches = self._read()
        continue
      self.numbers = self.numbers[self.host_rows :]
      self.split.corrupt.check()
      return batch

  def _leave_out(self, error: tf.errors.OpError) -> None:
    """Counts the records of the next batch that cannot be read.

    Raises:
      CorruptDataError: They are more than allowed.
      ValueError: It is no record's fault.
    """
    corrupt, found = self.split.corrupt, False
    for number in self.numbers[: self.host_rows]:
      index = self.record_of(number)
      if index < 0 or self.split.records[index] in corrupt.errors:
        continue
      try:
        list(self.rows(range(number, number + 1)))
      except tf.errors.OpError as fault:
        record = self.split.records[index]
        corrupt.errors[record] = _explained(self.split, record, fault)
        found = True
    if not found:
      raise ValueError(
        f"{self.split.config.data.path}, split {self.split.name!r}: "
        f"{_first_line(error)}"
      ) from error
    corrupt.check()


def _first_line(error: Exception) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0]


def _explained(
  split: Split, record: shards.Record, fault: tf.errors.OpError
) -> str:
  """Says which video it is, and which of its frames is at fault."""
  try:
    video = split.source.video(record)
    stored = split.source.stored(tf.constant(shards.read_record(record)))
  except (tf.errors.OpError, ValueError) as error:
    return f"{record}: {_first_line(error)}"
  sampling = Sampling.from_config(split.config)
  index, _ = sampling.frames(video.frame_count, video.frame_rate)
  sampled = {**stored, "frame_index": index}
  faults = (s.fault(sampled) for s in streams.of(split.config).values())
  wrong = next(filter(None, faults), None) or _first_line(fault)
  return f"{record}, video {video.video_id!r}: {wrong}"
