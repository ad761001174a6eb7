"""The processes of one run: starting together, and noticing that one is lost.

A collective with a process that is gone, or hangs, never returns. So every
process keeps saying that it lives through JAX's coordination service, and one
that does not hear from another for a while says so and ends; started again,
all of them go on from the last checkpoint.
"""

import argparse
import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax

# Seconds between signs of life; seconds without one until a process is lost;
# seconds that one that has finished waits for others that live.
BEAT, LOST, PATIENCE = 5.0, 30.0, 1800.0

_KEY = "unloc_jax/alive/"
_MEETING = "unloc_jax/finished"
_FAILED = "failed"


def start(
  coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
  """Joins the other processes; None where the environment tells which.

  Raises ValueError where neither it nor the flags tell, or these do not fit
  together.
  """
  given = (coordinator, num_processes, process_id)
  if None in given and given != (None, None, None):
    raise ValueError(
      "--coordinator, --num_processes and --process_id belong together; "
      f"here they are {coordinator}, {num_processes}, {process_id}"
    )
  try:
    jax.distributed.initialize(
      coordinator,
      num_processes,
      process_id,
      _local_devices(),
      # A last resort, should `Watch` itself be stuck. JAX hears from a process
      # every half of it, so it may come in half the time after a loss.
      heartbeat_timeout_seconds=round(4 * LOST),
      shutdown_timeout_seconds=round(LOST),
    )
  except (ValueError, TypeError, RuntimeError) as error:
    raise ValueError(
      f"--distributed: {error} On Slurm, Kubernetes and TPU pods it is found "
      "by itself; elsewhere give --coordinator=HOST:PORT --num_processes=N "
      "--process_id=I"
    ) from None


def _local_devices() -> list[int] | None:
  """Devices of the host that this process sees; [] for all, None: JAX decides.

  Under Slurm JAX decides for one each, of which the others of a node would
  stay idle where a node has one process only.
  """
  if "JAX_LOCAL_DEVICE_IDS" in os.environ:
    return None
  tasks, nodes = map(os.environ.get, ("SLURM_NTASKS", "SLURM_STEP_NUM_NODES"))
  return [] if tasks and tasks == nodes else None


def add_flags(parser: argparse.ArgumentParser) -> None:
  """The flags of `joined`."""
  add = parser.add_argument
  add(
    "--distributed",
    action="store_true",
    help="one of several processes; Slurm, Kubernetes and TPU pods tell which",
  )
  add("--coordinator", help="elsewhere: HOST:PORT of process 0")
  add("--num_processes", type=int, help="elsewhere: how many there are")
  add("--process_id", type=int, help="elsewhere: which this is, from 0")


@contextlib.contextmanager
def joined(flags: argparse.Namespace) -> Iterator[None]:
  """Joins the other processes where `--distributed` says so; watches them."""
  try:
    if flags.distributed:
      start(flags.coordinator, flags.num_processes, flags.process_id)
  except ValueError as error:
    sys.exit(f"error: {' '.join(str(error).split())}")
  with Watch():
    yield


def run(command: Callable[[], None]) -> NoReturn:
  """Runs a command, and ends the process as soon as it is done.

  Taking TensorFlow and XLA down piece by piece, as Python does, took 18 s on a
  busy machine, in which a run that was to stop had long saved.
  """
  status: Any = 0
  try:
    command()
  except SystemExit as error:
    status = error.code
  if isinstance(status, str):
    print(status, file=sys.stderr)
    status = 1
  if jax.distributed.is_initialized():
    jax.distributed.shutdown()
  with contextlib.suppress(OSError):  # Nobody reads any more.
    sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status or 0)


class Watch:
  """Says that this process lives, and ends it where another does not.

  A context manager; with a lone process it does nothing. Leaving it waits for
  the others to leave, too, and goes on watching them meanwhile: JAX lets
  processes end together and aborts all where one is late. Leaving it by an
  exception ends the process at once with the exception's message, because
  others may never come to that meeting.
  """

  def __init__(self, beat: float = BEAT, lost: float = LOST):
    self._beat, self._lost = beat, lost
    self._stop = threading.Event()
    self._client: Any = None
    self._heard: dict[int, float] = {}
    self._said: dict[int, str] = {}

  def __enter__(self) -> "Watch":
    if jax.process_count() > 1:
      # Not public, as the service is not; Orbax talks to it in this way.
      from jax._src import distributed

      self._client = distributed.global_state.client
      self._heard = dict.fromkeys(range(jax.process_count()), time.monotonic())
      for task in (self._tell, self._judge):
        threading.Thread(target=task, daemon=True).start()
    return self

  def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
    if self._client is None:
      return
    if error is None or (kind is SystemExit and error.code in (None, 0)):
      # Where they do not come, JAX says so when this process ends.
      with contextlib.suppress(jax.errors.JaxRuntimeError):
        self._client.wait_at_barrier(_MEETING, round(1000 * PATIENCE))
      self._stop.set()
      return
    self._stop.set()
    if isinstance(error, SystemExit | KeyboardInterrupt):
      message = str(error) or kind.__name__
    elif isinstance(error, jax.errors.JaxRuntimeError):
      first = (str(error).splitlines() or [kind.__name__])[0]
      message = f"error: the processes lost each other ({first}); {_AGAIN}"
    else:
      message = "".join(traceback.format_exception(error))
      message += "error: this process failed, which ends the others, too"
    with contextlib.suppress(jax.errors.JaxRuntimeError):
      self._say(_FAILED)
    end(message)

  def _say(self, what: str) -> None:
    key = f"{_KEY}{jax.process_index()}"
    self._client.key_value_set(key, what, allow_overwrite=True)

  def _tell(self) -> None:
    """Says that this process lives, and hears what the others said."""
    number = 0
    while not self._stop.wait(self._beat):
      number += 1
      try:
        self._say(str(number))
        said = self._client.key_value_dir_get(_KEY)
      except jax.errors.JaxRuntimeError:
        continue  # Process 0 is out of reach: `_judge` sees that in time.
      for key, value in said:
        other = int(key.rpartition("/")[2])
        if self._said.get(other) != value:
          self._heard[other] = time.monotonic()
          self._said[other] = value

  def _judge(self) -> None:
    while not self._stop.wait(self._beat / 2):
      message = self._complaint()
      if message and not self._stop.is_set():
        end(f"error: {message}; {_AGAIN}")
        return

  def _complaint(self) -> str | None:
    """What is wrong with another process, if anything."""
    failed = [i for i, what in self._said.items() if what == _FAILED]
    if failed:
      return f"process {failed[0]} of this run failed"
    now, me = time.monotonic(), jax.process_index()
    lost = [i for i, at in self._heard.items() if now - at > self._lost]
    if not lost:
      return None
    # Without process 0, where the service is, nobody is heard.
    others = [0] if 0 in lost and me > 0 else [i for i in lost if i != me]
    return (
      f"process {', '.join(map(str, others))} of the {jax.process_count()} of "
      f"this run was not heard from for {self._lost:.0f} s: it ended, hangs or "
      "is out of reach"
    )


_AGAIN = (
  "ending this one too. Start all of them again with the same command: the "
  "run goes on from its last checkpoint"
)


def end(message: str) -> None:
  """Ends the process now, without meeting the others."""
  print(message.rstrip(), file=sys.stderr, flush=True)
  os._exit(1)
