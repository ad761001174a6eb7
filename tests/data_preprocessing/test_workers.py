"""What crashes or hangs a decoder costs one video, not the build."""

import importlib
import sys

import pytest

from data_preprocessing import shard, workers
from data_preprocessing.jobs import BuildError, Settings, ShardJob, VideoJob
from unloc_jax.annotations.records import Query, Segment, VideoAnnotation


def job(tmp_path, film, names):
  videos = []
  for name in names:
    path = film(tmp_path / f"{name}.mp4", [k / 10 for k in range(10)])
    note = VideoAnnotation(
      name, "train", None, (Query("q", "text"),), (Segment(0, 1, 0),)
    )
    videos.append(VideoJob(note, str(path), path.name, path.stat().st_size))
  work = str(tmp_path / "work")
  return ShardJob("train", 0, work, tuple(videos), Settings("custom"))


BAD_DECODER = """
import os, time
from data_preprocessing import shard, workers

whole = shard.examples.frames_example

def example(video, *rest):
  if video.annotation.video_id == "crash":
    os._exit(11)
  if video.annotation.video_id == "hang":
    time.sleep(600)
  return whole(video, *rest)

def serve(pipe):
  shard.examples.frames_example = example
  workers.serve(pipe)
"""


@pytest.mark.parametrize(
  ("bad", "says"),
  [
    ("crash", "the decoder crashed (exit 11)"),
    ("hang", "no progress in 6 s"),
  ],
)
def test_one_bad_video_is_left_out(tmp_path, film, monkeypatch, bad, says):
  # In a module of its own: a spawned process imports what it is to run.
  (tmp_path / "bad_decoder.py").write_text(BAD_DECODER)
  monkeypatch.syspath_prepend(tmp_path)
  work = job(tmp_path, film, ["a", bad, "c"])
  module = importlib.import_module("bad_decoder")
  worker = workers.Worker(6.0, module.serve)
  worker.write(work)
  worker.close()
  log = shard.read_log(work)
  assert log.done
  assert [(o.video_id, o.detail) for o in log.outcomes] == [
    ("a", ""),
    (bad, says),
    ("c", ""),
  ]
  del sys.modules["bad_decoder"]


def test_an_error_of_the_disk_is_an_error_of_the_build(tmp_path, film):
  work = job(tmp_path, film, ["a"])
  (tmp_path / "work").write_text("a file where the folder should be")
  pool = workers.Pool(1, 60.0)
  pool.write(work)
  pool.close()
  assert isinstance(pool.failure, BuildError)
  assert "run the same command to go on" in str(pool.failure)
