"""Kills a run again and again; it must end as if nobody had.

    python -m tests.training.kill --out runs/kill --processes 2 --times 20

trains once without disturbance and once with SIGKILL at random moments, every
other time while a checkpoint is written. Of two processes one is killed, and
the other must end by itself, or both at once. Now and then all are asked to
stop by SIGTERM, as schedulers do, and must end well. Prints what happened.
"""

import argparse
import pathlib
import random
import signal
import subprocess
import time

from tests import tiny_data
from tests.training import pair
from tests.training.runs import assert_same_run

# The last sign of a lost process may be this old when the others end.
BOUND = 60.0


def write_data(out: pathlib.Path) -> pathlib.Path:
  path = out / "data" / "tiny" / "1.0.0"
  if not path.exists():
    videos = [tiny_data.caption_video(i) for i in range(10)]
    tiny_data.write(out / "data", {"train": videos, "val": videos[:5]})
  return path


class Run:
  """A run of some processes, which can be started again.

  Args:
    data: Folder of the dataset.
    workdir: Of the run.
    processes: How many; they share 8 devices.
    steps: Of the whole run.
  """

  def __init__(
    self, data: pathlib.Path, workdir: pathlib.Path, processes: int, steps: int
  ):
    self.workdir, self.logs = workdir, workdir.with_suffix(".logs")
    self.running: list[subprocess.Popen] = []
    self._count = processes
    self._command = [
      "unloc_jax.main",
      f"--config=tests/training/tiny_run.py:{data}",
      f"--workdir={workdir}",
      f"--config.train.length={steps}",
    ]

  def start(self) -> None:
    self.running = pair.spawn(
      self._command, self._count, 8 // self._count, self.logs
    )

  def stop(self) -> None:
    """Ends what still runs."""
    for process in self.running:
      process.kill()
      process.wait()

  def finish(self) -> None:
    pair.finish(self.running, self.logs, 3600)

  def preempt(self) -> None:
    """Asks all processes to stop; they must save, say so and end well."""
    for process in self.running:
      process.send_signal(signal.SIGTERM)
    self.finish()
    assert "the same command goes on from there" in self.said(0), self.said(0)

  def said(self, number: int) -> str:
    return (self.logs / f"{number}.txt").read_text()

  def newest(self) -> int:
    """Step of the newest checkpoint; 0 where there is none."""
    names = [p.name for p in self.workdir.glob("checkpoints/*")]
    return max((int(name) for name in names if name.isdigit()), default=0)

  def is_saving(self) -> bool:
    return any(self.workdir.glob("checkpoints/*.orbax-checkpoint-tmp*"))

  def wait(self, condition, seconds: float = 600.0) -> bool:
    """Waits for a condition; False where a process ended before."""
    end = time.monotonic() + seconds
    while not condition():
      if any(process.poll() is not None for process in self.running):
        return False
      if time.monotonic() > end:
        raise TimeoutError(f"{self.workdir}: {self.said(0)[-2000:]}")
      time.sleep(0.002)
    return True

  def wait_others(self, lost: int) -> float:
    """Seconds until all but a lost process ended by themselves.

    Raises:
      AssertionError: They did not within the bound, or without a message.
    """
    begin = time.monotonic()
    for number, process in enumerate(self.running):
      if number != lost:
        assert process.wait(BOUND) != 0
        assert "error: " in self.said(number), self.said(number)
    return time.monotonic() - begin


def torment(run: Run, times: int, draw: random.Random) -> tuple[int, float]:
  """Starts and kills a run.

  Returns:
    How often it was ended before it came to its end; the longest time, in
    seconds, that a process outlived another one.
  """
  longest = 0.0
  for number in range(times):
    before = run.newest()
    run.start()
    alive = run.wait(lambda before=before: run.newest() > before)
    if alive and number % 2:
      alive = run.wait(run.is_saving)
    elif alive:
      time.sleep(draw.uniform(0, 1))
    if not alive:
      run.finish()
      return number, longest
    if number % 8 == 4:
      run.preempt()
      print(f"stopped after checkpoint {run.newest()}", flush=True)
      continue
    victim = draw.randrange(len(run.running))
    # A process that hangs is as lost as one that is gone.
    hangs = number % 8 == 1 and len(run.running) > 1
    run.running[victim].send_signal(signal.SIGSTOP if hangs else signal.SIGKILL)
    if len(run.running) > 1 and number % 4 < 2:
      longest = max(longest, run.wait_others(victim))
    run.stop()
    print(f"killed after checkpoint {run.newest()}", flush=True)
  return times, longest


def main() -> None:
  """Compares the two runs."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--out", type=pathlib.Path, required=True, help="folder, kept")
  add("--processes", type=int, default=1, choices=(1, 2, 4))
  add("--times", type=int, default=20)
  add("--steps", type=int, default=200)
  add("--seed", type=int, default=0)
  flags = parser.parse_args()
  data = write_data(flags.out)
  folder = flags.out / str(flags.processes)
  whole = Run(data, folder / "whole", flags.processes, flags.steps)
  if whole.newest() < flags.steps:
    whole.start()
    whole.finish()
  killed = Run(data, folder / "killed", flags.processes, flags.steps)
  deaths, longest = torment(killed, flags.times, random.Random(flags.seed))
  killed.start()
  killed.finish()
  assert_same_run(whole.workdir, killed.workdir)
  print(
    f"{flags.processes} process(es), ended {deaths} times: bit-identical; "
    f"a process outlived another one by at most {longest:.0f} s"
  )


if __name__ == "__main__":
  main()
