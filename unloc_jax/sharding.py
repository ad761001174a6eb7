"""The device mesh, and one table that says which axis is split over what.

A parameter's axes have logical names; RULES maps a logical name to a mesh
axis. A logical axis whose size the mesh axis does not divide stays whole.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

MESH_AXES = ("data", "fsdp", "model")

# Rows of a batch are split over all copies and shares of the model.
BATCH = ("data", "fsdp")

RULES: Mapping[str, str] = {
  "embed": "fsdp",
  "heads": "model",
  "hidden": "model",
  "vocabulary": "model",
}

# The first pattern that is found in a parameter's path names its last axes;
# axes before them (stacked layers) and parameters not listed stay whole.
_LOGICAL_AXES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
  (r"attention/(query|key|value)/kernel$", ("embed", "heads", None)),
  (r"attention/(query|key|value)/bias$", ("heads", None)),
  (r"attention/out/kernel$", ("heads", None, "embed")),
  (r"mlp/up/kernel$", ("embed", "hidden")),
  (r"mlp/up/bias$", ("hidden",)),
  (r"mlp/down/kernel$", ("hidden", "embed")),
  (r"token_embedding/embedding$", ("vocabulary", "embed")),
  (r"patch_embedding/kernel$", (None, "embed")),
  (r"projection/kernel$", ("embed", None)),
  (r"(conv_\d+|conv)/kernel$", (None, "embed", None)),
)


def mesh_shape(mesh: ml_collections.ConfigDict, count: int) -> tuple[int, ...]:
  """Devices per axis of MESH_AXES that `config.mesh` asks for.

  Args:
    mesh: `config.mesh`; one axis may be -1, which takes what is left.
    count: Devices there are.

  Raises:
    ValueError: The axes do not multiply to the number of devices.
  """
  shape = [mesh[axis] for axis in MESH_AXES]
  if shape.count(-1) > 1:
    raise ValueError(f"mesh: only one axis may be -1, not {shape}")
  known = math.prod(n for n in shape if n != -1)
  if -1 in shape and known > 0 and count % known == 0:
    shape[shape.index(-1)] = count // known
  if min(shape) < 1 or math.prod(shape) != count:
    asked = [mesh[axis] for axis in MESH_AXES]
    raise ValueError(
      f"mesh: {_named(asked)} does not divide the {count} devices there are; "
      f"the nearest that does: {_named(_nearest_shape(asked, count))}"
    )
  return tuple(shape)


def _named(shape: Sequence[int]) -> str:
  return ", ".join(f"{a}={n}" for a, n in zip(MESH_AXES, shape, strict=True))


def _nearest_shape(asked: Sequence[int], count: int) -> tuple[int, ...]:
  """The mesh of `count` devices whose axes are closest, as ratios."""
  divisors = [n for n in range(1, count + 1) if count % n == 0]
  shapes = [
    (data, fsdp, count // (data * fsdp))
    for data in divisors
    for fsdp in divisors
    if count % (data * fsdp) == 0
  ]

  def distance(shape):
    pairs = zip(shape, asked, strict=True)
    return sum(abs(math.log(n / max(m, 1))) for n, m in pairs if m != -1)

  return min(shapes, key=distance)


def make_mesh(
  mesh: ml_collections.ConfigDict, devices: Sequence[Any] | None = None
) -> Mesh:
  """The mesh of `config.mesh`, by default over all devices of all processes.

  Args:
    mesh: `config.mesh`.
    devices: Others to lay out, such as those of a pod that is not there.

  Raises:
    ValueError: The axes do not multiply to the number of devices.
  """
  devices = jax.devices() if devices is None else devices
  shape = mesh_shape(mesh, len(devices))
  laid_out = mesh_utils.create_device_mesh(
    shape, devices, allow_split_physical_axes=True
  )
  return Mesh(
    laid_out, MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES)
  )


def check_batch(mesh: Mesh, batch_size: int, key: str) -> None:
  """Raises ValueError where a global batch cannot be split over the mesh."""
  shares = mesh.shape["data"] * mesh.shape["fsdp"]
  if batch_size % shares:
    nearest = max(shares, round(batch_size / shares) * shares)
    raise ValueError(
      f"{key}={batch_size} is not divisible by the {shares} shares of the "
      f"mesh (data x fsdp); the nearest that is: {nearest}"
    )


def partition(name: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
  """How the parameter of that path is split."""
  for pattern, axes in _LOGICAL_AXES:
    if re.search(pattern, name) and len(shape) >= len(axes):
      return _resolve(axes, shape, mesh)
  return PartitionSpec()


def _resolve(axes, shape, mesh) -> PartitionSpec:
  split: list[str | None] = [None] * (len(shape) - len(axes))
  for axis, size in zip(axes, shape[len(shape) - len(axes) :], strict=True):
    target = RULES[axis] if axis else None
    divides = target and size % mesh.shape[target] == 0
    split.append(target if divides else None)
  return PartitionSpec(*split)


def state_shardings(state: Any, mesh: Mesh) -> Any:
  """Shardings of a state of ShapeDtypeStructs, by the path of every leaf.

  Optimizer state and averages are keyed by the same parameter paths, so they
  are split as their parameters are.
  """

  def sharding(path, leaf):
    name = "/".join(key_name(entry) for entry in path)
    return NamedSharding(mesh, partition(name, leaf.shape, mesh))

  return jax.tree_util.tree_map_with_path(sharding, state)


def key_name(entry: Any) -> str:
  """Name of one entry of a path of `jax.tree_util`."""
  for attribute in ("key", "name", "idx"):
    if hasattr(entry, attribute):
      return str(getattr(entry, attribute))
  return str(entry)


def replicated(mesh: Mesh) -> NamedSharding:
  """Whole on every device."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows split over the mesh."""
  return NamedSharding(mesh, PartitionSpec(BATCH))


def batch_shardings(
  batch: Mapping[str, Any], mesh: Mesh
) -> dict[str, NamedSharding]:
  """Shardings of a global batch's entries (arrays or their shapes)."""
  return {name: batch_sharding(mesh) for name in batch}


def shard_batch(
  batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """This process's rows of a batch -> arrays of the global batch."""
  sharding = batch_sharding(mesh)
  return {
    name: jax.make_array_from_process_local_data(sharding, value)
    for name, value in batch.items()
  }


def gather(tree: Any, mesh: Mesh) -> Any:
  """Arrays of the global batch -> NumPy arrays, whole on every process."""
  whole = jax.jit(lambda x: x, out_shardings=replicated(mesh))(tree)
  return jax.tree.map(np.asarray, whole)
