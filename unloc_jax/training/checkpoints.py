"""Checkpoints of a run: the latest few and the best, written atomically."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import ml_collections
import orbax.checkpoint as ocp
from absl import logging
from etils import epath
from jax.sharding import Mesh

from unloc_jax import files
from unloc_jax.config import stored
from unloc_jax.data import tokenizer
from unloc_jax.parallel import sharding
from unloc_jax.training import optim
from unloc_jax.training.state import FlatParams, Parts, TrainState, param_shapes

_CONFIG = "config.json"


class Checkpoints:
  """Saves and restores `TrainState`s under `WORKDIR/checkpoints`.

  A checkpoint has the items `params`, `average` (where the run keeps one) and
  `progress` (all else), so that evaluation reads only what it needs.
  """

  def __init__(self, workdir: str, config: ml_collections.ConfigDict):
    self._folder = epath.Path(workdir).absolute() / "checkpoints"
    self._metric = config.checkpoint.best_metric
    latest = ocp.checkpoint_managers.LatestN(config.checkpoint.keep)
    kept = ocp.checkpoint_managers.AnyPreservationPolicy([latest, self])
    self._manager = ocp.CheckpointManager(
      self._folder,
      # Without them a new process cannot tell the shapes of what was saved.
      item_handlers={
        name: ocp.StandardCheckpointHandler()
        for name in ("params", "average", "progress")
      },
      options=ocp.CheckpointManagerOptions(
        preservation_policy=kept, create=True
      ),
    )
    self._path = pathlib.Path(workdir) / "scores.json"
    # {step: {figure: value}}; those of later steps will come again.
    self._scores = {
      step: figures
      for step, figures in _read_scores(self._path).items()
      if step <= (self.latest_step or 0)
    }

  @property
  def latest_step(self) -> int | None:
    """Steps done at the newest whole checkpoint; None where there is none."""
    step: int | None = self._manager.latest_step()
    return step

  def save(self, state: TrainState) -> None:
    """Starts writing a checkpoint, unless its step has one; see `close`."""
    items = {k: ocp.args.StandardSave(v) for k, v in _items(state).items()}
    with _told(self._folder):
      self._manager.save(int(state.step), args=ocp.args.Composite(**items))

  def scored(self, step: int) -> dict[str, float] | None:
    """Figures of a step's state; None where it was not scored."""
    found = self._scores.get(step)
    if found is None and step in self._manager.all_steps():
      found = self._manager.metrics(step)  # Of earlier versions.
    return found

  def keep_scores(self, step: int, figures: dict[str, float]) -> None:
    """Keeps what a state scored, by which the best checkpoint is found."""
    if self._metric not in figures:
      logging.warning(
        "checkpoint.best_metric: there is no %s among %s; checkpoint %d "
        "cannot be the best",
        *(self._metric, ", ".join(figures), step),
      )
    self._scores[step] = figures
    if jax.process_index() == 0:
      files.write_json(self._path, self._scores)

  @property
  def best_step(self) -> int | None:
    """Of the whole checkpoints the one that scored best, if any was scored."""
    values = {
      step: found[self._metric]
      for step in self._manager.all_steps()
      if (found := self.scored(step)) and self._metric in found
    }
    return max(values, key=lambda step: (values[step], step), default=None)

  def should_preserve(
    self, found: Sequence[Any], *, context: Any
  ) -> list[bool]:
    """What Orbax asks of a policy: the best is kept beside the latest."""
    del context
    best = self.best_step
    return [info.step == best for info in found]

  def restore(self, like: TrainState) -> TrainState:
    """The latest state, with the shardings of `like` (arrays or shapes).

    Raises ValueError where there is no checkpoint, or it is of another
    architecture, or broken.
    """
    items = self._read(self.latest_step, _items(like))
    return TrainState(
      params=items["params"],
      average=items.get("average"),
      **items["progress"],
    )

  def restore_params(self, parts: Parts, mesh: Mesh) -> FlatParams:
    """Parameters to evaluate: of the best checkpoint, else of the latest.

    Raises ValueError as `restore`.
    """
    wanted = {"params": sharding.placed(param_shapes(parts), mesh)}
    if parts.config.optimizer.ema:
      trained, _ = optim.split_frozen(parts.config, wanted["params"])
      wanted["average"] = trained
    step = self.best_step
    items = self._read(self.latest_step if step is None else step, wanted)
    return {**items["params"], **items.get("average", {})}

  def _read(self, step: int | None, like: dict[str, Any]) -> dict[str, Any]:
    if step is None:
      raise ValueError(f"{self._folder}: there is no checkpoint to restore")
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    with _legible(self._folder / str(step)):
      metadata = self._manager.item_metadata(step)
    self._check_shapes(step, like, metadata)
    items = {k: ocp.args.StandardRestore(v) for k, v in like.items()}
    with _legible(self._folder / str(step)):
      restored = self._manager.restore(step, args=ocp.args.Composite(**items))
    return {name: restored[name] for name in like}

  def _check_shapes(
    self, step: int, items: dict[str, Any], metadata: Any
  ) -> None:
    """Compares arrays by name and shape before any of them is read."""
    for item, tree in items.items():
      saved = _shapes(metadata[item]) if item in metadata else {}
      wanted = _shapes(tree)
      names = sorted({*saved, *wanted})
      differing = [n for n in names if saved.get(n) != wanted.get(n)]
      if differing:
        name = differing[0]
        what = "architecture" if item == "params" else "optimizer"
        raise ValueError(
          f"{self._folder}: checkpoint {step} is of another {what}; "
          f"{len(differing)} arrays of its {item} differ, such as {name}: "
          f"{saved.get(name)} there, {wanted.get(name)} in the config"
        )

  def close(self) -> None:
    """Waits until all is written; OSError where it cannot be."""
    with _told(self._folder):
      self._manager.wait_until_finished()
    self._manager.close()


def _read_scores(path: pathlib.Path) -> dict[int, dict[str, float]]:
  try:
    text = path.read_text() if path.exists() else "{}"
    return {int(k): dict(v) for k, v in json.loads(text).items()}
  except (AttributeError, TypeError, ValueError) as error:
    raise ValueError(f"{path}: {error}; remove it") from error


@contextlib.contextmanager
def _legible(folder: epath.Path) -> Iterator[None]:
  """Turns whatever reading raises into a ValueError of one line."""
  try:
    yield
  except jax.errors.JaxRuntimeError:
    raise  # Another process is lost.
  except Exception as error:  # Of JSON, of TensorStore, of files that lack.
    said = " ".join(str(error).split())
    raise ValueError(
      f"{folder}: this checkpoint cannot be read ({said:.200}); if it is "
      "damaged, remove it to go on from the one before it"
    ) from error


@contextlib.contextmanager
def _told(folder: epath.Path) -> Iterator[None]:
  """Turns whatever writing raises into an OSError of one line."""
  try:
    yield
  except jax.errors.JaxRuntimeError:
    raise  # Another process is lost.
  except (OSError, RuntimeError, ValueError) as error:
    said = " ".join(str(error).split()).rpartition('": ')[2]
    raise OSError(f"{folder}: a checkpoint was not written: {said}") from error


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  """{path: shape} of a tree of arrays, structs or Orbax's metadata."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(
    tree, is_leaf=lambda x: hasattr(x, "shape")
  )
  return {
    sharding.path_name(path): tuple(leaf.shape)
    for path, leaf in leaves
    if hasattr(leaf, "shape")
  }


def _items(state: TrainState) -> dict[str, Any]:
  progress = {
    name: getattr(state, name) for name in ("step", "opt_state", "skipped")
  }
  items = {"params": state.params, "progress": progress}
  if state.average is not None:
    items["average"] = state.average
  return items


def check_name(workdir: str) -> None:
  """Raises ValueError where checkpoints could not be read back from a folder.

  Orbax looks for them by a pattern that these letters are part of.
  """
  path = workdir if "://" in workdir else os.path.abspath(workdir)
  for sign in ("[", "\\", "://"):
    if sign in path:
      raise ValueError(
        f"--workdir {path}: checkpoints cannot be read back from a folder with "
        f"{sign} in its path; choose another"
      )


def check_config(workdir: str, config: ml_collections.ConfigDict) -> None:
  """Raises ValueError where a folder holds a run of another model or task."""
  path = pathlib.Path(workdir) / _CONFIG
  if path.exists():
    old = stored.read(path)
    for key in ("task", "model", "pyramid"):
      if old[key] != config[key]:
        raise ValueError(
          f"{workdir} holds a run whose config.{key} differs from this one; "
          "choose another workdir or remove it"
        )


def write_config(workdir: str, config: ml_collections.ConfigDict) -> None:
  """Writes the config beside the checkpoints."""
  path = pathlib.Path(workdir) / _CONFIG
  if words := tokenizer.read(config):
    files.write_text(path.parent / tokenizer.TOKENIZER, words)
  files.write_text(path, config.to_json(indent=2))


def read_config(workdir: str) -> ml_collections.ConfigDict:
  """The config of a run.

  Raises FileNotFoundError where the workdir holds none, ValueError where the
  file is damaged, or of a later version.
  """
  path = pathlib.Path(workdir) / _CONFIG
  if not path.exists():
    raise FileNotFoundError(f"{path}: there is no run in this folder")
  config = stored.read(path).unlock()
  if (path.parent / tokenizer.TOKENIZER).exists():
    config.text.tokenizer = str(path.parent / tokenizer.TOKENIZER)
  return config.lock()
