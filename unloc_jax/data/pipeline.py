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

from unloc_jax.data import ops, sentences, shards, streams, text_rows
from unloc_jax.data.batch import row_spec, text_shape
from unloc_jax.data.batch_stream import BatchStream
from unloc_jax.data.sources import Video
from unloc_jax.data.splits import Split, open_split
from unloc_jax.task.sampling import Sampling
from unloc_jax.task.tasks import get_task


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
    self._order = functools.lru_cache(4)(self._make)

  def _make(self, epoch: int) -> np.ndarray:
    order = np.random.default_rng([self._seed, epoch]).permutation(self._count)
    return np.resize(order, max(self._count, self._batch))

  def __call__(self, step: int, row: int) -> int:
    epoch, within = divmod(step, steps_per_epoch(self._count, self._batch))
    return int(self._order(epoch)[within * self._batch + row])


# What a row is made of: (record or -1 for none, first query, two seed words).
RowPlan = tuple[int, int, int, int]

# What Python says of a row, before anything is drawn.
_ENTRIES = {
  "data": tf.TensorSpec([], tf.string),
  "example_index": tf.TensorSpec([], tf.int32),
  "query_offset": tf.TensorSpec([], tf.int32),
  "seed": tf.TensorSpec([2], tf.int32),
  "duration": tf.TensorSpec([], tf.float32),
  "frame_rate": tf.TensorSpec([], tf.float32),
  "frame_count": tf.TensorSpec([], tf.int32),
  "frame_index": tf.TensorSpec([None], tf.int32),
  "frame_mask": tf.TensorSpec([None], tf.bool),
  "texts": tf.TensorSpec([None], tf.string),
  "segments": tf.TensorSpec([None, 2], tf.float32),
  "segment_query": tf.TensorSpec([None], tf.int32),
}
_NO_VIDEO = Video(
  *("", 1.0, 1.0, 1, (), (), ()), np.zeros([0, 2]), np.zeros([0], int)
)


def describe(split: Split) -> Callable[[Video], dict[str, Any]]:
  """Returns what makes of a Video its entries of a record.

  Segments turn from seconds to sampled positions, those of classes that are
  not asked for are dropped, and segment_query is then the index of a class.
  """
  sampling = Sampling.from_config(split.config)
  captions = get_task(split.config.task).texts == "captions"
  class_index = () if captions else split.class_index
  places = {str(old): new for new, old in enumerate(class_index)}

  def entries(video: Video) -> dict[str, Any]:
    count, rate = video.frame_count, video.frame_rate
    seconds, query = video.segments.astype(np.float32), video.segment_query
    if not captions:
      owners = [places.get(query_id, -1) for query_id in video.query_ids]
      query = np.asarray(owners, np.int32)[query]
      seconds, query = seconds[query >= 0], query[query >= 0]
    index, mask = sampling.frames(count, rate)
    return {
      "duration": video.duration,
      "frame_rate": rate,
      "frame_count": count,
      "frame_index": index,
      "frame_mask": mask,
      "texts": [text.encode() for text in video.texts],
      "segments": sampling.to_positions(seconds, count, rate),
      "segment_query": query,
    }

  return entries


def _processing(split: Split, training: bool) -> ops.Op:
  """The recipe from a record dictionary to a row."""
  c = split.config.data
  steps = []
  if get_task(split.config.task).texts == "captions":
    choose = ops.choose_queries(c.max_queries, random=training)
    if c.text_width:
      steps += [text_rows.take(c), choose, text_rows.pad(c)]
    else:
      (width,), dtype = text_shape(split.config)
      reader = sentences.reader(split.config)
      steps += [choose, ops.tokenize(reader, c.max_queries, width, dtype)]
  shortest, stretch = c.augment.shortest_window, c.augment.stretch
  if training and (shortest < 1 or stretch > 0):
    steps.append(ops.take_window(shortest, stretch))
  if training and c.augment.segment_jitter > 0:
    steps.append(ops.jitter_segments(c.augment.segment_jitter))
  steps.append(ops.pad_segments(c.max_segments))
  return ops.chain([*steps, streams.make(split.config, training)])


def _rows(
  split: Split, plan: Callable[[int], RowPlan], training: bool
) -> Callable[[range], tf.data.Dataset]:
  """Numbers -> rows of the plan's entries, in order, many made at once."""
  process, entries_of = _processing(split, training), describe(split)
  empty: dict[str, Any] = jax.tree.map(
    lambda x: tf.zeros(x.shape, tf.as_dtype(x.dtype)), row_spec(split.config)
  )
  empty["segment_query"] -= 1  # See batch.py.

  def read(number: np.ndarray) -> list[np.ndarray]:
    index, query, *seed = plan(int(number))
    data, video = _read_allowed(split, index)
    entries = {
      "data": data,
      "example_index": max(index, 0),
      "query_offset": query,
      "seed": seed,
      **entries_of(video),
    }
    return [
      np.asarray(entries[name], spec.dtype.as_numpy_dtype)
      for name, spec in _ENTRIES.items()
    ]

  def full(record: ops.Record) -> dict[str, Any]:
    stored = split.source.stored(record["data"])
    record = process({**record, **stored, "example_mask": tf.constant(True)})
    return {name: record[name] for name in empty}

  def make(number: tf.Tensor) -> dict[str, Any]:
    types = [spec.dtype for spec in _ENTRIES.values()]
    values = tf.numpy_function(read, [number], types, stateful=True)
    record = {
      name: tf.ensure_shape(value, spec.shape)
      for (name, spec), value in zip(_ENTRIES.items(), values, strict=True)
    }
    return tf.cond(
      tf.strings.length(record["data"]) > 0,
      lambda: full(record),
      lambda: empty,
    )

  def rows(numbers: range) -> tf.data.Dataset:
    return tf.data.Dataset.range(numbers.start, numbers.stop).map(
      make, num_parallel_calls=split.config.data.num_workers
    )

  return rows


def _read_allowed(split: Split, index: int) -> tuple[bytes, Video]:
  """A record's bytes and what it says; no bytes where it is none or corrupt.

  Whether so many may be corrupt the stream judges: raised here an error would
  reach the user as a TensorFlow traceback.
  """
  read = shards.read_verified if split.verified else shards.read_record

  def whole(record: shards.Record) -> tuple[bytes, Video]:
    data = read(record)
    return data, split.source.video(record, data)

  found = None
  if index >= 0:
    found = split.corrupt.tried(whole, split.records[index])
  return found or (b"", _NO_VIDEO)


def _stream(
  split: Split,
  plan: Callable[[int, int], RowPlan],
  batch_size: int,
  rows: Sequence[int] | None,
  steps: range,
  length: int,
  training: bool,
) -> BatchStream:
  """Batches of some steps; the plan is of a step and a row of its batch."""
  mine = list(range(batch_size) if rows is None else map(int, rows))

  def of_number(number: int) -> RowPlan:
    step, at = divmod(number, len(mine))
    return plan(step, mine[at])

  return BatchStream(
    split,
    _rows(split, of_number, training),
    lambda number: of_number(number)[0],
    range(steps.start * len(mine), steps.stop * len(mine)),
    len(mine),
    length,
  )


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
    split: opened; by default config.data.train_split.
  """
  split = split or open_split(config, config.data.train_split)
  usable = split.usable
  order = GlobalOrder(seed, len(usable), batch_size)

  def plan(step: int, row: int) -> RowPlan:
    # Hashed: seeds of neighbouring rows must not give neighbouring draws.
    low, high = (
      np.random.SeedSequence([seed, step, row]).generate_state(2).view(np.int32)
    )
    return int(usable[order(step, row)]), 0, int(low), int(high)

  steps = range(start_step, np.iinfo(np.int64).max // batch_size)
  length = steps_per_epoch(len(usable), batch_size)
  return _stream(split, plan, batch_size, rows, steps, length, training=True)


def _eval_rows(split: Split) -> list[tuple[int, int]]:
  """(record, first query) of every row of an evaluation, in order.

  Captions: every query is in exactly one row; a video without any has none.
  Classes: every video is one row.
  """
  if get_task(split.config.task).texts == "classes":
    errors = split.corrupt.errors
    return [(int(i), 0) for i in split.usable if split.records[i] not in errors]
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

  Arguments are those of `make_train`; the split may also be a name, by default
  the first of eval.splits.
  """
  if not isinstance(split, Split):
    split = open_split(config, split or config.eval.splits[0])
  places = _eval_rows(split)
  count = -(-len(places) // batch_size)

  def plan(step: int, row: int) -> RowPlan:
    place = step * batch_size + row
    return (*places[place], 0, 0) if place < len(places) else (-1, 0, 0, 0)

  return _stream(
    split, plan, batch_size, rows, range(count), count, training=False
  )
