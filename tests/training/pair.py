"""Processes of one run on this machine, each with virtual CPU devices."""

import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).parent.parent.parent
# Values, not speed, are looked at.
_CHEAP = (
  "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


def free_port() -> int:
  with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    return found.getsockname()[1]


def spawn(
  command: Sequence[str],
  processes: int,
  devices: int,
  logs: pathlib.Path,
) -> list[subprocess.Popen]:
  """Starts `python -m COMMAND` once a process, with the flags of several.

  Args:
    command: Module and arguments.
    processes: How many.
    devices: Of each.
    logs: Folder of what they say, in PROCESS.txt.
  """
  logs.mkdir(parents=True, exist_ok=True)
  environment = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "XLA_FLAGS": f"{_CHEAP} --xla_force_host_platform_device_count={devices}",
  }
  port = free_port()
  started = []
  for number in range(processes):
    flags = []
    if processes > 1:
      flags = [
        "--distributed",
        f"--coordinator=127.0.0.1:{port}",
        f"--num_processes={processes}",
        f"--process_id={number}",
      ]
    with (logs / f"{number}.txt").open("w") as log:
      started.append(
        subprocess.Popen(
          [sys.executable, "-m", *command, *flags],
          cwd=ROOT,
          env=environment,
          stdout=log,
          stderr=subprocess.STDOUT,
        )
      )
  return started


def finish(
  started: Sequence[subprocess.Popen], logs: pathlib.Path, seconds: float
) -> None:
  """Waits for all of them.

  Raises:
    RuntimeError: One failed or took too long; with what it said.
  """
  try:
    codes = [process.wait(seconds) for process in started]
  except subprocess.TimeoutExpired:
    codes = [process.poll() for process in started]
  finally:
    for process in started:
      process.kill()
      process.wait()
  if any(code != 0 for code in codes):
    said = "\n".join(
      f"--- {path.name}\n{path.read_text()[-3000:]}"
      for path in sorted(logs.glob("*.txt"))
    )
    raise RuntimeError(f"exit codes {codes}\n{said}")
