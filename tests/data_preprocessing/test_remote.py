"""Annotations, videos and datasets on a file system that is not local."""

import json

import fsspec
import pytest
import tensorflow as tf
from etils.epath import backend, gpath
from fsspec.implementations import memory

from data_preprocessing import build
from tests import tiny_data
from tests.data_preprocessing import custom
from unloc_jax.data import shards, splits

SEGMENTS = [{"start": 0.5, "end": 1.0, "text": "it happens"}]


class Store(memory.MemoryFileSystem):
  """A bucket in this process."""

  protocol = ("s3",)
  store: dict = {}  # noqa: RUF012
  pseudo_dirs = [""]  # noqa: RUF012

  @classmethod
  def _strip_protocol(cls, path):
    return super()._strip_protocol(path.removeprefix("s3://"))

  def rename(self, path1, path2, **options):
    return self.mv(path1, path2, **options)


@pytest.fixture
def bucket(monkeypatch):
  """s3:// in memory, read as it is without TensorFlow."""
  monkeypatch.setenv("EPATH_USE_TF", "false")
  monkeypatch.setattr(Store, "store", {})
  monkeypatch.setattr(Store, "pseudo_dirs", [""])
  fsspec.register_implementation("s3", Store, clobber=True)
  # Whether TensorFlow reads was perhaps found out by an earlier test.
  gpath._is_tf_installed.cache_clear()
  gpath._is_zonal_gcs_bucket.cache_clear()
  backend.fsspec_backend._get_filesystem.cache_clear()
  yield Store(skip_instance_cache=True)
  gpath._is_tf_installed.cache_clear()
  backend.fsspec_backend._get_filesystem.cache_clear()


def test_a_build_from_a_bucket_to_a_bucket(bucket, film, tmp_path, capsys):
  whole, out = ("deep/a b.mp4", "ü.mkv"), ("cut.mp4", "none.mp4", "../../x.mp4")
  for name in whole:
    film(tmp_path / "in" / name, [k / 10 for k in range(20)], rate=10)
    bucket.pipe(f"/b/in/{name}", (tmp_path / "in" / name).read_bytes())
  bucket.pipe("/b/in/cut.mp4", bucket.cat("/b/in/deep/a b.mp4")[:900])
  lines = [{"video": name, "segments": SEGMENTS} for name in (*whole, *out)]
  notes = tmp_path / "train.jsonl"
  custom.write_lines(notes, lines)
  bucket.pipe("/b/notes/train.jsonl", notes.read_bytes())
  flags = [
    "--dataset=custom",
    "--annotations=s3://b/notes",
    "--videos=s3://b/in",
    "--data_dir=s3://b/out",
    "--beam=--runner=FnApiRunner --direct_num_workers=1",
  ]
  # A process has another memory; this is of one worker, which is here.
  assert build.main(flags) == 0
  assert "2 videos; left out" in capsys.readouterr().out
  made = bucket.find("/b/out")
  folder = "/b/out/custom/1.0.0"
  for name in ("manifest.json", "report.md", "dataset_info.json"):
    assert f"{folder}/{name}" in made
  assert not [path for path in made if not path.startswith(folder + "/")]
  report = json.loads(bucket.cat(f"{folder}/report.json"))["splits"]["train"]
  listed = [*report["missing"], *report["broken"]]
  assert {line["video_id"] for line in listed} == set(out)
  (data,) = [path for path in made if ".tfrecord-" in path]
  # The same bytes as from local folders.
  (tmp_path / "in" / "cut.mp4").write_bytes(bucket.cat("/b/in/cut.mp4"))
  (here,) = custom.dataset(tmp_path, lines).glob("*.tfrecord-*")
  assert bucket.cat(data) == here.read_bytes()
  # A finished one is not done again.
  capsys.readouterr()
  assert build.main(flags) == 0
  assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--annotations", "--videos", "--data_dir"])
@pytest.mark.parametrize(
  ("place", "says"),
  [
    ("memory://x/y", "no file system memory:// is known"),
    ("s3://none-such/y", "cannot be reached"),
  ],
)
def test_what_cannot_be_reached_is_said(
  tmp_path, capsys, monkeypatch, flag, place, says
):
  def refuse(*_):
    raise PermissionError("no credentials\nand much more")

  monkeypatch.setenv("EPATH_USE_TF", "false")
  monkeypatch.setattr(type(backend.fsspec_backend), "exists", refuse)
  custom.write_lines(tmp_path / "train.jsonl", [])
  assert build.main([*custom.flags(tmp_path), f"{flag}={place}"]) == 1
  said = capsys.readouterr().err
  assert said.startswith(f"error: {flag} {place}")
  assert says in said
  assert said.count("\n") == 1


def test_reading_from_what_tensorflow_reaches(tmp_path):
  """MediaSequence files, read through TensorFlow's file systems."""
  path = str(tmp_path / "a.tfrecord")
  with tf.io.TFRecordWriter(path) as out:
    for payload in (b"one", b"two" * 5000):
      out.write(payload)
  tf.io.gfile.makedirs("ram://unloc_remote")
  there = "ram://unloc_remote/train-00000-of-00001"
  tf.io.gfile.copy(path, there, overwrite=True)
  records = shards.shard_records(there)
  assert [shards.read_record(r) for r in records] == [b"one", b"two" * 5000]
  assert shards.stored_checksum(records[1])
  config = tiny_data.settings("ram://unloc_remote", format="mediasequence")
  assert len(splits.open_source(config, "train").records) == 2


def test_a_runner_that_is_not_there_is_said(film, tmp_path, capsys):
  film(tmp_path / "in" / "a.mp4", [0, 0.9], rate=10)
  lines = [{"video": "a.mp4", "segments": SEGMENTS}]
  custom.write_lines(tmp_path / "train.jsonl", lines)
  flags = custom.flags(tmp_path)
  assert build.main([*flags, "--beam=--runner=NoSuchRunner"]) == 1
  said = capsys.readouterr().err.splitlines()[-1]
  assert said.startswith("error: --beam --runner=NoSuchRunner: ")
  assert not (tmp_path / "out" / "custom" / "1.0.0").exists()
