"""Runs of seconds: a model 16 wide on a handful of tiny videos."""

import pathlib
from collections.abc import Iterator

import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests import tiny_data
from tests.training.random_batch import random_params
from unloc_jax.config.keys import INF
from unloc_jax.config.schema import FIGURES
from unloc_jax.results.drawing import figures
from unloc_jax.task.tasks import get_task
from unloc_jax.training import loop, state

STEPS = 6


def tiny_config(path: pathlib.Path) -> ml_collections.ConfigDict:
  """Moment retrieval on frames of 32 pixels, six steps on one device."""
  c = tiny_data.settings(path).copy_and_resolve_references().unlock()
  c.data.num_workers = 1
  # Checked by the tests of the input.
  c.data.verify_gib = 0.0
  c.data.num_frames = 8
  c.pyramid.ranges = ((0, 2), (2, INF))
  c.model.width = 16
  image, text = c.model.image_tower, c.model.text_tower
  image.width, image.num_layers, image.num_heads = 16, 1, 2
  text.width, text.num_layers, text.num_heads = 16, 1, 2
  text.max_tokens = 8
  c.model.fusion.num_layers, c.model.fusion.num_heads = 1, 2
  c.model.fusion.mlp_dim, c.model.fusion.dropout = 32, 0.1
  c.model.head.num_layers = 1
  c.optimizer.name, c.optimizer.rates = "adamw", (("", 1e-3),)
  c.optimizer.warmup = 2
  c.train.unit, c.train.length, c.train.batch_size = "steps", STEPS, 8
  c.eval.batch_size, c.eval.every, c.eval.num_drawn = 8, 0, 0
  c.checkpoint.every = 2
  c.log.every_steps = 1
  return c


def task_config(
  task: str, captions: pathlib.Path, classes: pathlib.Path
) -> ml_collections.ConfigDict:
  """The tiny config of any task."""
  of_classes = get_task(task).texts == "classes"
  c = tiny_config(classes if of_classes else captions)
  c.task = task
  c.checkpoint.best_metric = FIGURES[task][-1]
  if not get_task(task).has_displacement:
    c.pyramid.ranges = ((0, INF),)
    c.model.fusion.kind = "transformer"
    c.loss.relevance = "sigmoid"
  if task == "frame_tagging":
    c.model.fusion.kind = "none"
    c.optimizer.rates = (("", 1e-3),)
  return c


def feature_config(task: str) -> ml_collections.ConfigDict:
  """The tiny config of a task on features of frames; there are no files."""
  c = task_config(task, pathlib.Path("/"), pathlib.Path("/"))
  c.streams, c.data.embedding_width = ("embeddings",), 16
  c.model.image_tower.num_layers = 0
  return c


def write_data(out: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
  """Datasets of tiny videos: ten with captions, eight of four classes."""
  written = []
  for name, make, train, val, names in (
    ("captions", tiny_data.caption_video, 10, 5, ()),
    ("classes", tiny_data.class_video, 8, 4, tiny_data.CLASSES),
  ):
    if not (out / name).exists():
      videos = [make(i) for i in range(train)]
      splits = {"train": videos, "val": videos[:val]}
      tiny_data.write(out / name, splits, names)
    written.append(out / name / "tiny" / "1.0.0")
  return written[0], written[1]


def write_whole_arrays() -> None:
  """Orbax does not cut each array into slices, one for every device."""
  handler = ocp.type_handlers.ArrayHandler(use_replica_parallel=False)
  ocp.type_handlers.register_type_handler(jax.Array, handler, override=True)


@pytest.fixture(scope="session", autouse=True)
def whole_arrays() -> None:
  """A third of what a run takes on eight devices is saved."""
  write_whole_arrays()


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> pathlib.Path:
  """The folder of both datasets."""
  folder = tmp_path_factory.getbasetemp() / "data"
  write_data(folder)
  return folder


@pytest.fixture(scope="session")
def captions(tmp_path_factory) -> pathlib.Path:
  """10 training and 5 validation videos, of 1 to 4 captions each."""
  return write_data(tmp_path_factory.getbasetemp() / "data")[0]


@pytest.fixture(scope="session")
def classes(tmp_path_factory) -> pathlib.Path:
  """8 training and 4 validation videos of four classes."""
  return write_data(tmp_path_factory.getbasetemp() / "data")[1]


@pytest.fixture
def config(captions) -> ml_collections.ConfigDict:
  """The tiny config; unlocked for a test to change."""
  return tiny_config(captions)


@pytest.fixture(scope="module")
def quick_start() -> Iterator[None]:
  """A run begins from what NumPy draws: no program is compiled for it."""

  def init_state(parts, optimizer, mesh):
    shapes = state.placed_shapes(parts, optimizer, mesh)
    new = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    params = random_params(parts.config)
    average = new.average and {name: params[name] for name in new.average}
    new = new.replace(params=params, average=average)
    return jax.device_put(new, jax.tree.map(lambda x: x.sharding, shapes))

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(loop, "init_state", init_state)
    yield


@pytest.fixture
def no_pictures(monkeypatch) -> None:
  """Figures are made and not drawn: half of what scoring takes."""
  monkeypatch.setattr(figures, "rendered", lambda figure: b"")
