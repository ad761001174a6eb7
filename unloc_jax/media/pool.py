"""Processes that read videos: one that hangs or crashes costs its video alone.

A file from a stranger may make a decoder hang, crash or ask for all memory.
The processes import what they are told to run and nothing else (no JAX, no
TensorFlow), so that one starts in a moment. They end with their parent.
"""

import concurrent.futures
import math
import multiprocessing
import multiprocessing.context
import os
import pathlib
import queue
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any, Self, TypeVar

import pebble

from unloc_jax.media.errors import Reason, VideoError

Result = TypeVar("Result")

# A process that has not started by then never will; a busy machine is slow.
_START_SECONDS = 600.0
_LOOK_SECONDS = 0.2
# What people and schedulers send; no decoder ends so by itself.
_TOLD_TO_END = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_GIB = 1 << 30
_SWAP = threading.Lock()


class PoolError(Exception):
  """The processes cannot be started or are closed; no video is to blame."""


class Pool:
  """As many processes as asked for; whoever wants one waits for a free one.

  Safe to share between threads. The processes start with the first call of
  `run` and stay, until the pool is closed. Each may take `memory_gib` of
  address space beyond what its libraries do, or any.
  """

  def __init__(self, count: int, memory_gib: float | None = None):
    context = _Context()
    # Moments of the last signs of life; 0 before the function began.
    self._beats = context.RawArray("d", count)
    self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(count):
      self._free.put(slot)
    self._closed = False
    self._pool: Any = pebble.ProcessPool(
      count,
      initializer=_begin,
      initargs=(self._beats, memory_gib),
      context=context,
    )

  def run(
    self,
    function: Callable[..., Result],
    *args: Any,
    stall_seconds: float = math.inf,
    seconds: float = math.inf,
  ) -> Result:
    """Returns `function(*args)`, called in a free process.

    The function is one of a module and calls `beat` while there is progress;
    it is ended after `stall_seconds` without, and after `seconds` in all.

    Raises:
      VideoError: The function raised anything but an OSError, which is passed
        on; or it crashed, stalled, or took too much time or memory.
      PoolError: The processes cannot be started or were told to end, or the
        pool is closed.
    """
    slot = self._free.get()
    self._beats[slot] = 0.0
    try:
      future = self._pool.schedule(_call, args=(slot, function, args))
      self._await(future, slot, stall_seconds, seconds)
      result: Result = future.result()
      return result
    except pebble.ProcessExpired as error:
      if -error.exitcode in _TOLD_TO_END:
        name = signal.Signals(-error.exitcode).name
        raise PoolError(f"a worker was told to end ({name})") from error
      raise VideoError(
        Reason.CRASHED, f"the decoder crashed (exit {error.exitcode})"
      ) from error
    except concurrent.futures.BrokenExecutor as error:
      raise PoolError(
        "a worker ended as it started; what it printed says why; use fewer"
      ) from error
    except RuntimeError as error:
      raise PoolError(str(error)) from error
    finally:
      self._free.put(slot)

  def _await(
    self, future: Any, slot: int, stall_seconds: float, seconds: float
  ) -> None:
    """Waits for a result, or for a reason not to wait any longer."""

    def is_done() -> bool:
      return bool(concurrent.futures.wait([future], _LOOK_SECONDS).done)

    asked, started = time.monotonic(), 0.0
    while not is_done():
      now, beaten = time.monotonic(), self._beats[slot]
      started = started or beaten
      fault: Exception | None = None
      if self._closed:
        fault = PoolError("the workers were ended")
      elif not started and now - asked > _START_SECONDS:
        # No video is to be blamed for how a process starts.
        late = f"a worker did not start in {_START_SECONDS:g} s; use fewer"
        fault = PoolError(late)
      elif started and now - beaten > stall_seconds:
        late = f"no progress in {stall_seconds:g} s"
        fault = VideoError(Reason.STALLED, late)
      elif started and now - started > seconds:
        fault = VideoError(Reason.STALLED, f"not read within {seconds:g} s")
      if fault is not None:
        # A cancelled future is done when its process has been ended.
        future.cancel()
        while not self._closed and not is_done():
          pass
        raise fault

  def close(self) -> None:
    """Ends every process, whatever it is doing."""
    self._closed = True
    self._pool.stop()
    self._pool.join()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *error: object) -> None:
    self.close()


class _Here:
  """What a process of a pool knows of itself."""

  beats: Any = None
  slot = 0
  memory_gib: float | None = None


def beat() -> None:
  """Tells the pool, where this is a process of one, that there is progress."""
  if _Here.beats is not None:
    _Here.beats[_Here.slot] = time.monotonic()


def _begin(beats: Any, memory_gib: float | None) -> None:
  """Prepares a new process."""
  _Here.beats, _Here.memory_gib = beats, memory_gib
  # A decoder that hangs runs no Python, and so no handler of signals.
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
  """Ends this process, whatever it is decoding, when its parent is gone."""
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)


def _call(
  slot: int, function: Callable[..., Result], args: tuple[Any, ...]
) -> Result:
  """Runs a function in a process of the pool."""
  if _Here.memory_gib is not None:
    # Only now is what the function needs imported.
    _limit_memory(int(_Here.memory_gib * _GIB))
    _Here.memory_gib = None
  _Here.slot = slot
  beat()
  try:
    return function(*args)
  except (VideoError, OSError):
    raise
  except MemoryError as error:
    raise VideoError(
      Reason.TOO_LARGE, "takes too much memory; make it smaller"
    ) from error
  except Exception as error:
    # No video, however odd, may stop the others.
    raise VideoError(
      Reason.UNDECODABLE, f"{type(error).__name__}: {error}"
    ) from error


def _limit_memory(more: int) -> None:
  """Caps the address space at `more` bytes beyond what is taken now."""
  try:
    import resource

    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
  except (ImportError, OSError):
    return  # Only Linux has both; time is limited all the same.
  limit = pages * resource.getpagesize() + more
  resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


class _Process(multiprocessing.context.SpawnProcess):
  """A new interpreter that does not import the command that started it.

  Every start method of Python would; a command imports JAX.
  """

  @staticmethod
  def _Popen(process_obj: Any) -> Any:  # noqa: N802
    with _SWAP:
      main = sys.modules["__main__"]
      sys.modules["__main__"] = types.ModuleType("__main__")
      try:
        return multiprocessing.context.SpawnProcess._Popen(process_obj)
      finally:
        sys.modules["__main__"] = main


class _Context(multiprocessing.context.SpawnContext):
  Process = _Process
