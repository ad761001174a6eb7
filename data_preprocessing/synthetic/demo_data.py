"""A small set to try a config on, rendered and built like any other."""

import os

from etils import epath

from data_preprocessing import build as command
from data_preprocessing import schema
from data_preprocessing.synthetic.build import Plan, build
from unloc_jax.annotations import benchmark
from unloc_jax.task.tasks import TASKS

_VIDEOS = Plan(train=24, val=8, test=8, unseen=8, stills=0)
# One slideshow in sixteen is for validation.
_STILLS = Plan(train=0, val=0, test=0, unseen=0, stills=1024)


def demo_data(
  task_or_dataset: str, folder: str | os.PathLike[str]
) -> epath.Path:
  """Renders 48 videos and builds a dataset of them, unless it is there.

  Its splits are train, val and test, for captions also unseen; those of the
  stills of task "frame_tagging" are train and val.

  Args:
    task_or_dataset: What it is to serve: a task, or a benchmark's name.
    folder: What is rendered and the dataset are written below it.

  Returns:
    The folder of the dataset: `data.path` of a config.

  Raises:
    ValueError: There is no such task or benchmark; or the set can't be built.
    OSError: The folder cannot be written.
  """
  dataset, annotations = _form(task_or_dataset)
  tagging = annotations == "slideshows"
  out = epath.Path(folder) / ("stills" if tagging else "moments")
  plan = _STILLS if tagging else _VIDEOS
  build(plan, out / "raw", os.cpu_count() or 1)
  flags = {
    "dataset": dataset,
    "annotations": out / "raw" / "annotations" / annotations,
    "videos": out / "raw" / ("slideshows" if tagging else "videos"),
    "data_dir": out,
    "frame_rate": 1 if tagging else 5,
    "short_side": 48,
  }
  given = [f"--{name}={value}" for name, value in flags.items()]
  command.run(command.parser().parse_args(given))
  return out / dataset / schema.VERSION


def _form(name: str) -> tuple[str, str]:
  """Returns the builder that serves, and the folder of its annotations."""
  if name in TASKS:
    targets, captions = TASKS[name].targets, TASKS[name].texts == "captions"
  else:
    known = benchmark(name)
    targets = "frames" if name == "coin" else ""
    captions = known.class_count is None
  if captions:
    return "anet_captions", "activitynet_captions"
  if targets == "frames":
    return "coin", "coin"
  return "anet", "slideshows" if targets == "tags" else "activitynet13"
