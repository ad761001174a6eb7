"""Runs in processes of their own, and what a run left behind."""

import multiprocessing
import multiprocessing.context
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from unloc_jax import main
from unloc_jax.parallel import processes
from unloc_jax.results.drawing.curves import logged
from unloc_jax.weights.folder import load_weights

ROOT = pathlib.Path(__file__).parent.parent.parent
# Values, not speed, are looked at.
_CHEAP = (
  "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
  "--xla_cpu_use_fusion_emitters=false"
)
# The last sign of a lost process may be this old when the others end, seconds.
BOUND = 60.0


class Run:
  """A run of some processes, which can be started again.

  Args:
    config: Argument of tests/training/tiny_run.py.
    workdir: Of the run; what the processes say goes to WORKDIR.logs.
    flags: Further ones.
    processes: How many.
    devices: Of each.
    forked: From a process that has imported everything already.
  """

  def __init__(
    self,
    config: str,
    workdir: pathlib.Path,
    *flags: str,
    processes: int = 1,
    devices: int = 8,
    forked: bool = False,
  ):
    self.workdir, self.logs = workdir, workdir.with_suffix(".logs")
    self.running: list[subprocess.Popen[bytes] | Forked] = []
    self._count, self._devices, self._forked = processes, devices, forked
    self._flags = (
      f"--config=tests/training/tiny_run.py:{config}",
      f"--workdir={workdir}",
      *flags,
    )

  def start(self) -> None:
    """Starts the command once a process."""
    self.logs.mkdir(parents=True, exist_ok=True)
    host = f"--xla_force_host_platform_device_count={self._devices}"
    environment = {
      **os.environ,
      "JAX_PLATFORMS": "cpu",
      "TF_CPP_MIN_LOG_LEVEL": "3",
      "XLA_FLAGS": f"{_CHEAP} {host}",
    }
    with socket.socket() as found:
      found.bind(("127.0.0.1", 0))
      coordinator = f"--coordinator=127.0.0.1:{found.getsockname()[1]}"
    together = ("--distributed", coordinator, f"--num_processes={self._count}")
    command = [sys.executable, "-m", "unloc_jax.main", *self._flags]
    self.running = []
    for number in range(self._count):
      flags = (*together, f"--process_id={number}") if self._count > 1 else ()
      if self._forked:
        log = self.logs / f"{number}.txt"
        log.write_text("")
        self.running.append(Forked((*self._flags, *flags), environment, log))
        continue
      with (self.logs / f"{number}.txt").open("w") as log:
        self.running.append(
          subprocess.Popen(
            [*command, *flags],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
          )
        )

  def stop(self) -> None:
    """Ends what still runs."""
    for process in self.running:
      process.kill()
      process.wait()

  def finish(self, seconds: float = 3600) -> None:
    """Waits for all processes; what they said is raised where one failed."""
    try:
      codes = [process.wait(seconds) for process in self.running]
    finally:
      self.stop()
    said = "\n".join(map(self.said, range(self._count)))
    assert not any(codes), f"exit codes {codes}\n{said[-3000:]}"

  def preempt(self) -> None:
    """Asks all processes to stop; they must save, say so and end well."""
    for process in self.running:
      process.send_signal(signal.SIGTERM)
    self.finish()
    assert "the same command goes on from there" in self.said(0), self.said(0)

  def said(self, number: int) -> str:
    """What a process said since it was started."""
    return (self.logs / f"{number}.txt").read_text()

  def wait(self, condition: Callable[[], bool], seconds: float = 600) -> bool:
    """Waits for a condition; False where a process ended before."""
    return wait(
      condition,
      lambda: all(process.poll() is None for process in self.running),
      seconds,
    )

  def wait_others(self, lost: int) -> float:
    """Seconds until all but a lost process ended by themselves, in a line."""
    begin = time.monotonic()
    for number, process in enumerate(self.running):
      if number != lost:
        assert process.wait(BOUND) != 0
        assert "error: " in self.said(number), self.said(number)
    return time.monotonic() - begin


def forkserver() -> multiprocessing.context.ForkServerContext:
  """Starts processes that have imported everything already."""
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(["tests.training.conftest"])
  return context


class Forked:
  """A command in a process that starts in a fraction of the time.

  Speaks as `subprocess.Popen` does.
  """

  def __init__(
    self, flags: Sequence[str], environment: dict[str, str], log: pathlib.Path
  ):
    # XLA reads it when the first array is made, which is in the fork.
    self._process = forkserver().Process(
      target=_command, args=(flags, environment, log), daemon=True
    )
    self._process.start()

  def poll(self) -> int | None:
    return self._process.exitcode

  def wait(self, timeout: float | None = None) -> int:
    self._process.join(timeout)
    if self._process.exitcode is None:
      raise subprocess.TimeoutExpired("unloc_jax.main", timeout or 0)
    return self._process.exitcode

  def send_signal(self, number: int) -> None:
    os.kill(self._process.pid or 0, number)

  def kill(self) -> None:
    self._process.kill()


def _command(
  flags: Sequence[str], environment: dict[str, str], log: pathlib.Path
) -> None:
  os.environ.update(environment)
  os.chdir(ROOT)
  to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
  os.dup2(to, 1)
  os.dup2(to, 2)
  processes.run(lambda: main.main(flags))


def wait(
  condition: Callable[[], bool], lives: Callable[[], bool], seconds: float
) -> bool:
  """Waits for a condition; False where what should bring it about ended."""
  end = time.monotonic() + seconds
  while not condition():
    if not lives():
      return False
    if time.monotonic() > end:
      raise TimeoutError("the run made no checkpoint")
    time.sleep(0.01)
  return True


def newest(workdir: pathlib.Path) -> int:
  """Step of the newest checkpoint; 0 where there is none."""
  names = [p.name for p in workdir.glob("checkpoints/*")]
  return max((int(name) for name in names if name.isdigit()), default=0)


def is_saving(workdir: pathlib.Path) -> bool:
  """Whether a checkpoint is being written, or a run died while it was."""
  return any(workdir.glob("checkpoints/*.orbax-checkpoint-tmp*"))


def losses(workdir: pathlib.Path) -> dict[str, dict[int, float]]:
  """Of every step."""
  return {k: v for k, v in logged(workdir).items() if k.startswith("loss/")}


def final_params(workdir: pathlib.Path) -> dict[str, np.ndarray]:
  """The weights a finished run wrote."""
  return load_weights(str(workdir / "weights")).params


def largest_difference(
  one: pathlib.Path, other: pathlib.Path
) -> tuple[float, float]:
  """Of the losses and of the weights of two runs.

  Relative where values are larger than 1.
  """
  worst = []
  for read in (losses, final_params):
    first, second = read(one), read(other)
    assert first.keys() == second.keys()
    differences = [0.0]
    for name, value in first.items():
      a, b = value, second[name]
      if isinstance(a, dict):
        assert a.keys() == b.keys(), name
        a, b = (np.array([x[step] for step in sorted(a)]) for x in (a, b))
      error = np.abs(a - b) / np.maximum(1, np.abs(a))
      differences.append(float(error.max()))
    worst.append(max(differences))
  return worst[0], worst[1]


def assert_same_run(one: pathlib.Path, other: pathlib.Path) -> None:
  """Bit-identical parameters and the same logged losses."""
  assert losses(one)
  assert largest_difference(one, other) == (0.0, 0.0)
