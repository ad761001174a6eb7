"""Local worker processes: what crashes or hangs a decoder costs one video.

A worker imports neither TensorFlow nor Beam, so it starts in a second and
takes little memory. Beam's local runner gives it shards.
"""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from data_preprocessing import shard
from data_preprocessing.jobs import BuildError, ShardJob

# A process that has not started by then never will; a busy machine is slow.
_START_SECONDS = 600.0
# Beats are sent no more often than this, in seconds.
_BEAT_EVERY = 1.0


class Worker:
  """One process that writes shards, one after the other.

  Attributes:
    stall_seconds: Without progress for so long, the video is given up.
  """

  def __init__(
    self,
    stall_seconds: float,
    target: Callable[[Connection], None] | None = None,
  ):
    """Starts nothing yet.

    Args:
      stall_seconds: See above.
      target: What the process runs instead of `serve`.
    """
    self.stall_seconds = stall_seconds
    self._target = target or serve
    self._process: Any = None
    self._pipe: Connection | None = None

  def write(self, job: ShardJob) -> None:
    """Brings a shard to its end, going on after crashes.

    Raises:
      BuildError: The shard cannot be written.
    """
    while True:
      fault = self._try(job)
      if fault is None:
        return
      self.close()
      shard.skip_video(job, fault)

  def _try(self, job: ShardJob) -> str | None:
    """Runs a shard; returns None, or what became of the process."""
    try:
      pipe = self._running()
      pipe.send(job)
      while True:
        if not pipe.poll(self.stall_seconds):
          return f"no progress in {self.stall_seconds:g} s"
        kind, text = pipe.recv()
        if kind == "done":
          return None
        if kind == "error":
          raise BuildError(text)
    except (EOFError, BrokenPipeError, ConnectionResetError):
      self._process.join(5)
      return f"the decoder crashed (exit {self._process.exitcode})"

  def _running(self) -> Connection:
    if self._process is None or not self._process.is_alive():
      context = multiprocessing.get_context("spawn")
      self._pipe, theirs = context.Pipe()
      self._process = context.Process(
        target=self._target, args=(theirs,), daemon=True
      )
      self._process.start()
      theirs.close()
      self._await_ready(self._pipe)
    assert self._pipe is not None
    return self._pipe

  def _await_ready(self, pipe: Connection) -> None:
    """Waits for the process: no video is to be blamed for how it starts."""
    try:
      if not pipe.poll(_START_SECONDS):
        raise BuildError(
          f"a worker did not start in {_START_SECONDS:g} s; give fewer"
          " --workers"
        )
      pipe.recv()
    except EOFError as error:
      raise BuildError(
        "a worker ended as it started; what it printed says why"
      ) from error

  def close(self) -> None:
    """Ends the process."""
    if self._process is not None:
      self._process.kill()
      self._process.join()
      self._process = None


class Pool:
  """As many workers as asked for; a caller waits for a free one.

  Attributes:
    failure: What stopped the build, None where nothing did.
  """

  def __init__(self, count: int, stall_seconds: float):
    self._workers = [Worker(stall_seconds) for _ in range(count)]
    self.failure: BuildError | None = None
    self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in self._workers:
      self._free.put(worker)

  def write(self, job: ShardJob) -> None:
    """Brings a shard to its end in some worker.

    An error is kept in `failure`, and stops all further shards: runners print
    what is raised inside them, at length.
    """
    worker = self._free.get()
    try:
      if self.failure is None:
        worker.write(job)
    except BuildError as error:
      self.failure = error
    finally:
      self._free.put(worker)

  def close(self) -> None:
    """Ends every worker."""
    for worker in self._workers:
      worker.close()


def serve(pipe: Connection) -> None:
  """Writes the shards that come through a pipe, in a process of its own."""
  # Ctrl-C is for the parent, which then ends its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
  pipe.send(("ready", ""))
  last = 0.0

  def beat() -> None:
    nonlocal last
    now = time.monotonic()
    if now - last > _BEAT_EVERY:
      last = now
      pipe.send(("beat", ""))

  while True:
    try:
      job = pipe.recv()
    except EOFError:
      return
    try:
      shard.write_shard(job, beat)
      pipe.send(("done", ""))
    except BuildError as error:
      pipe.send(("error", str(error)))


def _die_with(parent: int) -> None:
  """Ends this process, whatever it is decoding, when its parent is gone."""
  while os.getppid() == parent:
    time.sleep(0.2)
  os._exit(1)
