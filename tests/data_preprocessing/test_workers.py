"""What crashes or hangs a decoder costs one video, not the build."""

import os
import time

import pytest

from data_preprocessing import shard, workers
from data_preprocessing.jobs import BuildError, Settings, ShardJob, VideoJob
from data_preprocessing.records import Query, Segment, VideoAnnotation


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


def _crash(pipe):
  """A worker whose decoder dies on any video called `bad`."""
  whole = shard.examples.frames_example

  def example(video, *rest):
    if video.annotation.video_id == "bad":
      os.kill(os.getpid(), 11)
    return whole(video, *rest)

  shard.examples.frames_example = example
  workers._serve(pipe)


def _hang(pipe):
  """A worker whose decoder never returns from any video called `bad`."""
  whole = shard.examples.frames_example

  def example(video, *rest):
    if video.annotation.video_id == "bad":
      time.sleep(600)
    return whole(video, *rest)

  shard.examples.frames_example = example
  workers._serve(pipe)


class _Forked(workers.Worker):
  """Forks, so that the child has the decoder this test gave it."""

  serve = None

  def _running(self):
    import multiprocessing

    if self._process is None or not self._process.is_alive():
      context = multiprocessing.get_context("fork")
      self._pipe, theirs = context.Pipe()
      self._process = context.Process(
        target=self.serve, args=(theirs,), daemon=True
      )
      self._process.start()
      theirs.close()
    return self._pipe


@pytest.mark.parametrize(
  ("serve", "says"),
  [(_crash, "the decoder crashed (exit -11)"), (_hang, "no progress in 3 s")],
)
def test_one_bad_video_is_left_out(tmp_path, film, serve, says):
  work = job(tmp_path, film, ["a", "bad", "c"])
  worker = _Forked(stall_seconds=3.0)
  worker.serve = serve
  worker.write(work)
  worker.close()
  log = shard.read_log(work)
  assert log.done
  assert [(o.video_id, o.detail) for o in log.outcomes] == [
    ("a", ""),
    ("bad", says),
    ("c", ""),
  ]


def test_an_error_of_the_disk_is_an_error_of_the_build(tmp_path, film):
  work = job(tmp_path, film, ["a"])
  (tmp_path / "work").write_text("a file where the folder should be")
  pool = workers.Pool(1, 60.0)
  pool.write(work)
  pool.close()
  assert isinstance(pool.failure, BuildError)
  assert "run the same command to go on" in str(pool.failure)
