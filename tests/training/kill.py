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
import time

from tests.training.conftest import write_data
from tests.training.runs import Run, assert_same_run, is_saving, newest


def torment(run: Run, times: int, draw: random.Random) -> tuple[int, float]:
  """Starts and kills a run.

  Returns:
    How often it was ended before it came to its end; the longest time, in
    seconds, that a process outlived another one.
  """
  longest = 0.0
  for number in range(times):
    before = newest(run.workdir)
    run.start()
    alive = run.wait(lambda before=before: newest(run.workdir) > before)
    if alive and number % 2:
      alive = run.wait(lambda: is_saving(run.workdir))
    elif alive:
      time.sleep(draw.uniform(0, 1))
    if not alive:
      run.finish()
      return number, longest
    if number % 8 == 4:
      run.preempt()
      print(f"stopped after checkpoint {newest(run.workdir)}", flush=True)
      continue
    victim = draw.randrange(len(run.running))
    # A process that hangs is as lost as one that is gone.
    hangs = number % 8 == 1 and len(run.running) > 1
    run.running[victim].send_signal(signal.SIGSTOP if hangs else signal.SIGKILL)
    if len(run.running) > 1 and number % 4 < 2:
      longest = max(longest, run.wait_others(victim))
    run.stop()
    print(f"killed after checkpoint {newest(run.workdir)}", flush=True)
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
  write_data(flags.out / "data")
  whole, killed = (
    Run(
      str(flags.out / "data"),
      flags.out / str(flags.processes) / name,
      f"--config.train.length={flags.steps}",
      processes=flags.processes,
      devices=8 // flags.processes,
    )
    for name in ("whole", "killed")
  )
  if newest(whole.workdir) < flags.steps:
    whole.start()
    whole.finish()
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
