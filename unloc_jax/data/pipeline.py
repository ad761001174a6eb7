"""tf.data pipelines: a split to batches, the same for every host count.

Which examples a batch holds is decided by index before anything is read, so
a run resumed at step k starts there at once, and the batch of step k is a
function of (seed, k) alone.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import tensorflow as tf

from unloc_jax.config.check import check
from unloc_jax.data import manifest as manifests
from unloc_jax.data import ops, shards, sources, streams
from unloc_jax.data.batch import row_spec
from unloc_jax.data.batch_stream import BatchStream
from unloc_jax.data.mediasequence import MediaSequenceSource
from unloc_jax.data.tfds_source import TfdsSource
from unloc_jax.data.tokenizer import Tokenizer
from unloc_jax.task.sampling import Sampling
from unloc_jax.task.tasks import get_task

_GIB = 2**30


@dataclasses.dataclass
class Split:
  """An opened split.

  Attributes:
    config: of the run.
    name: of the split.
    source: reads its records.
    records: their places, in stored order.
    manifest: what the builder says; None for MediaSequence files without.
    corrupt: corrupt records met so far.
    verified: every record's checksum was compared when it was opened.
  """

  config: ml_collections.ConfigDict
  name: str
  source: sources.Source
  records: list[shards.Record]
  manifest: manifests.Manifest | None
  corrupt: shards.CorruptRecords
  verified: bool

  @functools.cached_property
  def table(self) -> sources.SplitTable:
    """Host-side table of the split's videos, read at first use."""
    return sources.read_table(self.source, self.records, self.corrupt)

  @functools.cached_property
  def all_classes(self) -> tuple[str, ...]:
    """The dataset's class names in index order."""
    if self.manifest is not None:
      return self.manifest.classes
    names: dict[int, str] = {}
    for video in self.table.videos:
      if video is not None:
        names.update(zip(map(int, video.query_ids), video.texts, strict=True))
    return tuple(names.get(i, f"class {i}") for i in range(max(names) + 1))

  @property
  def classes(self) -> tuple[str, ...]:
    """Class names in the order of segment_query; () for captions."""
    if get_task(self.config.task).texts != "classes":
      return ()
    return tuple(self.config.data.classes) or self.all_classes

  @functools.cached_property
  def class_index(self) -> tuple[int, ...]:
    """The dataset's index of each of `classes`."""
    places = {name: i for i, name in enumerate(self.all_classes)}
    unknown = [name for name in self.classes if name not in places]
    if unknown or not self.classes:
      raise ValueError(
        f"{self.config.data.path}: the dataset has no class {unknown}; correct "
        f"data.classes (it has {len(places)} classes)"
      )
    return tuple(places[name] for name in self.classes)

  @functools.cached_property
  def usable(self) -> np.ndarray:
    """Records with something to learn from: int64 indices, stored order."""
    if not self.config.data.classes:
      return np.arange(len(self.records))
    wanted = {str(i) for i in self.class_index}
    kept = [
      i
      for i, video in enumerate(self.table.videos)
      if video is not None and wanted & set(video.query_ids)
    ]
    if not kept:
      raise ValueError(
        f"{self.config.data.path}: no video of split {self.name!r} holds "
        f"one of the {len(wanted)} data.classes; choose others"
      )
    return np.asarray(kept)


def open_source(
  config: ml_collections.ConfigDict, split: str
) -> sources.Source:
  """The source `config.data.format` names."""
  if config.data.format == "tfds":
    return TfdsSource(config, split)
  return MediaSequenceSource(config, split)


def open_split(config: ml_collections.ConfigDict, split: str) -> Split:
  """Finds a split's records and checks that its shards are whole."""
  check(config)
  _check_classes(config)
  _hide_accelerators()
  source = open_source(config, split)
  if not source.records:
    raise ValueError(f"{config.data.path}: split {split!r} is empty")
  manifest = None
  data = config.data
  if data.format == "tfds" or manifests.exists(data.path):
    manifest = manifests.read_manifest(data.path)
    for stream in streams.of(config).values():
      manifests.check_manifest(manifest, stream.manifest(config))
  corrupt = shards.CorruptRecords(data.max_corrupt_records)
  verified = shards.total_bytes(source.records) <= data.verify_gib * _GIB
  if verified:
    shards.verify(source.records, corrupt)
  return Split(
    config, split, source, source.records, manifest, corrupt, verified
  )


def _check_classes(config: ml_collections.ConfigDict) -> None:
  if config.data.classes and get_task(config.task).texts != "classes":
    raise ValueError(
      f"data.classes selects classes, but task={config.task!r} asks captions; "
      "choose a task of classes or leave data.classes empty"
    )


def _hide_accelerators() -> None:
  # TensorFlow would take memory the model needs; too late is also no harm.
  with contextlib.suppress(RuntimeError):
    tf.config.set_visible_devices([], "GPU")


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

  def read(number: np.ndarray) -> tuple:
    index, query, low, high = plan(int(number))
    data = _read_allowed(split, index) if index >= 0 else b""
    place = np.asarray([max(index, 0), query], np.int32)
    return data, place, np.asarray([low, high], np.int32)

  def full(data: tf.Tensor, place: tf.Tensor, seed: tf.Tensor) -> dict:
    record = split.source.parse(data)
    record = process({**record, "seed": seed, "query_offset": place[1]})
    record["example_mask"] = tf.constant(True)
    record["example_index"] = place[0]
    return {name: record[name] for name in names}

  def make(number: tf.Tensor) -> dict:
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
