"""What a run learned of the embedded benchmark, beside a baseline.

    python -m benchmarks.synthetic --workdir runs/demo/seed_0/mr

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
)
from unloc_jax.checkpoints import read_config
from unloc_jax.tasks import get_task

# By `Task.metric`.
TABLES: Mapping[str, Callable[[pathlib.Path], str]] = {
  "recall": moments.compare,
  "detection": localization.compare,
  "segmentation": segmentation.compare,
  "classification": classification.compare,
}


def main(argv: Sequence[str] | None = None) -> None:
  """Prints a table per split."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--workdir", required=True, type=pathlib.Path)
  parser.add_argument("--split", nargs="+", help="by default the config's")
  flags = parser.parse_args(argv)
  config = read_config(str(flags.workdir))
  compare = TABLES[get_task(config.task).metric]
  results = flags.workdir / "results"
  splits = flags.split or config.eval.splits
  for split in splits:
    print(compare(results / split), end="\n\n")
  pictures = sorted((results / splits[-1]).glob("timeline_*.png"))
  if pictures:
    print(f"{len(pictures)} timelines per split, such as {pictures[0]}")


if __name__ == "__main__":
  main()
