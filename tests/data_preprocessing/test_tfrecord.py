"""Records are those TensorFlow would have written, byte for byte."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data_preprocessing import tfrecord, tfrecord_reading

KEYS = st.text("abc/é", min_size=1, max_size=200)


def spool(items):
  kept = tfrecord.Spool(io.BytesIO())
  for item in items:
    kept.append(item)
  return kept


@settings(deadline=None, max_examples=50)
@given(
  texts=st.lists(st.binary(max_size=300), max_size=4),
  frames=st.lists(st.binary(max_size=300), max_size=4),
  integers=st.lists(st.integers(0, 2**62), max_size=4),
  numbers=st.lists(st.floats(width=32, allow_nan=False), max_size=4),
  key=KEYS,
)
def test_example_is_what_tensorflow_reads(
  texts, frames, integers, numbers, key
):
  stored = {
    "a": tfrecord.texts(texts),
    "b": spool(frames),
    "c": tfrecord.integers(integers),
    "d": tfrecord.floats(np.asarray(numbers)),
    f"k{key}": tfrecord.doubles([0.1]),
  }
  example = tf.train.Example.FromString(tfrecord.encode_example(stored))
  found = example.features.feature
  assert set(found) == set(stored)
  assert list(found["a"].bytes_list.value) == texts
  assert list(found["b"].bytes_list.value) == frames
  assert list(found["c"].int64_list.value) == integers
  assert list(found["d"].float_list.value) == numbers
  (double,) = np.frombuffer(found[f"k{key}"].bytes_list.value[0], "<f8")
  assert double == 0.1


def test_file_is_what_tensorflow_writes(tmp_path):
  messages = [b"", b"a", bytes(range(256)) * 999]
  with tf.io.TFRecordWriter(str(tmp_path / "tf")) as writer:
    for message in messages:
      writer.write(message)
  with (tmp_path / "ours").open("wb") as file:
    for message in messages:
      halves = [message[:7], message[7:]]
      tfrecord.write_message(file, halves, len(message))
  assert (tmp_path / "ours").read_bytes() == (tmp_path / "tf").read_bytes()


def test_a_record_beyond_the_limit_is_refused_before_writing():
  out = io.BytesIO()
  with pytest.raises(ValueError, match="lower the frame rate"):
    tfrecord.write_message(out, [], 1 << 31)
  assert not out.getvalue()


def test_frames_are_read_by_place(tmp_path):
  path = tmp_path / "shard"
  items = [bytes([i]) * (i * 50) for i in range(20)]
  with path.open("wb") as file:
    for name in ("x", "y"):
      tfrecord.write_example(
        file,
        {
          "frames": spool(items),
          "video_id": tfrecord.texts([name]),
          "duration": tfrecord.doubles([1.5, 0.1]),
          "n": tfrecord.integers([3, 0, 2**40]),
        },
      )
  first, second = tfrecord_reading.examples(path)
  assert (first.text("video_id"), second.text("video_id")) == (["x"], ["y"])
  assert second.doubles("duration") == [1.5, 0.1]
  assert second.values["n"] == [3, 0, 2**40]
  assert second.frames([2, 19]) == [items[2], items[19]]
  path.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(ValueError, match="cut short"):
    list(tfrecord_reading.examples(path))
