"""tf.data pipelines: a split to batches, the same for every host count.

Which examples a batch holds is decided by index before anything is read, so
a run resumed at step k starts there at once, and the batch of step k is a
function of (seed, k) alone.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import tensorflow as tf

from unloc_jax.data import ops, shards, streams
from unloc_jax.data.batch import row_spec
from unloc_jax.data.batch_stream import BatchStream
from unloc_jax.data.splits import Split, open_split
from unloc_jax.data.tokenizer import Tokenizer
from unloc_jax.task.sampling import Sampling
from unloc_jax.task.tasks import get_task


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
  """The order of `count` examples in an epoch, int64 [count]."""
  return np.random.default_rng([seed, epoch]).permutation(count)


def steps_per_epoch(count: int, batch_size: int) -> int:
  """Full batches an epoch of `count` examples has, at least 1."""
  return max(1, count // batch_size)


class GlobalOrder:
  """Which example is row r of the global batch of step k.

  An epoch's last examples that do not fill a batch are left to other epochs'
  orders, so that no batch holds a video twice (its captions would be taken
  for negatives of themselves). Only a split smaller than a batch repeats.
  """

  def __init__(self, seed: int, count: int, batch_size: int):
    self._seed, self._count, self._batch = seed, count, batch_size
    self._steps = steps_per_epoch(count, batch_size)
    self._order = functools.lru_cache(4)(self._make)

  def _make(self, epoch: int) -> np.ndarray:
    order = epoch_order(self._seed, epoch, self._count)
    return np.resize(order, max(self._count, self._batch))

  def __call__(self, step: int, row: int) -> int:
    epoch, within = divmod(step, self._steps)
    return int(self._order(epoch)[within * self._batch + row])


# What a row is made of: (record or -1 for none, first query, two seed words).
RowPlan = tuple[int, int, int, int]
Plan = Callable[[int], RowPlan]


def _processing(split: Split, training: bool) -> ops.Op:
  """The recipe from a record dictionary to a row."""
  c = split.config.data
  steps = [ops.sample(Sampling.from_config(split.config))]
  if get_task(split.config.task).texts == "captions":
    steps.append(ops.choose_queries(c.max_queries, random=training))
    tokenizer = Tokenizer(c.max_tokens)
    steps.append(ops.tokenize(tokenizer, c.max_queries, c.max_tokens))
  else:
    steps.append(ops.class_segments(split.class_index))
  if training and c.augment.segment_jitter > 0:
    steps.append(ops.jitter_segments(c.augment.segment_jitter))
  steps.append(ops.pad_segments(c.max_segments))
  return ops.chain([*steps, streams.make(split.config, training)])


def _empty_row(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The row of no example; see batch.py."""
  row: dict[str, Any] = jax.tree.map(
    lambda x: tf.zeros(x.shape, tf.as_dtype(x.dtype)),
    row_spec(config),
  )
  row["segment_query"] -= 1
  return row


def _rows(
  split: Split, plan: Plan, training: bool
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
  """Numbers -> rows of the plan's entries, in order, many made at once."""
  workers = split.config.data.num_workers
  process = _processing(split, training)
  empty = _empty_row(split.config)
  names = list(empty)

  def read(number: np.ndarray) -> tuple[bytes, np.ndarray, np.ndarray]:
    index, query, low, high = plan(int(number))
    data = _read_allowed(split, index) if index >= 0 else b""
    place = np.asarray([max(index, 0), query], np.int32)
    return data, place, np.asarray([low, high], np.int32)

  def full(
    data: tf.Tensor, place: tf.Tensor, seed: tf.Tensor
  ) -> dict[str, Any]:
    record = split.source.parse(data)
    record = process({**record, "seed": seed, "query_offset": place[1]})
    record["example_mask"] = tf.constant(True)
    record["example_index"] = place[0]
    return {name: record[name] for name in names}

  def make(number: tf.Tensor) -> dict[str, Any]:
    data, place, seed = tf.numpy_function(
      read, [number], (tf.string, tf.int32, tf.int32), stateful=True
    )
    data, place = tf.ensure_shape(data, []), tf.ensure_shape(place, [2])
    seed = tf.ensure_shape(seed, [2])
    return tf.cond(
      tf.strings.length(data) > 0,
      lambda: full(data, place, seed),
      lambda: empty,
    )

  return lambda numbers: numbers.map(make, num_parallel_calls=workers)


def _read_allowed(split: Split, index: int) -> bytes:
  """The record's bytes; none if it is corrupt, which the stream judges."""
  record = split.records[index]
  if record in split.corrupt:
    return b""
  read = shards.read_verified if split.verified else shards.read_record
  try:
    return read(record)
  except shards.CorruptDataError as error:
    # Raised here it would reach the user as a TensorFlow traceback.
    split.corrupt.add(record, error)
    return b""


def _as_split(config: ml_collections.ConfigDict, split: str | Split) -> Split:
  return split if isinstance(split, Split) else open_split(config, split)


def make_train(
  config: ml_collections.ConfigDict,
  *,
  batch_size: int,
  seed: int,
  start_step: int = 0,
  rows: Sequence[int] | None = None,
  split: Split | None = None,
) -> BatchStream:
  """Endless training batches, from that of `start_step` on.

  Args:
    config: of the run.
    batch_size: rows of the global batch.
    seed: of order and augmentation.
    start_step: first step; nothing before it is read.
    rows: of each global batch, those to make; by default all. Hosts whose
      devices share videos make the same rows.
    split: an opened split; by default config.data.train_split is opened.
  """
  split = _as_split(config, split or config.data.train_split)
  mine = list(range(batch_size) if rows is None else map(int, rows))
  usable = split.usable
  order = GlobalOrder(seed, len(usable), batch_size)

  def plan(number: int) -> RowPlan:
    step, at = divmod(number, len(mine))
    row = mine[at]
    # Hashed: seeds of neighbouring rows must not give neighbouring draws.
    low, high = (
      np.random.SeedSequence([seed, step, row]).generate_state(2).view(np.int32)
    )
    return int(usable[order(step, row)]), 0, int(low), int(high)

  return BatchStream(
    split,
    _rows(split, plan, training=True),
    lambda number: plan(number)[0],
    range(start_step * len(mine), np.iinfo(np.int64).max),
    len(mine),
    batch_size,
    steps_per_epoch(len(usable), batch_size),
  )


def eval_rows(split: Split) -> list[tuple[int, int]]:
  """(record, first query) of every row of an evaluation, in order.

  Captions: every query is in exactly one row; a video without any has none.
  Classes: every video is one row.
  """
  if get_task(split.config.task).texts == "classes":
    corrupt = split.corrupt
    return [
      (int(i), 0) for i in split.usable if split.records[i] not in corrupt
    ]
  step = split.config.data.max_queries
  return [
    (i, first)
    for i, video in enumerate(split.table.videos)
    if video is not None
    for first in range(0, len(video.query_ids), step)
  ]


def make_eval(
  config: ml_collections.ConfigDict,
  *,
  batch_size: int,
  split: str | Split | None = None,
  rows: Sequence[int] | None = None,
) -> BatchStream:
  """Batches that hold every example, and every query, exactly once.

  The last global batch is filled up with rows whose example_mask is False, so
  every host makes the same number of batches.

  Args:
    config: of the run.
    batch_size: rows of the global batch.
    split: name or an opened split; by default config.data.eval_split.
    rows: as of `make_train`.
  """
  split = _as_split(config, split or config.data.eval_split)
  mine = list(range(batch_size) if rows is None else map(int, rows))
  places = eval_rows(split)
  batches = -(-len(places) // batch_size)

  def plan(number: int) -> RowPlan:
    step, at = divmod(number, len(mine))
    row = step * batch_size + mine[at]
    return (*places[row], 0, 0) if row < len(places) else (-1, 0, 0, 0)

  return BatchStream(
    split,
    _rows(split, plan, training=False),
    lambda number: plan(number)[0],
    range(batches * len(mine)),
    len(mine),
    batch_size,
    batches,
  )
