"""The one Beam pipeline: shards in, TFRecord files out.

Workers write to the folder they share and hand nothing back, so that the same
pipeline runs in threads here and on machines elsewhere, and memory does not
grow with the data.
"""

import contextlib
import logging
import pickle
import secrets
import shlex
import zlib
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.options import pipeline_options

from data_preprocessing import shard, workers
from data_preprocessing.jobs import BuildError, ShardJob

# Pools of this process, by token: a DoFn is copied before it runs, and a pool
# of processes cannot be.
_POOLS: dict[str, workers.Pool] = {}


class WriteShard(beam.DoFn):
  """Writes one shard; in a local pool if there is one, else right here."""

  def __init__(self, token: str):
    """Names the local pool, or "" for a runner with machines of its own."""
    super().__init__()
    self._token = token

  def process(self, packed: bytes) -> Iterator[str]:
    """Yields the shard's name when it is complete."""
    job = _unpack(packed)
    if self._token:
      _POOLS[self._token].write(job)
    else:
      shard.write_shard(job, lambda: None)
    yield job.stem


def _pack(job: ShardJob) -> bytes:
  """A job as bytes: runners copy elements often, and annotations are many."""
  return zlib.compress(pickle.dumps(job), 1)


def _unpack(packed: bytes) -> ShardJob:
  # Only ever what `_pack` made, in this very pipeline.
  return pickle.loads(zlib.decompress(packed))


def run(
  jobs: Sequence[ShardJob],
  worker_count: int,
  options: str,
  stall_seconds: float,
) -> None:
  """Writes all shards.

  Args:
    jobs: The shards.
    worker_count: Local worker processes.
    options: Beam pipeline options, as on a command line; "" runs here.
    stall_seconds: After how long without progress a video is given up.

  Raises:
    BuildError: A shard cannot be written, or an option is not known.
  """
  flags = shlex.split(options)
  token = "" if flags else secrets.token_hex(8)
  if not flags:
    flags = [
      "--runner=FnApiRunner",
      "--direct_running_mode=multi_threading",
      f"--direct_num_workers={worker_count}",
    ]
  with _quiet(), _pool(token, worker_count, stall_seconds) as pool:
    try:
      parsed = pipeline_options.PipelineOptions(flags)
      with beam.Pipeline(options=parsed) as pipeline:
        _ = (
          pipeline
          | "Shards" >> beam.Create([_pack(job) for job in jobs])
          | "Spread" >> beam.Reshuffle()
          | "Write" >> beam.ParDo(WriteShard(token))
        )
    except Exception as error:
      cause = _cause(error)
      if cause is None and token:
        raise
      line = (str(error).splitlines() or [""])[0]
      raise BuildError(
        cause or f"--beam {options}: {type(error).__name__}: {line}"
      ) from error
    if pool is not None and pool.failure is not None:
      raise pool.failure


@contextlib.contextmanager
def _pool(
  token: str, count: int, stall_seconds: float
) -> Iterator[workers.Pool | None]:
  """Keeps a pool of workers while the pipeline runs."""
  if not token:
    yield None
    return
  _POOLS[token] = workers.Pool(count, stall_seconds)
  try:
    yield _POOLS[token]
  finally:
    _POOLS.pop(token).close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps Beam from printing the tracebacks of errors we explain ourselves."""
  logger = logging.getLogger("apache_beam")
  before = logger.level
  logger.setLevel(logging.CRITICAL)
  try:
    yield
  finally:
    logger.setLevel(before)


def _cause(error: BaseException) -> str | None:
  """Returns the message of the BuildError inside what Beam raised."""
  seen: BaseException | None = error
  while seen is not None:
    if isinstance(seen, BuildError):
      return str(seen)
    seen = seen.__cause__ or seen.__context__
  # Some runners hand back the text of a traceback only.
  name = f"{BuildError.__name__}: "
  for line in str(error).splitlines():
    if name in line:
      return line.split(name, 1)[1].split(" [while running")[0]
  return None
