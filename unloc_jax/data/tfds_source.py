"""Records of a folder that data_preprocessing built."""

from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from unloc_jax.data import shards, streams, text_rows
from unloc_jax.data.sources import Video, read_small, texts


def _doubles(values: list[bytes]) -> np.ndarray:
  """Float64 values stored as one string of bytes."""
  return np.frombuffer(values[0], "<f8")


class TfdsSource:
  """A split of a folder that data_preprocessing built."""

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    self._features: dict[str, Any] = text_rows.features(config)
    for stream in streams.of(config).values():
      self._features.update(stream.features(config))
    # All that is large; also what this config does not look at.
    self._large = frozenset(
      name for s in streams.STREAMS.values() for name in s.features(config)
    ) | {"timestamps", *text_rows.NAMES}
    self.records = [
      record
      for shard in shards.map_threads(
        self._shard, _file_instructions(config.data.path, split)
      )
      for record in shard
    ]

  @staticmethod
  def _shard(instruction: Any) -> list[shards.Record]:
    path = str(instruction.filename)
    records = shards.shard_records(path)
    if len(records) != instruction.examples_in_shard:
      raise shards.CorruptDataError(
        f"{path} holds {len(records)} records, dataset_info.json says "
        f"{instruction.examples_in_shard}: the shard is truncated; copy it "
        "again or rebuild"
      )
    take = instruction.take if instruction.take >= 0 else len(records)
    return records[instruction.skip : instruction.skip + take]

  def stored(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """See Source."""
    if not self._features:
      return {}  # Kept tokens: TensorFlow refuses to look for nothing.
    return tf.io.parse_single_example(serialized, self._features)

  def video(self, record: shards.Record, data: bytes | None = None) -> Video:
    """See Source."""
    raw = read_small(record, data, self._large)
    try:
      ends = [_doubles(raw[f"segments/{end}"]) for end in ("start", "end")]
      return Video(
        video_id=raw["video_id"][0].decode(),
        duration=float(_doubles(raw["duration"])[0]),
        frame_rate=float(_doubles(raw["frame_rate"])[0]),
        frame_count=int(raw["frame_count"][0]),
        query_ids=texts(raw["queries/id"]),
        texts=texts(raw["queries/text"]),
        annotations=texts(raw["queries/annotation"]),
        segments=np.stack(ends, axis=1),
        segment_query=np.asarray(raw["segments/query"], np.int64),
      )
    except (KeyError, IndexError) as error:
      raise shards.CorruptDataError(
        f"{record}: feature {error} is missing; rebuild the dataset"
      ) from error


def dataset_splits(path: str) -> Mapping[str, Any]:
  """Returns the splits of a finished dataset, as TFDS describes them.

  Raises:
    FileNotFoundError: There is none.
    ValueError: What describes it is broken.
  """
  # Takes seconds, and MediaSequence needs none of it.
  import tensorflow_datasets as tfds

  if not path:
    raise FileNotFoundError("data.path is empty; set it to a built dataset")
  info = f"{path}/dataset_info.json"
  if not tf.io.gfile.exists(info):
    raise FileNotFoundError(
      f"{path}: no dataset_info.json, so this is not a finished dataset; "
      "build it with python -m data_preprocessing.build, or correct "
      "data.path"
    )
  try:
    splits: Mapping[str, Any] = tfds.builder_from_directory(path).info.splits
  except Exception as error:
    # JSON, protocol buffers and TFDS have errors of their own.
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise ValueError(
      f"{path}: dataset_info.json or features.json is broken ({reason}); "
      "build the dataset again"
    ) from error
  return splits


def _file_instructions(path: str, split: str) -> list[Any]:
  splits = dataset_splits(path)
  try:
    instructions: list[Any] = splits[split].file_instructions
  except (KeyError, ValueError) as error:
    raise ValueError(
      f"{path}: no split {split!r}; it has {sorted(splits)}"
    ) from error
  if not instructions:
    raise ValueError(f"{path}: split {split!r} is empty; choose another")
  return instructions
