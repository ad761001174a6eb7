"""Examples that wait in files -> shards, by TFDS's writer for Beam.

The writer shuffles by key, deals the examples out to shards and sorts them
there. It holds the examples of a shard in memory; so it is given the names of
their files, and what they hold is read as it is written.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import (
  example_serializer,
  file_adapters,
  writer,
)

from data_preprocessing import cache, pipeline, schema

# What a record of a TFRecord takes beside its message.
_FRAMING_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Waiting:
  """An example in its file. As long as that: the writer asks for bytes."""

  path: str
  size: int

  def __len__(self) -> int:
    return self.size


class _AsTheyAre(example_serializer.Serializer):
  """Leaves examples where they wait."""

  def serialize_example(self, example: Waiting) -> Waiting:
    return example


class ExampleWriter(writer.ExampleWriter):
  """Reads examples from where they wait, one by one, into a shard."""

  def __init__(self, extract: str, embedding_width: int | None):
    super().__init__(file_adapters.FileFormat.TFRECORD)
    self._extract = extract
    self._embedding_width = embedding_width

  def write(
    self, path: epath.PathLike, examples: Iterable[tuple[Any, Waiting]]
  ) -> None:
    """Writes one shard. Raises BuildError where the disk does not let it."""
    target = epath.Path(path)
    with cache.explained(target), cache.local(target) as here:
      try:
        super().write(here, self._serialised(examples))
      except tf.errors.OpError as error:
        raise OSError(error.message) from error

  def _serialised(
    self, examples: Iterable[tuple[Any, Waiting]]
  ) -> Iterator[tuple[Any, bytes]]:
    features = schema.features(self._extract, self._embedding_width)
    serializer = example_serializer.ExampleSerializer(
      features.get_serialized_info()
    )
    for key, waiting in examples:
      example = features.encode_example(cache.read(waiting.path))
      message = serializer.get_tf_example(example)
      # Equal examples are equal bytes.
      yield key, message.SerializeToString(deterministic=True)
      pipeline.advance()


def add(
  to: beam.Pipeline,
  template: tfds.core.ShardedFileTemplate,
  examples: Mapping[str, Waiting],
  example_writer: ExampleWriter,
) -> writer.BeamWriter:
  """Adds to a pipeline that it writes the shards of a split.

  Args:
    to: The pipeline.
    template: Names the shards.
    examples: Of the split, by key; at least one.
    example_writer: Writes a shard.

  Returns:
    The writer, which knows the shards once the pipeline ran.
  """
  split = template.split
  beam_writer = writer.BeamWriter(
    serializer=_AsTheyAre({}),
    filename_template=template,
    hash_salt=split,
    disable_shuffling=False,
    example_writer=example_writer,
  )

  @beam.ptransform_fn
  def write(waiting: Any) -> Any:
    return beam_writer.write_from_pcollection(waiting)

  _ = (
    to
    | f"Examples of {split}" >> beam.Create(list(examples.items()))
    | f"Shards of {split}" >> write()
  )
  return beam_writer


def split_info(
  template: tfds.core.ShardedFileTemplate, lengths: Sequence[int]
) -> tfds.core.SplitInfo:
  """Describes a split that has been written."""
  paths = template.sharded_filepaths(len(lengths))
  size = sum(int(path.stat().length) for path in paths)
  return tfds.core.SplitInfo(
    name=template.split,
    shard_lengths=list(lengths),
    num_bytes=size - _FRAMING_BYTES * sum(lengths),
    filename_template=template,
  )
