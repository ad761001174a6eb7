"""What asking a video costs: python -m benchmarks.predict --export DIR VIDEO...

Prints, each beside its target,

* start-up: the command, once to compile and once more, to its first moment;
* a query on an encoded video, and 32 and 64 of them at once;
* for each VIDEO, the peak memory of the command that asks it.
"""

import argparse
import functools
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks import clock, record
from unloc_jax import Localizer
from unloc_jax.parallel.compilation_cache import keep_programs

START_SECONDS = 10.0
QUERY_MS = 50.0
# What so many queries may cost, in single ones.
BATCHES = {32: 6.0, 64: 8.0}
PEAK = "1.5 GB"
_KIB = 1024
Row = tuple[str, str, str]


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


def queries(localizer: Localizer, video: str, repeats: int) -> list[Row]:
  """The time of one and of many queries, taken in turn."""
  encoded = localizer.encode_video(video)
  sentences = [f"sentence {i}: a red circle moves" for i in range(max(BATCHES))]
  runs = [
    functools.partial(localizer.localize, encoded, sentences[:count])
    for count in (1, *BATCHES)
  ]
  taken = clock.in_turns(runs, repeats + 1)[:, 1:, 0]  # The first compiles.
  one, *many = 1e3 * np.median(taken, axis=1)
  return [
    ("one query", f"{one:.2f} ms", f"{QUERY_MS:g} ms"),
    *(
      (f"{count} queries", f"{cost:.2f} ms, {cost / one:.1f}x", f"{most:g}x")
      for cost, (count, most) in zip(many, BATCHES.items(), strict=True)
    ),
  ]


def main(argv: Sequence[str] | None = None) -> None:
  """Measures and prints."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--export", required=True, help="an exported model")
  parser.add_argument("--repeats", type=int, default=90)
  parser.add_argument("videos", nargs="+", help="the first one is asked")
  flags = parser.parse_args(argv)
  first = flags.videos[0]
  start = functools.partial(run, flags.export, first)
  cold, *warm = clock.in_turns([start], 4)[0, :, 0]
  keep_programs()
  rows = [
    ("start-up, first", f"{cold:.2f} s", ""),
    ("start-up, again", f"{np.median(warm):.2f} s", f"{START_SECONDS:g} s"),
    *queries(Localizer.from_export(flags.export), first, flags.repeats),
    *(
      (f"memory, {video}", f"{peak_gb(flags.export, video):.2f} GB", PEAK)
      for video in flags.videos
    ),
  ]
  print(record.markdown(("what", "takes", "below"), rows))


if __name__ == "__main__":
  main()
