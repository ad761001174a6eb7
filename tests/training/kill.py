"""Kills a run again and again; it must end as if nobody had.

    python -m tests.training.kill --out runs/kill --processes 2 --times 20

trains once without disturbance, and once with SIGKILL at random moments, every
other time while a checkpoint is written, the others from its start on. Of two
processes one is killed, and the other must end by itself, or both at once. Now
and then all are asked to stop by SIGTERM, as schedulers do, and must end well.
A run that came to its end is followed by another one. Prints what happened.
"""

import argparse
import itertools
import os
import pathlib
import random
import shutil
import signal
import time

# Before JAX is imported, by `runs` and so by what is forked.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from tests.training.conftest import write_data
from tests.training.runs import (
  Run,
  assert_same_run,
  is_saving,
  newest,
)


def torment(
  run: Run, number: int, draw: random.Random, life: float, steps: int
) -> tuple[bool, float]:
  """Starts a run and ends it at a random moment of the first `life` seconds.

  Returns:
    Whether it was ended before it came to its end; the time, in seconds, that
    a process outlived another one.
  """
  run.start()
  if number % 2:
    # Once it trains: what a killed one was writing has been cleared away.
    alive = run.wait(
      lambda: "loss/total" in run.said(0) and is_saving(run.workdir)
    )
  else:
    end = time.monotonic() + draw.uniform(0, life)
    alive = run.wait(lambda: time.monotonic() > end)
  if not alive:
    run.finish()
    return False, 0.0
  outlived, several = 0.0, len(run.running) > 1
  # Several agree on a step to stop at; asked near the last, they end whole.
  near_end = several and newest(run.workdir) > steps - 6
  if number % 8 == 5 and not near_end:
    run.preempt()
    return True, 0.0
  victim = draw.randrange(len(run.running))
  # A process that hangs is as lost as one that is gone.
  hangs = several and number % 8 == 1
  run.running[victim].send_signal(signal.SIGSTOP if hangs else signal.SIGKILL)
  if several and number % 4 == 1:
    outlived = run.wait_others(victim)
  run.stop()
  return True, outlived


def main() -> None:
  """Compares runs that were killed with one that was not."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--out", type=pathlib.Path, required=True, help="folder, kept")
  add("--processes", type=int, default=1, choices=(1, 2, 4))
  add("--devices", type=int, default=8, help="of all processes together")
  add("--times", type=int, default=20)
  add("--steps", type=int, default=60)
  add("--seed", type=int, default=0)
  flags = parser.parse_args()
  write_data(flags.out / "data")
  whole, killed = (
    Run(
      str(flags.out / "data"),
      flags.out / str(flags.processes) / name,
      f"--config.train.length={flags.steps}",
      processes=flags.processes,
      devices=flags.devices // flags.processes,
      forked=True,
    )
    for name in ("whole", "killed")
  )
  for folder in (whole.workdir, killed.workdir):
    shutil.rmtree(folder, ignore_errors=True)
  began = time.monotonic()
  whole.start()
  whole.finish()
  life = time.monotonic() - began
  print(f"undisturbed: {life:.0f} s", flush=True)
  draw, deaths, longest, runs = random.Random(flags.seed), 0, 0.0, 0
  for number in itertools.count():
    before = newest(killed.workdir)
    ended, outlived = torment(killed, number, draw, life, flags.steps)
    deaths, longest = deaths + ended, max(longest, outlived)
    print(f"{deaths}: step {before} to {newest(killed.workdir)}", flush=True)
    if deaths < flags.times and ended:
      continue
    killed.start()
    killed.finish()
    assert_same_run(whole.workdir, killed.workdir)
    runs += 1
    print(f"run {runs}, ended {deaths} times so far: bit-identical", flush=True)
    if deaths >= flags.times:
      break
    shutil.rmtree(killed.workdir)
  print(
    f"{flags.processes} process(es), {runs} runs, ended {deaths} times: all "
    f"bit-identical; one outlived another by at most {longest:.0f} s"
  )


if __name__ == "__main__":
  main()
