"""Beam's part: the same pipeline runs in threads here or on other machines.

What a runner is handed are names of files with lists of work, for some keep
many copies of what they are handed in memory. Nothing is handed back.
"""

import contextlib
import dataclasses
import shlex
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import tqdm
from apache_beam.options import pipeline_options
from apache_beam.runners.worker import sdk_worker

from data_preprocessing import cache, examples
from data_preprocessing.examples import Outcome
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.media.errors import VideoError
from unloc_jax.media.pool import Pool, PoolError

# It prints the traceback of every error, which the command says in a line.
vars(sdk_worker)["print"] = lambda *_, **__: None


@dataclasses.dataclass
class Here:
  """What the threads of a build in this process share."""

  pool: Pool
  bar: "tqdm.tqdm[None]"
  left_out: int = 0
  # What stops the build; threads that see it do no more.
  failure: BuildError | None = None
  lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


# A DoFn is copied before it runs, and processes cannot be. None in processes
# that a runner starts, here or elsewhere.
_here: Here | None = None


def advance(left_out: bool = False) -> None:
  """Counts a video, where progress is shown by this process."""
  if _here is None:
    return
  with _here.lock:
    if left_out:
      _here.left_out += 1
      _here.bar.set_postfix_str(f"{_here.left_out} left out", refresh=False)
    _here.bar.update()


class MakeExample(beam.DoFn):
  """Makes the example of a video in a process that may hang or crash."""

  def __init__(self, settings: Settings, folder: str, stall_seconds: float):
    super().__init__()
    self._settings, self._folder = settings, folder
    self._stall = stall_seconds

  def setup(self) -> None:
    """Starts a process, unless there are some to share."""
    self._pool = Pool(1) if _here is None else _here.pool

  def teardown(self) -> None:
    """Ends what `setup` started."""
    if _here is None:
      self._pool.close()

  def process(self, job: VideoJob) -> None:
    """Makes an example, if it is not there yet; hands on nothing."""
    if _here is not None and _here.failure is not None:
      return
    try:
      advance(left_out=bool(self._outcome(job).reason))
    except BuildError as error:
      if _here is None:
        raise
      # Runners print what is raised inside them, at length.
      _here.failure = _here.failure or error

  def _outcome(self, job: VideoJob) -> Outcome:
    """Says what became of a video. Raises BuildError."""
    path = cache.example_file(self._folder, job, self._settings)
    if (before := cache.outcome(path)) is not None:
      return before
    made: Outcome | BuildError
    args = job, self._settings, self._folder
    try:
      made = self._pool.run(cache.make, *args, stall_seconds=self._stall)
    except VideoError as error:
      made = examples.left_out(job, error)
    except PoolError as error:
      raise BuildError(f"{error}; start the build again") from error
    if isinstance(made, BuildError):
      raise made
    cache.keep(path, made)
    return made


@dataclasses.dataclass(frozen=True)
class Runner:
  """Where a build runs."""

  worker_count: int = 1  # Local worker processes
  # Of another Beam runner, as on a command line; "" runs here
  beam_options: str = ""
  # After how long without progress a video is given up
  stall_seconds: float = 300.0


def run(
  runner: Runner,
  what: str,
  total: int,
  elements: Sequence[Any],
  *transforms: beam.PTransform,
) -> None:
  """Applies transforms, one after the other, to all elements, in any order.

  Elements are a few thousand at most, and small. Where it runs here, progress
  of `what` with so many videos in `total` is shown. Raises BuildError where
  something in it cannot be done, or an option is not known.
  """
  options = runner.beam_options
  flags = shlex.split(options) or [
    "--runner=FnApiRunner",
    "--direct_running_mode=multi_threading",
    f"--direct_num_workers={runner.worker_count}",
  ]
  with contextlib.ExitStack() as stack:
    if not options:
      stack.enter_context(_sharing(what, total, runner.worker_count))
    try:
      parsed = pipeline_options.PipelineOptions(flags)
      with beam.Pipeline(options=parsed) as pipeline:
        work = pipeline | beam.Create(elements) | beam.Reshuffle()
        for transform in transforms:
          work |= transform
    except Exception as error:
      cause = _cause(error)
      if cause is None and not options:
        raise
      line = (str(error).splitlines() or [""])[0]
      raise BuildError(
        cause or f"--beam {options}: {type(error).__name__}: {line}"
      ) from error


@contextlib.contextmanager
def _sharing(what: str, total: int, worker_count: int) -> Iterator[None]:
  """Keeps processes and shows progress while a pipeline runs here.

  Raises BuildError where a thread met one.
  """
  global _here
  every = 1.0 if sys.stderr.isatty() else 15.0
  bar = tqdm.tqdm(desc=what, total=total, unit=" videos", mininterval=every)
  with Pool(worker_count) as pool, bar:
    _here = here = Here(pool, bar)
    try:
      yield
    finally:
      _here = None
  if here.failure is not None:
    raise here.failure


def _cause(error: BaseException) -> str | None:
  """Returns the message of the BuildError inside what Beam raised.

  Some runners hand back the text of a traceback only.
  """
  name = f"{BuildError.__name__}: "
  for line in "".join(traceback.format_exception(error)).splitlines():
    if name in line:
      return line.split(name, 1)[1].split(" [while running")[0]
  return None
