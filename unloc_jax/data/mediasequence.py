"""Records of MediaSequence files, as DMVR and Scenic write them.

A tf.train.SequenceExample holds a clip's context and the list of its frames;
segments are a list of their own, so those of one label are one query here.
"""

import re
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from unloc_jax.data import shards
from unloc_jax.data.sources import Video, read_small, texts
from unloc_jax.task.tasks import get_task

_DTYPES = {
  "image/frame_rate": tf.float32,
  "segment/start/timestamp": tf.int64,
  "segment/end/timestamp": tf.int64,
  "segment/start/index": tf.int64,
  "segment/end/index": tf.int64,
  "segment/label/index": tf.int64,
  "segment/label/string": tf.string,
  "clip/end/timestamp": tf.int64,
}


class MediaSequenceSource:
  """tf.train.SequenceExample files: context of the clip, list of its frames."""

  def __init__(self, config: ml_collections.ConfigDict, split: str):
    if set(config.streams) - {"frames"}:
      raise ValueError(
        "data.format='mediasequence' holds frames; set streams=('frames',)"
      )
    self._rate = config.data.mediasequence_frame_rate
    self._captions = get_task(config.task).texts == "captions"
    paths = _split_files(config.data.path, split)
    self.records = [
      record
      for shard in shards.map_threads(shards.shard_records, paths)
      for record in shard
    ]

  def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """See Source."""
    raw, lists = tf.io.parse_single_sequence_example(
      serialized,
      {key: tf.io.RaggedFeature(dtype) for key, dtype in _DTYPES.items()},
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
    labels, places = raw["segment/label/string"], raw["segment/label/index"]
    # Captions may come without an index; classes may not.
    keys = [tf.strings.as_string(places)]
    if self._captions:
      keys = tf.cond(
        tf.size(places) == tf.size(labels),
        lambda: tf.strings.join([*keys, labels], " "),
        lambda: labels,
      )
    else:
      (keys,) = keys
    kinds, owner = tf.unique(keys)
    count_queries = tf.size(kinds)
    first = tf.math.unsorted_segment_min(
      tf.range(tf.size(owner)), owner, count_queries
    )
    ids = kinds
    if self._captions:
      ids = tf.strings.as_string(tf.range(count_queries))
    return {
      "frames": frames,
      "duration": length,
      "frame_rate": rate,
      "frame_count": count,
      "texts": tf.gather(labels, first),
      "query_ids": ids,
      "segments": segments,
      "segment_query": owner,
    }

  def video(self, record: shards.Record) -> Video:
    """See Source."""
    raw = read_small(record, frozenset())
    rate = float((raw.get("image/frame_rate") or [self._rate])[0])
    end = raw.get("clip/end/timestamp")
    try:
      count = int(raw["clip/frames"][0])
      labels = texts(raw["segment/label/string"])
      ids, first, owner = self._queries(raw, labels)
      return Video(
        video_id=raw["clip/media_id"][0].decode(),
        duration=end[0] / 1e6 if end else count / rate,
        frame_rate=rate,
        frame_count=count,
        query_ids=ids,
        texts=tuple(labels[i] for i in first),
        annotations=("{}",) * len(ids),
        segments=np.stack(
          [
            _seconds(raw, "segment/start", rate),
            _seconds(raw, "segment/end", rate),
          ],
          axis=1,
        ),
        segment_query=owner,
      )
    except KeyError as error:
      raise shards.CorruptDataError(
        f"{record}: context feature {error} is missing"
      ) from error

  def _queries(
    self, raw: dict[str, list[Any]], labels: tuple[str, ...]
  ) -> tuple[tuple[str, ...], list[int], np.ndarray]:
    """Ids of the queries, the first segment and the query of each segment."""
    keys: list[Any] = list(labels)
    if not self._captions:
      keys = raw["segment/label/index"]
    elif len(raw.get("segment/label/index", [])) == len(labels):
      keys = list(zip(raw["segment/label/index"], labels, strict=True))
    kinds = list(dict.fromkeys(keys))
    ids = range(len(kinds)) if self._captions else kinds
    owner = np.asarray([kinds.index(key) for key in keys], np.int64)
    first = [keys.index(kind) for kind in kinds]
    return tuple(str(i) for i in ids), first, owner


def _seconds(raw: dict[str, list[Any]], name: str, rate: float) -> np.ndarray:
  """Times of all segments, float64 seconds, by timestamp or else by frame."""
  stamps = raw.get(f"{name}/timestamp")
  if stamps:
    return np.asarray(stamps, np.float64) / 1e6
  return np.asarray(raw[f"{name}/index"], np.float64) / rate


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
