"""What is wrong with data gets one line that says what and where."""

import json
import pathlib
import re
import shutil

import pytest
import tensorflow as tf

from unloc_jax.data import manifest as manifest_lib
from unloc_jax.data import pipeline, shards, splits

CLASSES = {"task": "temporal_localization"}


@pytest.fixture
def copy(captions, tmp_path) -> pathlib.Path:
  """A dataset one may damage."""
  return shutil.copytree(captions, tmp_path / "copy")


def one_line(error: pytest.ExceptionInfo, *words: str) -> None:
  text = str(error.value)
  assert "\n" not in text
  for word in words:
    assert word in text


def shard(path: pathlib.Path, split="train", number=1) -> pathlib.Path:
  return path / f"tiny-{split}.tfrecord-{number:05d}"


def damage(path: pathlib.Path, number: int) -> None:
  """Changes one byte in the middle of a record's payload."""
  record = shards.shard_records(str(path))[number]
  content = bytearray(path.read_bytes())
  content[record.offset + 12 + record.size // 2] ^= 0xFF
  path.write_bytes(bytes(content))


def test_checksums_are_tfrecords(tmp_path):
  path = tmp_path / "a.tfrecord"
  with tf.io.TFRecordWriter(str(path)) as writer:
    writer.write(b"abc")
  content = path.read_bytes()
  assert shards.masked_crc(content[:8]) == int.from_bytes(
    content[8:12], "little"
  )
  assert shards.masked_crc(b"abc") == int.from_bytes(content[15:], "little")


def test_places_of_records(tmp_path):
  path = str(tmp_path / "a.tfrecord")
  payloads = [b"", b"x", b"yy" * 5000, b"z"]
  with tf.io.TFRecordWriter(path) as writer:
    for payload in payloads:
      writer.write(payload)
  records = shards.shard_records(path)
  assert [shards.read_record(r) for r in records] == payloads
  assert [shards.read_verified(r) for r in records] == payloads
  assert [r.number for r in records] == [0, 1, 2, 3]
  assert shards.total_bytes(records) == sum(map(len, payloads))


@pytest.mark.parametrize("verify_gib", [4.0, 0.0])
def test_a_corrupt_record_is_named_and_fatal(tiny, copy, verify_gib):
  damage(shard(copy), 2)
  config = tiny.settings(copy, verify_gib=verify_gib)
  with pytest.raises(shards.CorruptDataError) as error:
    for _, _ in zip(
      range(9),
      pipeline.make_train(config, batch_size=4, seed=0),
      strict=False,
    ):
      pass
  one_line(error, "record 2 of", "tfrecord-00001", "max_corrupt_records=0")


@pytest.mark.parametrize("verify_gib", [4.0, 0.0])
def test_allowed_corrupt_records_are_counted(tiny, copy, verify_gib):
  damage(shard(copy), 2)  # Video 5.
  config = tiny.settings(copy, verify_gib=verify_gib, max_corrupt_records=1)
  stream = pipeline.make_train(config, batch_size=11, seed=0)
  for _ in range(2):
    batch = next(stream)
    assert batch["example_mask"].sum() == 10
    masked = ~batch["example_mask"]
    assert not batch["frame_mask"][masked].any()
    assert not batch["query_mask"][masked].any()
    assert 5 not in batch["example_index"][batch["example_mask"]]
  assert len(stream.split.corrupt.errors) == 1


def test_a_shard_replaced_after_it_was_verified(tiny, copy):
  split = splits.open_split(tiny.settings(copy), "train")
  assert split.verified
  with tf.io.TFRecordWriter(str(shard(copy))) as writer:
    writer.write(b"another")
  with pytest.raises(shards.CorruptDataError) as error:
    next(pipeline.make_train(split.config, batch_size=11, seed=0, split=split))
  one_line(error, "of", "tfrecord-00001", "not what it was")


def test_corrupt_records_have_no_queries_in_evaluation(tiny, copy):
  damage(shard(copy, "val"), 0)  # Video 3.
  config = tiny.settings(copy, max_corrupt_records=1)
  stream = pipeline.make_eval(config, batch_size=4)
  seen = [
    int(i)
    for batch in stream
    for i in batch["example_index"][batch["example_mask"]]
  ]
  assert set(seen) == {0, 1, 2, 4, 5, 6}
  with pytest.raises(IndexError, match="corrupt"):
    stream.split.table[3]


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda all_, _: all_[:-100], ("tfrecord-00001", "record 2", "truncated")),
    (lambda all_, last: all_[:last], ("holds 2 records", "says 3")),
    (lambda all_, last: all_[: last + 5], ("cut short",)),
    (lambda all_, _: bytes([all_[0] ^ 1]) + all_[1:], ("corrupt length",)),
  ],
)
def test_a_shard_that_is_not_whole(tiny, copy, change, words):
  path = shard(copy)
  last = shards.shard_records(str(path))[2]
  path.write_bytes(change(path.read_bytes(), last.offset))
  with pytest.raises(shards.CorruptDataError) as error:
    splits.open_split(tiny.settings(copy), "train")
  one_line(error, *words)


def test_a_missing_shard(tiny, copy):
  shard(copy).unlink()
  with pytest.raises((OSError, tf.errors.OpError)) as error:
    splits.open_split(tiny.settings(copy), "train")
  one_line(error, "tfrecord-00001")


def test_a_jpeg_that_does_not_decode(tiny, tmp_path):
  videos = [tiny.caption_video(i) for i in range(2)]
  videos[1]["frames"][0] = b"\xff\xd8\xff nothing"
  path = tiny.write(tmp_path, {"train": videos})
  stream = pipeline.make_train(tiny.settings(path), batch_size=2, seed=0)
  with pytest.raises(ValueError, match="JPEG") as error:
    next(stream)
  one_line(error, str(path), "train")


@pytest.mark.parametrize("name", ["", "absent", "empty"])
def test_no_dataset(tiny, tmp_path, name):
  (tmp_path / "empty").mkdir()
  config = tiny.settings(tmp_path / name if name else "")
  with pytest.raises(FileNotFoundError) as error:
    pipeline.make_train(config, batch_size=2, seed=0)
  one_line(error, "data.path")


def test_an_unknown_split(tiny, captions):
  with pytest.raises(ValueError, match="no split 'nope'") as error:
    pipeline.make_eval(tiny.settings(captions), batch_size=2, split="nope")
  one_line(error, "train", "val")


def test_an_unfinished_dataset(tiny, copy):
  (copy / "manifest.json").unlink()
  with pytest.raises(FileNotFoundError) as error:
    splits.open_split(tiny.settings(copy), "train")
  one_line(error, "manifest.json", "not a finished dataset")


@pytest.mark.parametrize(
  ("change", "word"),
  [
    (lambda m: m.pop("splits"), "splits"),
    (lambda m: m.update(format=7), "format 7"),
    (lambda m: m.update(splits={"train": {}}), "videos"),
    (lambda m: m.update(splits=3), "rebuild"),
  ],
)
def test_a_broken_manifest(copy, change, word):
  path = copy / "manifest.json"
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=word) as error:
    manifest_lib.read_manifest(copy)
  one_line(error, "manifest.json")


@pytest.mark.parametrize(
  ("name", "changes", "words"),
  [
    (
      "captions",
      {"streams": ("embeddings",)},
      ("does not fit", "is 'frames'", "'features'", "embedding_width"),
    ),
    (
      "captions",
      CLASSES,
      ("{path}: a dataset of captions", "temporal_", "--dataset anet"),
    ),
    (
      "classes",
      {},
      ("{path}: a dataset of classes", "moment_", "--dataset custom"),
    ),
    (
      "captions",
      {"image_size": 64, "short_side": 64},
      ("{path}: ", "data.image_size=64", "--short_side=64"),
    ),
    ("classes", {**CLASSES, "classes": ("fly",)}, ("no class ['fly']",)),
    ("captions", {"format": "csv"}, ("data.format",)),
  ],
)
def test_a_dataset_that_is_not_what_is_asked(
  tiny, name, changes, words, request
):
  path = request.getfixturevalue(name)
  words = [word.format(path=path) for word in words]
  with pytest.raises(ValueError, match=re.escape(words[0])) as error:
    pipeline.make_train(tiny.settings(path, **changes), batch_size=2, seed=0)
  one_line(error, *words)


def test_a_manifest_of_another_tower(embedded):
  manifest = manifest_lib.read_manifest(embedded)
  manifest_lib.check_manifest(manifest, {"embedding_width": 4})
  with pytest.raises(ValueError, match="does not fit") as error:
    manifest_lib.check_manifest(manifest, {"tower_hash": "abc"})
  one_line(error, "tower_hash is None in the dataset", "'abc'")
