"""Examples that wait in files -> shards, as TFDS writes them.

TFDS's own writer for Beam has runners shuffle the examples and then holds a
shard in memory. Here the names of their files are dealt out; an example is read
when it is written.
"""

from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import (
  example_serializer,
  file_adapters,
  writer,
)
from tensorflow_datasets.core.utils import shard_utils

from data_preprocessing import beam_runner, cache
from data_preprocessing.examples import Outcome

# What a record of a TFRecord takes beside its message.
_FRAMING_BYTES = 16


def deal(made: Mapping[epath.Path, Outcome]) -> list[list[epath.Path]]:
  """Deals the examples, by where they wait, out to shards."""
  parts = cache.strides(made, lambda path: made[path].video_id)
  ordered = [path for part in parts for path in part]
  count = shard_utils.ShardConfig().get_number_shards(
    sum(outcome.bytes for outcome in made.values()), len(made)
  )
  ends = shard_utils.get_shard_boundaries(len(made), count)
  starts = [0, *ends[:-1]]
  return [ordered[a:b] for a, b in zip(starts, ends, strict=True)]


def write(shard: tuple[str, str], features: tfds.features.FeaturesDict) -> None:
  """Writes a shard, reading its examples one by one. Raises BuildError.

  The shard is a file to write, and one that lists where its examples wait.
  """
  path, names = shard
  serializer = example_serializer.ExampleSerializer(
    features.get_serialized_info()
  )

  def messages() -> Iterator[tuple[int, bytes]]:
    for key, name in enumerate(epath.Path(names).read_text().splitlines()):
      example = features.encode_example(cache.read(name))
      message = serializer.get_tf_example(example)
      # Equal examples are equal bytes.
      yield key, message.SerializeToString(deterministic=True)
      beam_runner.advance()

  adapter = writer.ExampleWriter(file_adapters.FileFormat.TFRECORD)
  with cache.written(epath.Path(path)) as here:
    try:
      adapter.write(here, messages())
    except tf.errors.OpError as error:
      raise OSError(error.message) from error


def split_info(
  template: tfds.core.ShardedFileTemplate, lengths: Sequence[int]
) -> tfds.core.SplitInfo:
  """Describes a split whose shards, of so many examples, are written."""
  paths = template.sharded_filepaths(len(lengths))
  size = sum(int(path.stat().length) for path in paths)
  return tfds.core.SplitInfo(
    name=template.split,
    shard_lengths=list(lengths),
    num_bytes=size - _FRAMING_BYTES * sum(lengths),
    filename_template=template,
  )
