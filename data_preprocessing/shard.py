"""Writes one shard, video by video; a shard cut short goes on where it was.

Beside `train-00003.tfrecord` grows `train-00003.log`: first the hash of the
shard's job, then a line per video with the length of the file after it, last
`done`. Whatever lies in the file beyond the last logged length is cut off.
"""

import contextlib
import dataclasses
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from etils import epath

from data_preprocessing import (
  examples,
  features,
  records,
  sequence_example,
  tfrecord,
)
from data_preprocessing.jobs import BuildError, Outcome, ShardJob, VideoJob
from unloc_jax.media.errors import Reason, VideoError

DONE = "done"

Beat = Callable[[], None]


def data_path(job: ShardJob) -> epath.Path:
  """Returns the shard's TFRecord file."""
  return epath.Path(job.folder) / f"{job.stem}.tfrecord"


def log_path(job: ShardJob) -> epath.Path:
  """Returns the shard's log."""
  return epath.Path(job.folder) / f"{job.stem}.log"


@dataclasses.dataclass
class Log:
  """What a shard's log says.

  Attributes:
    outcomes: Of the videos that are through, in order.
    done: Whether the shard is complete.
  """

  outcomes: list[Outcome]
  done: bool

  @property
  def end(self) -> int:
    """Bytes of the shard's file that are sound."""
    return self.outcomes[-1].end if self.outcomes else 0


def read_log(job: ShardJob) -> Log:
  """Reads how far a shard is; an empty log if it is of another job."""
  try:
    text = log_path(job).read_text(encoding="utf-8")
  except FileNotFoundError:
    return Log([], False)
  # What follows the last line break was cut off while being written.
  lines = text.split("\n")[:-1]
  if not lines or lines[0] != job.key:
    return Log([], False)
  done = lines[-1] == DONE
  outcomes = [Outcome.from_line(line) for line in lines[1:] if line != DONE]
  log = Log(outcomes, done)
  data = data_path(job)
  if not data.exists() or data.stat().length < log.end:
    return Log([], False)
  return log


def write_shard(job: ShardJob, beat: Beat) -> None:
  """Brings a shard to its end.

  Args:
    job: The shard.
    beat: Called often while there is progress.

  Raises:
    BuildError: It cannot be written, say because the disk is full.
  """
  with _explained(job):
    if read_log(job).done:
      return
    if "://" in job.folder:
      _write_elsewhere(job, beat)
      return
    with _resumed(job) as (log, data, lines):
      for video in job.videos[len(log.outcomes) :]:
        beat()
        outcome = _append(data, job, video, beat)
        data.flush()
        lines.write(outcome.to_line() + "\n")
        lines.flush()
      os.fsync(data.fileno())
      lines.write(DONE + "\n")


def _write_elsewhere(job: ShardJob, beat: Beat) -> None:
  """Writes a shard on this machine's disk, then copies it to a remote folder.

  Remote files cannot be appended to, so a shard cut short starts again.
  """
  with tempfile.TemporaryDirectory() as folder:
    here = dataclasses.replace(job, folder=folder)
    write_shard(here, beat)
    try:
      epath.Path(job.folder).mkdir(parents=True, exist_ok=True)
      data_path(here).copy(data_path(job), overwrite=True)
      # The log last: where it is, the data is.
      log_path(here).copy(log_path(job), overwrite=True)
    except Exception as error:
      # Every file system has errors of its own.
      raise BuildError(
        f"{data_path(job)}: {type(error).__name__}: {error}; run the same"
        " command to go on"
      ) from error


def skip_video(job: ShardJob, detail: str) -> None:
  """Logs that the next video of a shard made the decoder crash or hang."""
  with _explained(job), _resumed(job) as (log, _, lines):
    if len(log.outcomes) < len(job.videos):
      video = job.videos[len(log.outcomes)]
      error = VideoError(Reason.UNDECODABLE, detail)
      lines.write(_left_out(video, error, log.end).to_line() + "\n")


@contextlib.contextmanager
def _explained(job: ShardJob) -> Iterator[None]:
  """Turns errors of the disk into a line that says what to do."""
  try:
    yield
  except OSError as error:
    raise BuildError(
      f"{data_path(job)}: {error.strerror or error}; make room or give"
      " another --data_dir, then run the same command to go on"
    ) from error


@contextlib.contextmanager
def _resumed(job: ShardJob) -> Iterator[tuple[Log, IO[bytes], IO[str]]]:
  """Opens a shard and its log at the end of what is sound in them."""
  epath.Path(job.folder).mkdir(parents=True, exist_ok=True)
  data_file, log_file = data_path(job), log_path(job)
  with open(data_file, "ab") as lock:
    # The worker of a build that was just killed may still hold the file.
    fcntl.flock(lock, fcntl.LOCK_EX)
    log = read_log(job)
    with open(data_file, "r+b") as data:
      data.truncate(log.end)
      data.seek(log.end)
      whole = [job.key, *(outcome.to_line() for outcome in log.outcomes)]
      # A crash while the log is mended must not lose it.
      beside = log_file.with_suffix(".log.new")
      beside.write_text("\n".join(whole) + "\n", encoding="utf-8")
      beside.replace(log_file)
      with open(log_file, "a", encoding="utf-8") as lines:
        yield log, data, lines


def _append(
  data: IO[bytes], job: ShardJob, video: VideoJob, beat: Beat
) -> Outcome:
  """Appends one video, or nothing if it cannot be used."""
  start = data.tell()
  try:
    with examples.spool_file(job.folder) as file:
      draft, size = _write(data, job, video, file, beat)
  except (OSError, BuildError):
    # Videos that cannot be read are VideoErrors: this is our own disk.
    raise
  except Exception as error:
    data.seek(start)
    data.truncate()
    if not isinstance(error, VideoError):
      # No video, however odd, may stop the others.
      error = VideoError(Reason.UNDECODABLE, f"{type(error).__name__}: {error}")
    return _left_out(video, error, start)
  return dataclasses.replace(draft.outcome, bytes=size, end=data.tell())


def _write(
  data: IO[bytes], job: ShardJob, video: VideoJob, file: IO[bytes], beat: Beat
) -> tuple[examples.Draft, int]:
  """Appends the record of one video; returns it and its bytes."""
  settings = job.settings
  if settings.extract == records.FRAMES:
    draft = examples.frames_example(video, settings, file, beat)
  else:
    draft = features.features_example(video, settings, beat)
  try:
    if settings.tfrecord == "sequence":
      size = sequence_example.write(data, draft, video, settings)
    else:
      size = tfrecord.write_example(data, draft.features)
  except ValueError as error:
    raise VideoError(Reason.TOO_LONG, str(error)) from error
  return draft, size


def _left_out(video: VideoJob, error: VideoError, end: int) -> Outcome:
  """Returns the outcome of a video that cannot be used."""
  # Reports are the same wherever the videos lie.
  detail = error.detail.replace(video.path, video.name)
  return Outcome(
    video.annotation.video_id,
    video.name,
    str(error.reason),
    "" if detail == video.name else detail,
    end=end,
    size=video.size,
    annotated=video.annotation.duration,
  )
