"""What asking a video costs: python -m benchmarks.predict --export DIR VIDEO...

Prints, each beside its target,

* start-up: the command, once to compile and once more, to its first moment;
* a query on an encoded video, and 32 and 64 of them at once;
* for each VIDEO, the peak memory of the command that asks it.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from unloc_jax import Localizer
from unloc_jax.parallel.compilation_cache import keep_programs

START_SECONDS = 10.0
QUERY_MS = 50.0
# What so many queries may cost, in single ones.
BATCHES = {32: 6.0, 64: 8.0}
PEAK_GB = 1.5
_KIB = 1024


def seconds(action: Callable[[], object]) -> float:
  """Time of one call."""
  start = time.perf_counter()
  action()
  return time.perf_counter() - start


def run(export: str, video: str, *within: str) -> str:
  """Asks a video a sentence by the command; returns what it prints."""
  start = [sys.executable, "-m", "unloc_jax.predict", "--format", "jsonl"]
  asked = ["--video", video, "--query", "a red circle moves"]
  command = [*within, *start, "--export", export, *asked]
  done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
  return done.stdout


def peak_gb(export: str, video: str) -> float:
  """Peak memory of the command, of a process of its own that measures it."""
  code = (
    "import resource, subprocess, sys\n"
    "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
  )
  return int(run(export, video, sys.executable, "-c", code)) * _KIB / 1e9


def queries(localizer: Localizer, video: str, repeats: int) -> None:
  """Prints the time of one and of many queries, taken in turn."""
  encoded = localizer.encode_video(video)
  sentences = [f"sentence {i}: a red circle moves" for i in range(max(BATCHES))]

  def ask(count: int) -> None:
    localizer.localize(encoded, sentences[:count])

  taken: dict[int, list[float]] = {count: [] for count in (1, *BATCHES)}
  for count in taken:
    ask(count)  # Compiles.
  for _ in range(repeats):
    for count, times in taken.items():
      times += [seconds(lambda n=count: ask(n)) for _ in range(3)]
  cost = {count: 1e3 * statistics.median(taken[count]) for count in taken}
  print(f"one query         {cost[1]:8.2f} ms  (below {QUERY_MS:g})")
  for count, most in BATCHES.items():
    print(
      f"{count} queries        {cost[count]:8.2f} ms  "
      f"{cost[count] / cost[1]:.1f}x (below {most:g}x)"
    )


def main(argv: Sequence[str] | None = None) -> None:
  """Measures and prints."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--export", required=True, help="an exported model")
  parser.add_argument("--repeats", type=int, default=30)
  parser.add_argument("videos", nargs="+", help="the first one is asked")
  flags = parser.parse_args(argv)
  first = flags.videos[0]
  cold = seconds(lambda: run(flags.export, first))
  warm = statistics.median(
    seconds(lambda: run(flags.export, first)) for _ in range(3)
  )
  print(f"start-up, first   {cold:8.2f} s")
  print(f"start-up, again   {warm:8.2f} s   (below {START_SECONDS:g})")
  keep_programs()
  queries(Localizer.from_export(flags.export), first, flags.repeats)
  for video in flags.videos:
    print(
      f"peak memory       {peak_gb(flags.export, video):8.2f} GB  "
      f"(below {PEAK_GB:g}) {video}"
    )


if __name__ == "__main__":
  main()
