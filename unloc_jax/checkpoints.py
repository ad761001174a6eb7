"""Checkpoints of a run: the latest few and the best, written atomically."""

import json
import pathlib
from typing import Any

import jax
import ml_collections
import orbax.checkpoint as ocp
from etils import epath

from unloc_jax.state import TrainState

_CONFIG = "config.json"


class Checkpoints:
  """Saves and restores `TrainState`s under `WORKDIR/checkpoints`."""

  def __init__(self, workdir: str, config: ml_collections.ConfigDict):
    self._folder = epath.Path(workdir) / "checkpoints"
    metric = config.checkpoint.best_metric
    policy = ocp.checkpoint_managers
    self._manager = ocp.CheckpointManager(
      self._folder,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=policy.AnyPreservationPolicy(
          [
            policy.LatestN(config.checkpoint.keep),
            policy.BestN(
              get_metric_fn=lambda metrics: metrics[metric],
              n=1,
              keep_checkpoints_without_metrics=False,
            ),
          ]
        ),
        create=True,
      ),
    )

  @property
  def latest_step(self) -> int | None:
    """Steps done at the newest whole checkpoint; None where there is none."""
    return self._manager.latest_step()

  def save(
    self, state: TrainState, metrics: dict[str, float] | None = None
  ) -> None:
    """Starts writing a checkpoint; it counts once it is whole."""
    self._manager.save(
      int(state.step), args=ocp.args.StandardSave(state), metrics=metrics
    )

  def restore(self, like: Any, step: int | None = None) -> TrainState:
    """The latest state (or that of a step), with the shardings of `like`.

    Args:
      like: State, or ShapeDtypeStructs with shardings.
      step: Steps done; by default the latest.

    Raises:
      ValueError: There is no checkpoint, or it is of another architecture.
    """
    step = self.latest_step if step is None else step
    if step is None:
      raise ValueError(f"{self._folder}: there is no checkpoint to restore")
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    self._check_shapes(step, abstract)
    return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))

  def _check_shapes(self, step: int, abstract: TrainState) -> None:
    """Compares parameters by name and shape before anything is read."""
    saved = self._manager.item_metadata(step)
    saved = {name: tuple(leaf.shape) for name, leaf in saved["params"].items()}
    wanted = {name: tuple(p.shape) for name, p in abstract.params.items()}
    differing = sorted(
      name for name in {*saved, *wanted} if saved.get(name) != wanted.get(name)
    )
    if differing:
      name = differing[0]
      raise ValueError(
        f"{self._folder}: checkpoint {step} is of another architecture; "
        f"{len(differing)} parameters differ, such as {name}: "
        f"{saved.get(name)} there, {wanted.get(name)} in the config"
      )

  @property
  def best_step(self) -> int | None:
    """Steps done at the checkpoint with the best metric."""
    return self._manager.best_step()

  def close(self) -> None:
    """Waits until all is written."""
    self._manager.wait_until_finished()
    self._manager.close()


def write_config(workdir: str, config: ml_collections.ConfigDict) -> None:
  """Writes the config beside the checkpoints.

  Raises:
    ValueError: The workdir holds a run of another model or task.
  """
  path = pathlib.Path(workdir) / _CONFIG
  if path.exists():
    old = read_config(workdir)
    for key in ("task", "model", "pyramid"):
      if old[key] != json.loads(config.to_json())[key]:
        raise ValueError(
          f"{workdir} holds a run whose config.{key} differs from this one; "
          "choose another workdir or remove it"
        )
  path.parent.mkdir(parents=True, exist_ok=True)
  beside = path.with_suffix(".tmp")
  beside.write_text(config.to_json(indent=2))
  beside.rename(path)


def read_config(workdir: str) -> dict[str, Any]:
  """The config of a run, as plain values."""
  return json.loads((pathlib.Path(workdir) / _CONFIG).read_text())
