"""Records of MediaSequence files, as DMVR and Scenic write them.

A tf.train.SequenceExample holds a clip's context and the list of its frames;
segments are a list of their own, so those of one label are one query here.
"""

import re
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from unloc_jax.data import shards
from unloc_jax.data.sources import Video, read_small, texts
from unloc_jax.task.tasks import get_task


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

  def stored(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """See Source."""
    images = {"image/encoded": tf.io.FixedLenSequenceFeature([], tf.string)}
    _, lists = tf.io.parse_single_sequence_example(serialized, {}, images)
    return {"frames": lists["image/encoded"]}

  def video(self, record: shards.Record, data: bytes | None = None) -> Video:
    """See Source."""
    raw = read_small(record, data)
    rate = float((raw.get("image/frame_rate") or [self._rate])[0])
    end = raw.get("clip/end/timestamp")
    try:
      count = int(raw["clip/frames"][0])
      labels = texts(raw["segment/label/string"])
      keys = self._keys(raw, labels)
      kinds = list(dict.fromkeys(keys))
      name = raw["clip/media_id"][0].decode()
      return Video(
        video_id=name,
        duration=end[0] / 1e6 if end else count / rate,
        frame_rate=rate,
        frame_count=count,
        query_ids=tuple(
          f"{name}#{i}" if self._captions else str(kind)
          for i, kind in enumerate(kinds)
        ),
        texts=tuple(labels[keys.index(kind)] for kind in kinds),
        annotations=("{}",) * len(kinds),
        segments=np.stack(
          [_seconds(raw, f"segment/{end}", rate) for end in ("start", "end")],
          axis=1,
        ),
        segment_query=np.asarray([kinds.index(key) for key in keys], np.int64),
      )
    except (KeyError, IndexError) as error:
      raise shards.CorruptDataError(
        f"{record}: context feature {error} is missing"
      ) from error

  def _keys(
    self, raw: dict[str, list[Any]], labels: tuple[str, ...]
  ) -> Sequence[Any]:
    """What tells the query of every segment from others."""
    places = raw.get("segment/label/index", [])
    if not self._captions:
      return raw["segment/label/index"]
    # Captions may come without an index.
    same = len(places) == len(labels)
    return list(zip(places, labels, strict=True)) if same else labels


def _seconds(raw: dict[str, list[Any]], name: str, rate: float) -> np.ndarray:
  """Times of all segments, float64 seconds, by timestamp or else by frame."""
  if stamps := raw.get(f"{name}/timestamp"):
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
