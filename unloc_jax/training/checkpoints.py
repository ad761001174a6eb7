"""Checkpoints of a run: the latest few and the best, written atomically."""

import pathlib
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
    self._has_average = config.optimizer.ema > 0
    self._metric = metric = config.checkpoint.best_metric
    policy = ocp.checkpoint_managers
    best = policy.BestN(
      get_metric_fn=lambda metrics: metrics[metric],
      n=1,
      keep_checkpoints_without_metrics=False,
    )
    self._manager = ocp.CheckpointManager(
      self._folder,
      # Without them a new process cannot tell the shapes of what was saved.
      item_handlers={
        name: ocp.StandardCheckpointHandler()
        for name in ("params", "average", "progress")
      },
      options=ocp.CheckpointManagerOptions(
        best_fn=lambda metrics: metrics[metric],
        preservation_policy=policy.AnyPreservationPolicy(
          [policy.LatestN(config.checkpoint.keep), best]
        ),
        create=True,
      ),
    )

  @property
  def latest_step(self) -> int | None:
    """Steps done at the newest whole checkpoint; None where there is none."""
    step: int | None = self._manager.latest_step()
    return step

  def save(
    self, state: TrainState, metrics: dict[str, float] | None = None
  ) -> None:
    """Starts writing a checkpoint; it counts once it is whole.

    Args:
      state: Left out where its step has a checkpoint already.
      metrics: Figures of it; those with `checkpoint.best_metric` compete to be
        the best.
    """
    if metrics is not None and self._metric not in metrics:
      logging.warning(
        "checkpoint.best_metric: there is no %s among %s; checkpoint %d "
        "cannot be the best",
        *(self._metric, ", ".join(metrics), int(state.step)),
      )
      metrics = None
    items = {k: ocp.args.StandardSave(v) for k, v in _items(state).items()}
    self._manager.save(
      int(state.step), args=ocp.args.Composite(**items), metrics=metrics
    )

  def restore(self, like: TrainState) -> TrainState:
    """The latest state, with the shardings of `like` (arrays or shapes).

    Raises:
      ValueError: There is no checkpoint, or it is of another architecture.
    """
    items = self._read(self.latest_step, _items(like))
    return TrainState(
      params=items["params"],
      average=items["average"] if self._has_average else None,
      **items["progress"],
    )

  def restore_params(self, parts: Parts, mesh: Mesh) -> FlatParams:
    """Parameters to evaluate: of the best checkpoint, else of the latest.

    Raises:
      ValueError: As of `restore`.
    """
    wanted = {"params": sharding.placed(param_shapes(parts), mesh)}
    if self._has_average:
      trained, _ = optim.split_frozen(parts.config, wanted["params"])
      wanted["average"] = trained
    step = self._manager.best_step()
    items = self._read(self.latest_step if step is None else step, wanted)
    return {**items["params"], **items.get("average", {})}

  def _read(self, step: int | None, like: dict[str, Any]) -> dict[str, Any]:
    if step is None:
      raise ValueError(f"{self._folder}: there is no checkpoint to restore")
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    self._check_shapes(step, like)
    items = {k: ocp.args.StandardRestore(v) for k, v in like.items()}
    restored = self._manager.restore(step, args=ocp.args.Composite(**items))
    return {name: restored[name] for name in like}

  def _check_shapes(self, step: int, items: dict[str, Any]) -> None:
    """Compares arrays by name and shape before any of them is read."""
    metadata = self._manager.item_metadata(step)
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
    """Waits until all is written."""
    self._manager.wait_until_finished()
    self._manager.close()


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


def write_config(workdir: str, config: ml_collections.ConfigDict) -> None:
  """Writes the config beside the checkpoints, from the first process.

  Raises:
    ValueError: The workdir holds a run of another model or task.
  """
  path = pathlib.Path(workdir) / _CONFIG
  if path.exists():
    old = stored.read(path)
    for key in ("task", "model", "pyramid"):
      if old[key] != config[key]:
        raise ValueError(
          f"{workdir} holds a run whose config.{key} differs from this one; "
          "choose another workdir or remove it"
        )
  # The others have checked, so that no process waits for one that ended.
  if jax.process_index() == 0:
    if words := tokenizer.read(config):
      files.write_text(path.parent / tokenizer.TOKENIZER, words)
    files.write_text(path, config.to_json(indent=2))


def read_config(workdir: str) -> ml_collections.ConfigDict:
  """The config of a run.

  Raises:
    FileNotFoundError: The workdir holds no run.
    ValueError: The file is damaged, or of a later version.
  """
  path = pathlib.Path(workdir) / _CONFIG
  if not path.exists():
    raise FileNotFoundError(f"{path}: there is no run in this folder")
  config = stored.read(path).unlock()
  if (path.parent / tokenizer.TOKENIZER).exists():
    config.text.tokenizer = str(path.parent / tokenizer.TOKENIZER)
  return config.lock()
