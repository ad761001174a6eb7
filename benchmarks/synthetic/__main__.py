"""What a run learned of the embedded benchmark, beside a baseline.

    python -m benchmarks.synthetic --workdir runs/demo/seed_0/mr

Of several runs that differ in their seed it gives mean and standard deviation;
`--record NAME` keeps them, lengths of events apart. Reads what evaluation
wrote. The baseline is what a prediction scores that needs no model of the
videos: see the file of each task beside this one.
"""

import argparse
import pathlib
from collections.abc import Callable, Mapping, Sequence

from benchmarks import record
from benchmarks.synthetic import (
  classification,
  localization,
  moments,
  segmentation,
  tables,
)
from unloc_jax.task.tasks import get_task
from unloc_jax.training.checkpoints import read_config

# By `Task.metric`: the table, and the configs beside synthetic_mr.py.
TABLES: Mapping[
  str, tuple[Callable[[pathlib.Path], tables.Table], tuple[str, ...]]
] = {
  "recall": (moments.compare, ()),
  "detection": (localization.compare, ("tal",)),
  "segmentation": (segmentation.compare, ("tal", "as")),
  "classification": (classification.compare, ("tal", "cls")),
}

# And what those of runs without checkpoints depend on.
_UNTRAINED = tuple(
  f"unloc_jax/use/{name}.py" for name in ("untrained", "untrained_evaluation")
)


def keep(
  name: str,
  found: Mapping[str, Sequence[tables.Table]],
  measures: Sequence[str],
  seeds: Sequence[int],
) -> None:
  """Writes tables of splits, each of several seeds, to benchmarks/results."""
  whole = {split: tables.merged(of_seeds) for split, of_seeds in found.items()}
  runs = "runs/demo/seed_*/mr" if name == "demo" else f"runs/{name}/seed_*"
  record.write(
    name,
    f"python -m benchmarks.synthetic --workdir {runs}"
    f" --split {' '.join(found)} --record {name}",
    (*tables.MEASURES, *measures),
    next(iter(whole.values())).headers,
    [
      [f"{split}: {row[0]}", *row[1:]]
      for split, one in whole.items()
      for row in one.rows
      if not row[0].endswith(tables.OF_LENGTH)
    ],
    seeds,
  )


def main(argv: Sequence[str] | None = None) -> None:
  """Prints a table per split."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument(
    "--workdir", required=True, nargs="+", type=pathlib.Path, help="run(s)"
  )
  parser.add_argument("--split", nargs="+", help="by default the config's")
  parser.add_argument("--record", help="keep the figures under this name")
  flags = parser.parse_args(argv)
  configs = [read_config(str(run)) for run in flags.workdir]
  config = configs[0]
  compare, parts = TABLES[get_task(config.task).metric]
  splits = flags.split or config.eval.splits
  found = {
    split: [compare(run / "results" / split) for run in flags.workdir]
    for split in splits
  }
  for of_seeds in found.values():
    print(tables.render(of_seeds), end="\n\n")
  if flags.record:
    measures = [f"configs/synthetic_{part}.py" for part in parts]
    if not (flags.workdir[0] / "checkpoints").exists():
      measures += _UNTRAINED
    keep(flags.record, found, measures, [int(c.seed) for c in configs])
  drawn = flags.workdir[0] / "results" / splits[-1]
  pictures = sorted(drawn.glob("timeline_*.png"))
  if pictures:
    print(f"{len(pictures)} timelines per split, such as {pictures[0]}")


if __name__ == "__main__":
  main()
