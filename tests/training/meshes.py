"""The same run on every mesh and every number of processes.

    python -m tests.training.meshes --out runs/meshes

trains each task five steps and evaluates it on 1 process with 1 device, on 1
with 8 and on 2 with 4 each, over four meshes; then restores each checkpoint
onto each mesh. It prints the largest differences. What is in the folder
already is not computed again. Takes tens of minutes on two cores.
"""

import argparse
import itertools
import json
import pathlib

import jax
import numpy as np

from tests import tiny_data
from tests.training import pair
from tests.training.conftest import task_config
from unloc_jax.data import pipeline
from unloc_jax.data.class_texts import class_texts
from unloc_jax.parallel import processes, sharding
from unloc_jax.training import checkpoints, state
from unloc_jax.training import loop as train
from unloc_jax.training import step as train_step
from unloc_jax.training.evaluation import Evaluator

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
# Name: processes, devices of each, meshes.
LAYOUTS = {
  "1x1": (1, 1, ((1, 1, 1),)),
  "1x8": (1, 8, MESHES),
  "2x4": (2, 4, MESHES),
}
# Whose checkpoints are restored everywhere.
_RESTORED = TASKS[0]


def write_data(out: pathlib.Path) -> None:
  """Eight and five tiny videos, with captions and with classes."""
  makers = {
    "captions": tiny_data.caption_video,
    "classes": tiny_data.class_video,
  }
  for name, make in makers.items():
    if not (out / name).exists():
      splits = {
        "train": [make(i) for i in range(8)],
        "val": [make(i) for i in range(5)],
      }
      tiny_data.write(
        out / name, splits, tiny_data.CLASSES if name == "classes" else ()
      )


def run_config(task: str, mesh: tuple[int, ...], out: pathlib.Path):
  """The tiny config of a task over a mesh."""
  folders = (out / name / "tiny" / "1.0.0" for name in ("captions", "classes"))
  config = task_config(task, *folders)
  # AdamW would blow the rounding of a gradient of zero up to its rate.
  config.optimizer.name, config.optimizer.rates = "sgd", (("", 0.1),)
  for axis, size in zip(sharding.MESH_AXES, mesh, strict=True):
    config.mesh[axis] = size
  return config.lock()


def name_of(task: str, mesh: tuple[int, ...]) -> str:
  return "-".join([task, *map(str, mesh)])


def run(task: str, mesh_shape: tuple[int, ...], out: pathlib.Path, layout: str):
  """Trains, evaluates and keeps losses, parameters, figures, checkpoint."""
  path = out / layout / f"{name_of(task, mesh_shape)}.npz"
  if path.exists():
    return
  config = run_config(task, mesh_shape, out)
  parts = state.Parts.from_config(config)
  mesh = sharding.make_mesh(config.mesh)
  train_step.check_sizes(parts, mesh)
  optimizer = train.make_optimizer(parts, STEPS, 1.0)
  now = state.init_state(parts, optimizer, mesh)
  step = train_step.compile_train_step(parts, optimizer, mesh, now)
  size = config.train.batch_size
  batches = pipeline.make_train(
    config,
    batch_size=size,
    seed=0,
    rows=sharding.local_rows(mesh, size),
  )
  prompts = None
  if parts.task.texts == "classes":
    prompts = class_texts(config, batches.split.classes)
  losses: dict[str, list[float]] = {}
  for _ in range(STEPS):
    sharded = sharding.shard_batch(next(batches), mesh, size)
    now, metrics = step(now, sharded, prompts)
    for name, value in metrics.items():
      losses.setdefault(name, []).append(float(value))
  workdir = out / layout / f"{name_of(task, mesh_shape)}"
  report = Evaluator(parts, mesh, str(workdir)).run(now.params, "val")
  if task == _RESTORED:
    there = checkpoints.Checkpoints(str(workdir), config)
    there.save(now)
    there.close()
  whole = sharding.gather(flat(now), mesh)
  if jax.process_index() == 0:
    figures = {"metrics": report.metrics, "losses": losses}
    path.with_suffix(".json").write_text(json.dumps(figures))
    beside = path.with_suffix(".tmp")
    with beside.open("wb") as file:
      np.savez(file, **whole)
    beside.rename(path)


def flat(now: state.TrainState) -> dict[str, jax.Array]:
  leaves = jax.tree_util.tree_leaves_with_path(now)
  return {sharding.path_name(path): leaf for path, leaf in leaves}


def restore(out: pathlib.Path, layout: str) -> int:
  """Restores every checkpoint of the task onto every mesh of this layout.

  Returns:
    How many there were; all of them bit-exactly.
  """
  count = 0
  for mesh_shape in LAYOUTS[layout][2]:
    config = run_config(_RESTORED, mesh_shape, out)
    parts = state.Parts.from_config(config)
    mesh = sharding.make_mesh(config.mesh)
    optimizer = train.make_optimizer(parts, STEPS, 1.0)
    like = state.placed_shapes(parts, optimizer, mesh)
    for path in sorted(out.glob(f"*/{_RESTORED}-*.npz")):
      there = checkpoints.Checkpoints(str(path.with_suffix("")), config)
      found = there.restore(like)
      there.close()
      assert jax.tree.map(lambda x: x.sharding, found) == jax.tree.map(
        lambda x: x.sharding, like
      )
      whole = sharding.gather(flat(found), mesh)
      with np.load(path, allow_pickle=False) as kept:
        assert set(kept.files) == set(whole)
        for name in kept.files:
          np.testing.assert_array_equal(whole[name], kept[name], err_msg=name)
      count += 1
  return count


def work(flags: argparse.Namespace) -> None:
  """What one process of a layout does."""
  processes.start_from(flags)
  with processes.Watch(lost=300.0):
    for task, mesh in itertools.product(flags.tasks, flags.meshes):
      run(task, mesh, flags.out, flags.layout)
      print(flags.layout, name_of(task, mesh), flush=True)
    if flags.restore:
      count = restore(flags.out, flags.layout)
      if jax.process_index() == 0:
        (flags.out / flags.layout / "restored.txt").write_text(f"{count}\n")


def compare(one: pathlib.Path, other: pathlib.Path) -> tuple[float, float, str]:
  """Largest differences of losses and of parameters; whether figures agree.

  Differences are relative where values are larger than 1. Figures agree when
  they are printed the same, to two digits: mIoU follows the segments, and so
  the rounding of every sum.
  """
  figures, losses = {}, {}
  for path in (one, other):
    kept = json.loads(path.with_suffix(".json").read_text())
    figures[path], losses[path] = kept["metrics"], kept["losses"]
  with np.load(one) as first, np.load(other) as second:
    arrays = _difference(dict(first), dict(second))
  same = "DIFFER"
  if figures[one] == figures[other]:
    same = "equal"
  elif _printed(figures[one]) == _printed(figures[other]):
    same = "equal as printed"
  return _difference(losses[one], losses[other]), arrays, same


def _difference(one: dict, other: dict) -> float:
  assert set(one) == set(other)
  return max(
    float(np.max(np.abs(np.subtract(other[k], v)) / np.maximum(1, np.abs(v))))
    for k, v in one.items()
  )


def _printed(figures: dict) -> list[str]:
  return [f"{value:.2f}" for value in jax.tree.leaves(figures)]


def _mesh(text: str) -> tuple[int, ...]:
  return tuple(map(int, text.split(",")))


def _flags() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--out", type=pathlib.Path, required=True, help="folder, kept")
  add("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
  add("--layouts", nargs="+", default=list(LAYOUTS), choices=list(LAYOUTS))
  add("--layout", help=argparse.SUPPRESS)
  add("--meshes", nargs="*", type=_mesh, help=argparse.SUPPRESS)
  add("--restore", action="store_true", help=argparse.SUPPRESS)
  processes.add_flags(parser)
  return parser.parse_args()


def start(layout: str, tasks, meshes, out: pathlib.Path, *more: str) -> None:
  """Runs a layout in processes of its own.

  Raises:
    RuntimeError: One of them failed.
  """
  number, devices, _ = LAYOUTS[layout]
  logs = out / layout / "logs"
  command = [
    "tests.training.meshes",
    f"--out={out}",
    f"--layout={layout}",
    "--tasks",
    *tasks,
    "--meshes",
    *(",".join(map(str, mesh)) for mesh in meshes),
    *more,
  ]
  pair.finish(pair.spawn(command, number, devices, logs), logs, 7200)


def main() -> None:
  """Runs all layouts and prints the differences."""
  flags = _flags()
  if flags.layout:
    work(flags)
    return
  write_data(flags.out)
  for layout in flags.layouts:
    start(layout, flags.tasks, LAYOUTS[layout][2], flags.out)
  worst = [0.0, 0.0]
  for task, layout in itertools.product(flags.tasks, flags.layouts):
    base = flags.out / "1x1" / f"{name_of(task, (1, 1, 1))}.npz"
    for mesh in LAYOUTS[layout][2]:
      path = flags.out / layout / f"{name_of(task, mesh)}.npz"
      losses, arrays, same = compare(base, path)
      worst = [max(worst[0], losses), max(worst[1], arrays)]
      print(
        f"{layout} {name_of(task, mesh)}: losses {losses:.1e} "
        f"parameters {arrays:.1e} figures {same}"
      )
  print(f"largest: losses {worst[0]:.1e} parameters {worst[1]:.1e}")
  if _RESTORED in flags.tasks:
    for layout in flags.layouts:
      start(layout, [_RESTORED], (), flags.out, "--restore")
      count = (flags.out / layout / "restored.txt").read_text().strip()
      print(f"{layout}: {count} checkpoints restored bit-exactly")


if __name__ == "__main__":
  main()
