"""A built dataset, and files of others, can be looked at."""

import base64
import html.parser
import re
import shutil

import pytest

from data_preprocessing import inspect
from tests import tiny_data
from tests.data_preprocessing import custom


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, film):
  folder = tmp_path_factory.mktemp("inspect")
  for i in range(3):
    film(folder / "in" / f"{i}.mp4", [k / 10 for k in range(20)], rate=10)
  text = '<script>alert("x")</script> & more'
  segments = [{"start": 0.5, "end": 1.0, "text": text}]
  lines = [{"video": f"{i}.mp4", "segments": segments} for i in range(3)]
  return custom.dataset(folder, lines)


class _Page(html.parser.HTMLParser):
  def __init__(self):
    super().__init__()
    self.tags = []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))


def test_counts_and_page(dataset, tmp_path, capsys):
  page = tmp_path / "page.html"
  flags = [str(dataset), f"--html={page}", "--videos=2", "--frames=5"]
  assert inspect.main(flags) == 0
  text = capsys.readouterr().out
  assert "train: 3 videos, 3 queries, 3 segments, 60 stored positions" in text
  assert "segment length: 3, from 0.50 to 0.50 s" in text
  parsed = _Page()
  parsed.feed(page.read_text())
  tags = [tag for tag, _ in parsed.tags]
  assert tags.count("img") == 2 * 5
  assert "script" not in tags
  (bar, *_) = [attrs["style"] for tag, attrs in parsed.tags if tag == "i"]
  assert "left:25.000%;width:25.000%" in bar


def _sequence(i: int, with_times: bool) -> bytes:
  """A record as others write it: 20 frames, two labels, three segments."""
  import tensorflow as tf

  def numbers(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

  def strings(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

  record = tf.train.SequenceExample()
  context = {
    "clip/media_id": strings([b"video %d" % i]),
    "clip/frames": numbers([20]),
    "segment/label/index": numbers([4, 7, 4]),
    "segment/label/string": strings([b"jump", b"run", b"jump"]),
    "segment/start/index": numbers([0, 5, 10]),
    "segment/end/index": numbers([5, 10, 20]),
  }
  if with_times:
    rate = tf.train.FloatList(value=[5.0])
    context |= {
      "image/frame_rate": tf.train.Feature(float_list=rate),
      "segment/start/timestamp": numbers([0, 1_000_000, 2_000_000]),
      "segment/end/timestamp": numbers([1_000_000, 2_000_000, 4_000_000]),
      "clip/end/timestamp": numbers([4_000_000]),
    }
  for key, feature in context.items():
    record.context.feature[key].CopyFrom(feature)
  images = record.feature_lists.feature_list["image/encoded"]
  for number in range(20):
    colour = (10 * number, 0, 0)
    images.feature.append(strings([tiny_data.jpeg(colour)]))
  return record.SerializeToString()


@pytest.mark.parametrize("with_times", [True, False])
def test_media_sequence_of_others(tmp_path, capsys, with_times):
  import tensorflow as tf

  for split, count in (("train", 3), ("val", 1)):
    name = f"{split}-00000-of-00001"
    with tf.io.TFRecordWriter(str(tmp_path / name)) as out:
      for i in range(count):
        out.write(_sequence(i, with_times))
  (tmp_path / "notes.txt").write_text("no TFRecord")
  page = tmp_path / "page.html"
  flags = [str(tmp_path), f"--html={page}", "--frames=4", "--frame_rate=5"]
  assert inspect.main(flags) == 0
  text = capsys.readouterr().out
  assert "train: 3 videos, 6 queries, 9 segments, 60 stored positions" in text
  assert "segment length: 9, from 1.00 to 2.00 s, median 1.00 s" in text
  assert "val: 1 videos" in text
  content = page.read_text()
  assert "left:50.000%;width:50.000%" in content
  shown = re.findall(r"base64,([^\"]+)", content)
  assert len(shown) == 4 * 4
  # The middles of four quarters of 20 frames.
  expected = tiny_data.jpeg((10 * 7, 0, 0))
  assert base64.b64decode(shown[1]) == expected


def test_media_sequence_with_our_manifest(dataset, tmp_path, capsys):
  """So an earlier version built them."""
  import tensorflow as tf

  with tf.io.TFRecordWriter(str(tmp_path / "x-train-0-of-1")) as out:
    out.write(_sequence(0, True))
  shutil.copy(dataset / "manifest.json", tmp_path)
  page = tmp_path / "page.html"
  assert inspect.main([str(tmp_path), f"--html={page}"]) == 0
  text = capsys.readouterr().out
  assert "custom: frames at 10 a second" in text
  assert "x-train: 1 videos, 2 queries" in text


@pytest.mark.parametrize("content", [b"", b"text", bytes(100), b"\x08" * 100])
def test_files_that_are_no_media_sequence(tmp_path, capsys, content):
  (tmp_path / "train-00000-of-00001").write_bytes(content)
  page = tmp_path / "page.html"
  assert inspect.main([str(tmp_path), f"--html={page}"]) == 1
  assert capsys.readouterr().err.startswith("error: ")


def test_what_is_no_dataset_is_said(tmp_path, capsys):
  assert inspect.main([str(tmp_path)]) == 1
  assert "not a finished dataset" in capsys.readouterr().err
  # Nor is a build that is not finished.
  for name, content in (("lock", b""), ("report.json", b"{}")):
    (tmp_path / name).write_bytes(content)
  assert inspect.main([str(tmp_path)]) == 1
  assert "not a finished dataset" in capsys.readouterr().err
  (tmp_path / "train-00000.tfrecord").write_bytes(b"half of a record")
  (tmp_path / "train-00000.log").write_text("key")
  assert inspect.main([str(tmp_path)]) == 1
  assert "not a finished dataset" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("name", "split"),
  [
    ("train-00000-of-00010", "train"),
    ("anet-val.tfrecord-00001-of-00002", "anet-val"),
    ("test.tfrecord", "test"),
    ("train@8", "train"),
    ("val_00000-of-00010.tfrecord", "val"),
  ],
)
def test_splits_by_name(name, split):
  assert inspect.split_of(name) == split
  with pytest.raises(ValueError, match="does not name its split"):
    inspect.split_of("00000-of-00010")


def test_histogram_covers_everything():
  text = inspect.histogram("title", "s", [0.0, 1.0, 2.0, 100.0])
  counts = re.findall(r"[ +]s +(\d+) ", text)
  assert [int(n) for n in counts] == [3, *[0] * 10, 1]
  assert inspect.histogram("title", "s", []) == "title: none"
