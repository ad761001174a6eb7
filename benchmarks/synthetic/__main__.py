"""What a run learned of the embedded benchmark, beside a baseline.

    python -m benchmarks.synthetic --workdir runs/demo/seed_0/mr

Of several runs that differ in their seed it gives mean and standard deviation.
Reads what evaluation wrote. The baseline is what a prediction scores that
needs no model of the videos: see the file of each task beside this one.
"""

import argparse
import pathlib
from collections.abc import Callable, Mapping, Sequence

from benchmarks.synthetic import (
  classification,
  localization,
  moments,
  segmentation,
  tables,
)
from unloc_jax.task.tasks import get_task
from unloc_jax.training.checkpoints import read_config

# By `Task.metric`.
TABLES: Mapping[str, Callable[[pathlib.Path], tables.Table]] = {
  "recall": moments.compare,
  "detection": localization.compare,
  "segmentation": segmentation.compare,
  "classification": classification.compare,
}


def main(argv: Sequence[str] | None = None) -> None:
  """Prints a table per split."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument(
    "--workdir", required=True, nargs="+", type=pathlib.Path, help="run(s)"
  )
  parser.add_argument("--split", nargs="+", help="by default the config's")
  flags = parser.parse_args(argv)
  config = read_config(str(flags.workdir[0]))
  compare = TABLES[get_task(config.task).metric]
  splits = flags.split or config.eval.splits
  for split in splits:
    of_seeds = [compare(run / "results" / split) for run in flags.workdir]
    print(tables.render(of_seeds), end="\n\n")
  drawn = flags.workdir[0] / "results" / splits[-1]
  pictures = sorted(drawn.glob("timeline_*.png"))
  if pictures:
    print(f"{len(pictures)} timelines per split, such as {pictures[0]}")


if __name__ == "__main__":
  main()
