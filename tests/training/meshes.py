"""The same run on every mesh and every number of processes.

    python -m tests.training.meshes --out runs/meshes

trains each task five steps and evaluates it on 1 process with 1 device, on 1
with 8 and on 2 with 4 each, over four meshes; then goes on from a checkpoint of
each mesh on each other one. It prints the largest differences. What is in the
folder already is not computed again. Takes an hour on two cores.
"""

import argparse
import itertools
import json
import pathlib
import shutil

from tests.training.conftest import write_data
from tests.training.runs import Run, assert_same_run, largest_difference

STEPS = 5
TASKS = (
  "moment_retrieval",
  "matched_moment_retrieval",
  "temporal_localization",
  "action_segmentation",
  "classification",
  "frame_tagging",
)
MESHES = ((8, 1, 1), (4, 2, 1), (2, 2, 2), (1, 1, 8))
ALONE = (1, 1, (1, 1, 1))
# Processes, devices of each, mesh.
LAYOUTS = (ALONE, *((1, 8, m) for m in MESHES), *((2, 4, m) for m in MESHES))

Layout = tuple[int, int, tuple[int, ...]]


def trained(
  out: pathlib.Path,
  task: str,
  layout: Layout,
  start: pathlib.Path | None = None,
) -> pathlib.Path:
  """The folder of a finished run, made where it is not there.

  Args:
    out: Where all runs are.
    task: Of the run.
    layout: Processes, devices and mesh.
    start: A run to go on from its last checkpoint.
  """
  processes, devices, mesh = layout
  name = "-".join(map(str, (task, processes, *mesh)))
  if start:
    name += f"-from-{start.name}"
  workdir = out / name
  if (workdir / "results/val/metrics.json").exists():
    return workdir
  if start:
    shutil.copytree(start, workdir)
    shutil.rmtree(workdir / "results")
    shutil.rmtree(workdir / "weights")
  axes = zip(("data", "fsdp", "model"), mesh, strict=True)
  run = Run(
    f"{out / 'data'},{task}",
    workdir,
    f"--config.train.length={STEPS}",
    *(f"--config.mesh.{axis}={size}" for axis, size in axes),
    processes=processes,
    devices=devices,
  )
  run.start()
  run.finish()
  return workdir


def printed(workdir: pathlib.Path) -> dict[str, str]:
  """Figures to two digits: mIoU follows the rounding of every sum."""
  values = json.loads((workdir / "results/val/metrics.json").read_text())
  numbers = {k: v for k, v in values.items() if isinstance(v, int | float)}
  return {name: f"{value:.2f}" for name, value in numbers.items()}


def main() -> None:
  """Runs all layouts and prints the differences."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
  flags = parser.parse_args()
  write_data(flags.out / "data")
  worst = (0.0, 0.0)
  for task, layout in itertools.product(flags.tasks, LAYOUTS):
    base = trained(flags.out, task, ALONE)
    other = trained(flags.out, task, layout)
    found = largest_difference(base, other)
    worst = max(worst[0], found[0]), max(worst[1], found[1])
    same = "equal" if printed(base) == printed(other) else "DIFFER"
    print(f"{other.name}: losses and weights {found}, figures {same}")
  print(f"largest of losses {worst[0]:.1e}, of weights {worst[1]:.1e}")
  for source, target in itertools.product(LAYOUTS, LAYOUTS):
    start = trained(flags.out, TASKS[0], source)
    other = trained(flags.out, TASKS[0], target, start)
    assert_same_run(start, other)
    print(f"{other.name}: restored bit-exactly", flush=True)


if __name__ == "__main__":
  main()
