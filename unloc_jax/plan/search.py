"""Which settings would fit where these do not."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import ml_collections

from unloc_jax.parallel import sharding
from unloc_jax.plan import estimate, program
from unloc_jax.plan.topology import Topology
from unloc_jax.task.tasks import get_task
from unloc_jax.training import loop as train
from unloc_jax.training import optim, state
from unloc_jax.training import step as train_step

# Estimates are only good to about this factor.
MARGIN = 1.1


@dataclasses.dataclass(frozen=True)
class Change:
  """Settings that differ from the config's, and what they would need.

  Attributes:
    settings: {key: value} for the command line.
    needed: Estimated peak of a device, bytes.
  """

  settings: dict[str, Any]
  needed: float

  def flags(self) -> str:
    return " ".join(f"--config.{k}={v}" for k, v in self.settings.items())


class Estimator:
  """Estimates the peak of a config on a topology, with changed settings.

  Args:
    config: What is changed.
    topology: Devices.
  """

  def __init__(self, config: ml_collections.ConfigDict, topology: Topology):
    self._config, self._topology = config, topology
    parts = state.Parts.from_config(config)
    length = train.run_length(config, config.train.num_videos)
    optimizer = train.make_optimizer(parts, length[1], length[0])
    self._shapes = state.state_shapes(parts, optimizer)
    self._trained = _trained(config, self._shapes.params)
    self._classes = (
      program.num_classes(config)
      if get_task(config.task).texts == "classes"
      else 0
    )
    self._factor = 1.0

  def calibrate(self, peak: float) -> None:
    """Scales activations so that the config as it is needs `peak` bytes."""
    found = self(self._config)
    rest = peak - found.state - found.gradients
    if found.activations:
      self._factor *= max(rest, 0.1 * peak) / found.activations

  def __call__(self, config: ml_collections.ConfigDict) -> estimate.Estimate:
    """The estimate for a config that differs in memory settings only.

    Raises:
      ValueError: Its mesh does not divide the devices or the batch.
    """
    mesh = sharding.run_mesh(config, self._topology.devices)
    train_step.check_sizes(state.Parts.from_config(config), mesh)
    whole = sharding.state_shardings(self._shapes, mesh)
    batch = program.batch_shapes(config, mesh)
    placed = {name: s.sharding for name, s in batch.items()}
    trained = {name: self._shapes.params[name] for name in self._trained}
    split = {name: whole.params[name] for name in self._trained}
    with sharding.over(mesh):
      activations = estimate.activations(config, mesh.size, self._classes)
    return estimate.Estimate(
      state=estimate.device_bytes(self._shapes, whole)
      + estimate.device_bytes(batch, placed),
      gradients=estimate.device_bytes(trained, split),
      activations=self._factor * activations,
    )

  def alternatives(self) -> Iterator[Change]:
    """Of every kind of setting the mildest change that would fit."""
    fitting = []
    for kind in (_remat, _chunks, _parts, _meshes, _dtypes, _batches):
      found = self._first(kind(self._config, len(self._topology.devices)))
      if found is not None:
        fitting.append(found)
    yield from fitting or filter(None, [self._first(_all(self._config))])

  def _first(self, options: Iterator[dict[str, Any]]) -> Change | None:
    for settings in options:
      changed = with_settings(self._config, settings)
      if changed == self._config:
        continue
      try:
        needed = self(changed).peak
      except ValueError:
        continue
      if needed * MARGIN <= self._topology.memory:
        return Change(settings, needed)
    return None


def _trained(config, params) -> list[str]:
  return sorted(optim.split_frozen(config, params)[0])


def with_settings(
  config: ml_collections.ConfigDict, settings: dict[str, Any]
) -> ml_collections.ConfigDict:
  """A copy of a config with {dotted key: value} set."""
  changed = config.copy_and_resolve_references().unlock()
  changed.update_from_flattened_dict(settings)
  return changed.lock()


def _remat(config, _) -> Iterator[dict[str, Any]]:
  model = config.model
  image = {"model.image_tower.remat": "full"}
  fusion = {"model.fusion.remat": "full"}
  can_image = model.image_tower.remat != "full" and not model.image_tower.frozen
  if can_image and model.image_tower.remat == "none":
    yield {"model.image_tower.remat": "dots"}
  if can_image:
    yield image
  if model.fusion.remat != "full":
    yield fusion
    if can_image:
      yield image | fusion


def _chunks(config, _) -> Iterator[dict[str, Any]]:
  chunk = config.model.fusion.query_chunk or 64
  while chunk >= 1:
    if chunk != config.model.fusion.query_chunk:
      yield {"model.fusion.query_chunk": chunk}
    chunk //= 2


def _parts(config, _) -> Iterator[dict[str, Any]]:
  for count in range(2, config.train.batch_size + 1):
    if config.train.batch_size % count == 0:
      yield {"train.accumulate": count}


def _meshes(config, num_devices: int) -> Iterator[dict[str, Any]]:
  """Ever more shares of parameters, then of heads too."""
  for model in (1, 2, 4, 8):
    for fsdp in (1, 2, 4, 8, 16, 32, 64, 128, 256):
      if num_devices % (model * fsdp) == 0:
        yield {
          "mesh.data": num_devices // (model * fsdp),
          "mesh.fsdp": fsdp,
          "mesh.model": model,
        }


def _dtypes(config, _) -> Iterator[dict[str, Any]]:
  if config.model.dtype != "bfloat16":
    yield {"model.dtype": "bfloat16"}


def _batches(config, _) -> Iterator[dict[str, Any]]:
  size = config.train.batch_size // 2
  while size >= 1:
    yield {"train.batch_size": size}
    size //= 2


def _all(config) -> Iterator[dict[str, Any]]:
  """Everything at once, for what no single change helps."""
  saving: dict[str, Any] = {
    "model.dtype": "bfloat16",
    "model.fusion.remat": "full",
    "model.image_tower.remat": "full",
  }
  if config.model.fusion.query_chunk != 1:
    saving["model.fusion.query_chunk"] = 8
  yield saving
  for options in _parts(config, 0):
    yield saving | options
