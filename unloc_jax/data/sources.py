"""Where records come from: built TFDS folders, or MediaSequence files.

Both give the same record dictionary, which `ops` turns into a row of a batch:

  frames         string [N]      encoded images (inputs="frames")
  embeddings     float32 [N, D]  (inputs="embeddings")
  duration       float32 []      seconds
  frame_rate     float32 []      stored frames per second
  frame_count    int32 []        N
  texts          string [Q]      captions or class names
  query_ids      string [Q]      ids; class indices for class benchmarks
  segments       float32 [S, 2]  seconds
  segment_query  int32 [S]       index into texts
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, Protocol

import ml_collections
import numpy as np
import tensorflow as tf

from unloc_jax.data import shards


@dataclasses.dataclass(frozen=True)
class Video:
  """What a record says of a video, frames apart.

  Attributes:
    video_id: its id.
    duration: seconds.
    frame_rate: stored frames per second.
    frame_count: N, stored frames.
    query_ids: ids of its queries.
    texts: captions or class names, parallel to query_ids.
    annotations: JSON objects, parallel to query_ids.
    segments: float64 [S, 2], seconds.
    segment_query: int64 [S], index into query_ids.
  """

  video_id: str
  duration: float
  frame_rate: float
  frame_count: int
  query_ids: tuple[str, ...]
  texts: tuple[str, ...]
  annotations: tuple[str, ...]
  segments: np.ndarray
  segment_query: np.ndarray


class Source(Protocol):
  """A split's records and how to read one."""

  records: list[shards.Record]

  def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """The record dictionary, inside tf.data."""

  def video(self, record: shards.Record) -> Video:
    """The record without its frames, which stay unread."""


def _varint(file: Any) -> int:
  value = shift = 0
  while True:
    byte = file.read(1)[0]
    value |= (byte & 0x7F) << shift
    if byte < 0x80:
      return value
    shift += 7


def _fields(file: Any, end: int) -> Iterator[tuple[int, int]]:
  """(number, length) of a message's fields; the file stands at their bytes."""
  while (position := file.tell()) < end:
    tag = _varint(file)
    if tag & 7 != 2:
      raise ValueError(f"byte {position} is not a length-delimited field")
    length = _varint(file)
    start = file.tell()
    yield tag >> 3, length
    file.seek(start + length)


def _small_features(
  record: shards.Record, skip: frozenset[str]
) -> dict[str, list]:
  """Features of an Example, or context of a SequenceExample, except `skip`.

  Walks the bytes and seeks over what is skipped: the frames of a record are
  all but a thousandth of it.
  """
  features = {}
  with shards.open_binary(record.path) as file:
    file.seek(record.offset + shards.HEADER_BYTES)
    for number, length in _fields(file, file.tell() + record.size):
      if number != 1:
        continue
      for _, entry_length in _fields(file, file.tell() + length):
        key, place = "", (0, 0)
        for part, size in _fields(file, file.tell() + entry_length):
          if part == 1:
            key = file.read(size).decode()
          else:
            place = file.tell(), size
        if key not in skip:
          file.seek(place[0])
          feature = tf.train.Feature.FromString(file.read(place[1]))
          kind = feature.WhichOneof("kind")
          features[key] = list(getattr(feature, kind).value) if kind else []
  return features


def _read_small(record: shards.Record, skip: frozenset[str]) -> dict[str, list]:
  try:
    return _small_features(record, skip)
  except (ValueError, IndexError, UnicodeError) as error:
    raise shards.CorruptDataError(f"{record} is corrupt: {error}") from error


def _doubles(values: list[bytes]) -> np.ndarray:
  """Float64 values stored as one string of bytes."""
  return np.frombuffer(values[0], "<f8")


def _texts(values: list[bytes]) -> tuple[str, ...]:
  return tuple(v.decode("utf-8", "replace") for v in values)


class TfdsSource:
  """A split of a folder that data_preprocessing built."""

  _FRAMES = frozenset({"frames", "embeddings", "timestamps"})

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    self._inputs = config.inputs
    self._width = config.embedding_width
    self.records = [
      record
      for shard in shards.map_threads(
        self._shard, _file_instructions(config.path, split)
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

  def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """See Source."""
    many = lambda dtype: tf.io.FixedLenSequenceFeature(  # noqa: E731
      [], dtype, allow_missing=True
    )
    one = tf.io.FixedLenFeature([], tf.string)
    frames = self._inputs == "frames"
    spec = {
      "duration": one,
      "frame_rate": one,
      "frame_count": tf.io.FixedLenFeature([], tf.int64),
      "queries/id": many(tf.string),
      "queries/text": many(tf.string),
      "segments/start": one,
      "segments/end": one,
      "segments/query": many(tf.int64),
    }
    if self._inputs != "none":
      spec[self._inputs] = many(tf.string if frames else tf.float32)
    raw = tf.io.parse_single_example(serialized, spec)
    inputs = {k: raw[k] for k in spec if k == self._inputs}
    if not frames:
      inputs = {k: tf.reshape(v, [-1, self._width]) for k, v in inputs.items()}
    # Doubles are stored as bytes: TFRecord has none of its own.
    seconds = lambda key: tf.cast(  # noqa: E731
      tf.io.decode_raw(raw[key], tf.float64), tf.float32
    )
    return {
      **inputs,
      "duration": seconds("duration")[0],
      "frame_rate": seconds("frame_rate")[0],
      "frame_count": tf.cast(raw["frame_count"], tf.int32),
      "texts": raw["queries/text"],
      "query_ids": raw["queries/id"],
      "segments": tf.stack(
        [seconds("segments/start"), seconds("segments/end")], 1
      ),
      "segment_query": tf.cast(raw["segments/query"], tf.int32),
    }

  def video(self, record: shards.Record) -> Video:
    """See Source."""
    raw = _read_small(record, self._FRAMES)
    try:
      return Video(
        video_id=raw["video_id"][0].decode(),
        duration=float(_doubles(raw["duration"])[0]),
        frame_rate=float(_doubles(raw["frame_rate"])[0]),
        frame_count=int(raw["frame_count"][0]),
        query_ids=_texts(raw["queries/id"]),
        texts=_texts(raw["queries/text"]),
        annotations=_texts(raw["queries/annotation"]),
        segments=np.stack(
          [_doubles(raw["segments/start"]), _doubles(raw["segments/end"])],
          axis=1,
        ),
        segment_query=np.asarray(raw["segments/query"], np.int64),
      )
    except (KeyError, IndexError) as error:
      raise shards.CorruptDataError(
        f"{record}: feature {error} is missing; rebuild the dataset"
      ) from error


def _file_instructions(path: str, split: str) -> list[Any]:
  # Takes seconds, and MediaSequence needs none of it.
  import tensorflow_datasets as tfds

  if not path:
    raise FileNotFoundError("data.path is empty; set it to a built dataset")
  if not tf.io.gfile.exists(f"{path}/dataset_info.json"):
    raise FileNotFoundError(
      f"{path}: no dataset_info.json, so this is not a finished dataset; "
      "build it with python -m data_preprocessing.build, or correct "
      "data.path"
    )
  splits = tfds.builder_from_directory(path).info.splits
  try:
    instructions = splits[split].file_instructions
  except (KeyError, ValueError) as error:
    raise ValueError(
      f"{path}: no split {split!r}; it has {sorted(splits)}"
    ) from error
  if not instructions:
    raise ValueError(f"{path}: split {split!r} is empty; choose another")
  return instructions


class MediaSequenceSource:
  """tf.train.SequenceExample files: context of the clip, list of its frames."""

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    if config.inputs != "frames":
      raise ValueError(
        "data.format='mediasequence' holds frames; set data.inputs='frames'"
      )
    self._rate = config.mediasequence_frame_rate
    self._captions = config.texts == "captions"
    paths = _split_files(config.path, split)
    self.records = [
      record
      for shard in shards.map_threads(shards.shard_records, paths)
      for record in shard
    ]

  def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """See Source."""
    kinds = {
      "image/frame_rate": tf.float32,
      "segment/start/timestamp": tf.int64,
      "segment/end/timestamp": tf.int64,
      "segment/start/index": tf.int64,
      "segment/end/index": tf.int64,
      "segment/label/index": tf.int64,
      "segment/label/string": tf.string,
      "clip/end/timestamp": tf.int64,
    }
    raw, lists = tf.io.parse_single_sequence_example(
      serialized,
      {key: tf.io.RaggedFeature(dtype) for key, dtype in kinds.items()},
      {"image/encoded": tf.io.FixedLenSequenceFeature([], tf.string)},
    )
    frames = lists["image/encoded"]
    count = tf.size(frames)
    rate = tf.concat([raw["image/frame_rate"], [self._rate]], 0)[0]
    seconds = lambda name: tf.cond(  # noqa: E731
      tf.size(raw[f"{name}/timestamp"]) > 0,
      lambda: tf.cast(
        tf.cast(raw[f"{name}/timestamp"], tf.float64) / 1e6, tf.float32
      ),
      lambda: tf.cast(raw[f"{name}/index"], tf.float32) / rate,
    )
    segments = tf.stack([seconds("segment/start"), seconds("segment/end")], 1)
    length = tf.concat(
      [
        tf.cast(raw["clip/end/timestamp"], tf.float32) / 1e6,
        [tf.cast(count, tf.float32) / rate],
      ],
      0,
    )[0]
    entries = tf.range(tf.shape(segments)[0])
    ids = entries if self._captions else raw["segment/label/index"]
    return {
      "frames": frames,
      "duration": length,
      "frame_rate": rate,
      "frame_count": count,
      "texts": raw["segment/label/string"],
      "query_ids": tf.strings.as_string(ids),
      "segments": segments,
      "segment_query": entries,
    }

  def video(self, record: shards.Record) -> Video:
    """See Source."""
    raw = _read_small(record, frozenset())
    rate = float((raw.get("image/frame_rate") or [self._rate])[0])
    try:
      count = int(raw["clip/frames"][0])
      video_id = raw["clip/media_id"][0].decode()
      times = []
      for name in ("segment/start", "segment/end"):
        stamps = raw.get(f"{name}/timestamp")
        times.append(
          np.asarray(stamps, np.float64) / 1e6
          if stamps
          else np.asarray(raw[f"{name}/index"], np.float64) / rate
        )
      texts = _texts(raw["segment/label/string"])
      ids = list(range(len(texts)))
      if not self._captions:
        ids = raw["segment/label/index"]
    except KeyError as error:
      raise shards.CorruptDataError(
        f"{record}: context feature {error} is missing"
      ) from error
    end = raw.get("clip/end/timestamp")
    return Video(
      video_id=video_id,
      duration=end[0] / 1e6 if end else count / rate,
      frame_rate=rate,
      frame_count=count,
      query_ids=tuple(str(i) for i in ids),
      texts=texts,
      annotations=("{}",) * len(texts),
      segments=np.stack(times, axis=1),
      segment_query=np.arange(len(texts)),
    )


def _split_files(path: str, split: str) -> list[str]:
  """Files whose name has the split as a word, e.g. train-00000-of-00010."""
  if not path or not tf.io.gfile.isdir(path):
    raise FileNotFoundError(f"data.path={path!r} is not a folder; correct it")
  word = re.compile(rf"(^|[^a-zA-Z0-9]){re.escape(split)}([^a-zA-Z0-9]|$)")
  beside = (".json", ".md", ".html", ".txt")
  names = sorted(
    name
    for name in tf.io.gfile.listdir(path)
    if word.search(name) and not name.endswith(beside)
  )
  if not names:
    raise FileNotFoundError(
      f"{path}: no TFRecord file is named after split {split!r}"
    )
  return [f"{path}/{name}" for name in names]


def open_source(config: ml_collections.ConfigDict, split: str) -> Source:
  """The source `config.data.format` names."""
  if config.format == "tfds":
    return TfdsSource(config, split)
  return MediaSequenceSource(config, split)
