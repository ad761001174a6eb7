"""MediaSequence files give the batches their TFDS twins give."""

import functools
import pathlib

import jax
import numpy as np
import pytest
import tensorflow as tf

from unloc_jax.data import pipeline, shards, splits


def sequence_example(video: dict, times: str, rate: bool) -> bytes:
  """A caption or class video of the tests as a tf.train.SequenceExample."""
  ints = lambda v: tf.train.Feature(  # noqa: E731
    int64_list=tf.train.Int64List(value=v)
  )
  texts = lambda v: tf.train.Feature(  # noqa: E731
    bytes_list=tf.train.BytesList(value=v)
  )
  segments = video["segments"]
  owner = segments["query"]
  labels = [video["queries"]["text"][q].encode() for q in owner]
  context = {
    "clip/media_id": texts([video["video_id"].encode()]),
    "clip/frames": ints([video["frame_count"]]),
    "segment/label/string": texts(labels),
  }
  if video["queries"]["id"][0].isdigit():
    context["segment/label/index"] = ints(
      [int(video["queries"]["id"][q]) for q in owner]
    )
  for end in ("start", "end"):
    seconds = np.asarray(segments[end])
    if times == "timestamp":
      values = np.round(seconds * 1e6).astype(int)
    else:
      values = np.round(seconds * video["frame_rate"]).astype(int)
    context[f"segment/{end}/{times}"] = ints(values)
  if rate:
    context["image/frame_rate"] = tf.train.Feature(
      float_list=tf.train.FloatList(value=[video["frame_rate"]])
    )
    context["clip/end/timestamp"] = ints([int(video["duration"] * 1e6)])
  frames = tf.train.FeatureList(feature=[texts([f]) for f in video["frames"]])
  return tf.train.SequenceExample(
    context=tf.train.Features(feature=context),
    feature_lists=tf.train.FeatureLists(feature_list={"image/encoded": frames}),
  ).SerializeToString()


def write(folder: pathlib.Path, split: str, examples: list[bytes]) -> None:
  for number in range(2):
    name = f"{split}-{number:05d}-of-00002.tfrecord"
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
      for example in examples[number::2]:
        writer.write(example)


@pytest.mark.parametrize("rate", [True, False])
def test_the_same_batches_as_tfds(tiny, classes, tmp_path, rate):
  videos = [tiny.class_video(i) for i in range(4)]
  # Shards take turns, TFDS does not.
  stored = [videos[0], videos[2], videos[1], videos[3]]
  examples = [sequence_example(v, "timestamp", rate) for v in stored]
  write(tmp_path, "val", examples)
  changes = {
    "task": "temporal_localization",
    "mediasequence_frame_rate": tiny.RATE,
  }
  theirs = pipeline.make_eval(
    tiny.settings(tmp_path, format="mediasequence", **changes), batch_size=4
  )
  ours = pipeline.make_eval(tiny.settings(classes, **changes), batch_size=4)
  for left, right in zip(theirs, ours, strict=True):
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(close, left, right)
  assert theirs.split.classes == tiny.CLASSES
  for i in range(4):
    left, right = theirs.split.table[i], ours.split.table[i]
    assert left.video_id == right.video_id
    assert left.duration == right.duration
    assert left.frame_rate == right.frame_rate
    assert left.frame_count == right.frame_count
    np.testing.assert_allclose(left.segments, right.segments, atol=1e-6)


def test_captions_by_frame_index(tiny, tmp_path):
  video = tiny.caption_video(2)
  write(tmp_path, "train", [sequence_example(video, "index", False)])
  config = tiny.settings(
    tmp_path,
    format="mediasequence",
    mediasequence_frame_rate=tiny.RATE,
    max_queries=4,
  )
  stream = pipeline.make_eval(config, batch_size=1, split="train")
  (batch,) = list(stream)
  # Three captions, the last of which has two segments; in half seconds.
  assert batch["query_mask"].sum() == 3
  assert batch["segment_query"].tolist() == [[0, 1, 2, 2]]
  indices = [
    [round(2 * s), round(2 * e)]
    for s, e in zip(
      video["segments"]["start"], video["segments"]["end"], strict=True
    )
  ]
  np.testing.assert_allclose(
    batch["segments"][0], np.asarray(indices) * 3 / 6, rtol=1e-6
  )
  described = stream.split.table[0]
  assert described.texts == tuple(video["queries"]["text"])
  assert described.segment_query.tolist() == [0, 1, 2, 2]
  train = pipeline.make_train(config, batch_size=2, seed=0)
  assert next(train)["query_mask"].sum() == 6


def test_queries_of_a_split_have_ids_of_their_own(tiny, tmp_path):
  """Also where clips of one video share its media id."""
  videos = [tiny.caption_video(i) for i in (1, 1, 3)]
  examples = [sequence_example(video, "timestamp", True) for video in videos]
  write(tmp_path, "val", examples)
  config = tiny.settings(tmp_path, format="mediasequence")
  table = splits.open_split(config, "val").table
  # Shards take turns.
  assert [video.video_id for video in table.videos] == [
    "video_1",
    "video_3",
    "video_1-2",
  ]
  ids = [query_id for video in table.videos for query_id in video.query_ids]
  assert len(set(ids)) == len(ids) == 8
  assert ids[-1] == "video_1-2#1"


def test_no_file_of_that_split(tiny, tmp_path):
  write(tmp_path, "train", [])
  config = tiny.settings(tmp_path, format="mediasequence")
  with pytest.raises(FileNotFoundError, match="split 'val'"):
    pipeline.make_eval(config, batch_size=1)
  with pytest.raises(ValueError, match="empty"):
    pipeline.make_train(config, batch_size=1, seed=0)


def test_a_missing_context_feature(tiny, tmp_path):
  example = tf.train.SequenceExample.FromString(
    sequence_example(tiny.caption_video(0), "index", False)
  )
  del example.context.feature["clip/frames"]
  write(tmp_path, "val", [example.SerializeToString()] * 2)
  config = tiny.settings(tmp_path, format="mediasequence")
  with pytest.raises(shards.CorruptDataError, match="clip/frames"):
    pipeline.make_eval(config, batch_size=1)


def test_embeddings_are_not_read_from_them(tiny, tmp_path):
  config = tiny.settings(
    tmp_path, format="mediasequence", streams=("embeddings",)
  )
  with pytest.raises(ValueError, match="holds frames"):
    splits.open_split(config, "train")


def test_what_our_own_builder_writes(tiny, tmp_path):
  """Caption numbers keep two equal captions apart; the manifest is read."""
  video = tiny.caption_video(2)
  video["queries"]["text"] = ["same", "same", "other"]
  example = tf.train.SequenceExample.FromString(
    sequence_example(video, "timestamp", True)
  )
  index = example.context.feature["segment/label/index"].int64_list
  index.value.extend(video["segments"]["query"])
  write(tmp_path, "val", [example.SerializeToString()])
  path = tiny.write(tmp_path / "tfds", {"val": [video]})
  (path / "manifest.json").rename(tmp_path / "manifest.json")
  config = tiny.settings(tmp_path, format="mediasequence", max_queries=3)
  stream = pipeline.make_eval(config, batch_size=1)
  (batch,) = list(stream)
  assert batch["segment_query"].tolist() == [[0, 1, 2, 2]]
  assert stream.split.table[0].texts == ("same", "same", "other")
  assert stream.split.manifest is not None
