"""The device mesh, and one table that says which axis is split over what.

The axes of parameters and of activations have logical names; RULES maps each
to mesh axes. Of those an array takes what divides its size and what no axis
before it has taken: 64 videos over `data` 64 leave `fsdp` and `model` to the
frames of the image tower, and `fsdp` to the texts that fusion pairs them with.
"""

import contextlib
import functools
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

MESH_AXES = ("data", "fsdp", "model")

RULES: Mapping[str, tuple[str, ...]] = {
  # Activations: videos, their frames in the image tower, the texts of the
  # text tower, and those that fusion pairs with each video.
  "batch": ("data", "fsdp"),
  "frames": ("fsdp", "model"),
  "texts": ("data", "fsdp", "model"),
  "queries": ("fsdp",),
  # Parameters; the last two are also axes of activations.
  "embed": ("fsdp",),
  "vocabulary": ("model",),
  "heads": ("model",),
  "hidden": ("model",),
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


def mesh_shape(
  mesh: ml_collections.ConfigDict, count: int, batches: Sequence[int] = ()
) -> tuple[int, ...]:
  """Devices per axis of MESH_AXES that `config.mesh` asks for, of `count`.

  One axis may be -1, which takes what is left. Where that is `data` and would
  be a multiple of the smallest of the `batches` to split, it takes no more
  devices than divide them all, and `fsdp` the others. Raises ValueError where
  the axes do not multiply to the number of devices.
  """
  asked = [mesh[axis] for axis in MESH_AXES]
  shape = list(asked)
  if shape.count(-1) > 1:
    raise ValueError(f"mesh: only one axis may be -1, not {shape}")
  known = math.prod(n for n in shape if n != -1)
  if -1 in shape and known > 0 and count % known == 0:
    shape[shape.index(-1)] = count // known
  if min(shape) < 1 or math.prod(shape) != count:
    raise ValueError(
      f"mesh: {_named(asked)} does not divide the {count} devices there are; "
      f"the nearest that does: {_named(_nearest_shape(asked, count))}"
    )
  smallest = min(batches, default=shape[0])
  if asked[0] == -1 and shape[0] > smallest and shape[0] % smallest == 0:
    data = math.gcd(shape[0], *batches)
    shape[:2] = data, shape[1] * (shape[0] // data)
  return tuple(shape)


def _named(shape: Sequence[int]) -> str:
  return ", ".join(f"{a}={n}" for a, n in zip(MESH_AXES, shape, strict=True))


def _nearest_shape(asked: Sequence[int], count: int) -> tuple[int, ...]:
  """The mesh of `count` devices whose axes are closest, as ratios."""
  sizes = _divisors(count)
  shapes = itertools.product(sizes, repeat=len(MESH_AXES))

  def distance(shape: tuple[int, ...]) -> float:
    pairs = zip(shape, asked, strict=True)
    return sum(abs(math.log(n / max(m, 1))) for n, m in pairs if m != -1)

  return min((s for s in shapes if math.prod(s) == count), key=distance)


def _divisors(count: int) -> list[int]:
  return [n for n in range(1, count + 1) if count % n == 0]


def make_mesh(
  mesh: ml_collections.ConfigDict,
  devices: Sequence[Any] | None = None,
  batches: Sequence[int] = (),
) -> Mesh:
  """The mesh of `config.mesh`, by default over all devices of all processes.

  `devices` may be those of a pod that is not there. See `mesh_shape`.
  """
  devices = jax.devices() if devices is None else devices
  shape = mesh_shape(mesh, len(devices), batches)
  laid_out = mesh_utils.create_device_mesh(
    shape, devices, allow_split_physical_axes=True
  )
  return Mesh(laid_out, MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES))


def run_mesh(
  config: ml_collections.ConfigDict, devices: Sequence[Any] | None = None
) -> Mesh:
  """The mesh of a run, which splits its training and evaluation batches."""
  at_once = config.train.batch_size // config.train.accumulate
  batches = max(at_once, 1), config.eval.batch_size
  return make_mesh(config.mesh, devices, batches)


def check_batch(mesh: Mesh, batch_size: int, key: str, num_frames: int) -> None:
  """Raises ValueError where a global batch leaves a device without work.

  `data` must divide the videos, `fsdp` what is left of them or their frames.
  """
  data, fsdp, model = (mesh.shape[axis] for axis in MESH_AXES)
  if _fits(data, fsdp, batch_size, num_frames):
    return
  sizes = range(data, batch_size + data * fsdp + 1, data)
  nearest = min(
    (n for n in sizes if _fits(data, fsdp, n, num_frames)),
    key=lambda n: abs(n - batch_size),
  )
  message = (
    f"{key}={batch_size} videos of {num_frames} frames are not divisible by "
    f"the mesh {_named(tuple(mesh.shape.values()))}; the nearest that are: "
    f"{nearest}"
  )
  shares = data * fsdp
  for n in reversed(_divisors(shares)):
    if _fits(n, shares // n, batch_size, num_frames):
      message += f"; or the mesh {_named((n, shares // n, model))}"
      break
  raise ValueError(message)


def _fits(data: int, fsdp: int, batch_size: int, num_frames: int) -> bool:
  left, over = divmod(batch_size, data)
  return not over and (left % fsdp == 0 or num_frames % fsdp == 0)


def partition(name: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
  """How the parameter of that path is split."""
  for pattern, axes in _LOGICAL_AXES:
    if re.search(pattern, name) and len(shape) >= len(axes):
      stacked = (None,) * (len(shape) - len(axes))
      return resolve((*stacked, *axes), shape, mesh.shape)
  return PartitionSpec()


def resolve(
  axes: Sequence[str | None],
  shape: Sequence[int],
  mesh_shape: Mapping[str, int],
) -> PartitionSpec:
  """Logical names of first axes -> mesh axes, as the head of this file says.

  Raises ValueError where there are more names than axes.
  """
  split: list[str | tuple[str, ...] | None] = []
  free = set(mesh_shape)
  for axis, size in zip(axes, shape[: len(axes)], strict=True):
    taken: list[str] = []
    for target in RULES[axis] if axis else ():
      if target in free and size % mesh_shape[target] == 0:
        size //= mesh_shape[target]
        free.remove(target)
        taken.append(target)
    split.append(tuple(taken) if len(taken) > 1 else next(iter(taken), None))
  return PartitionSpec(*split)


def over(mesh: Mesh) -> contextlib.AbstractContextManager[Any]:
  """Within it, what is traced is split over the mesh by `constrain`."""
  return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def constrain(x: jax.Array, *axes: str | None) -> jax.Array:
  """Splits an array by the logical names of its first axes, within `over`."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return x
  spec = resolve(axes, x.shape, mesh.shape)
  split: jax.Array = jax.lax.with_sharding_constraint(x, spec)
  return split


def platform() -> str:
  """Of the devices of `over`; without it, those that JAX takes by default."""
  mesh = jax.sharding.get_abstract_mesh()
  device = None if mesh.empty else mesh.abstract_device
  return device.platform if device else jax.default_backend()


def piece(axes: Sequence[str | None], shape: Sequence[int]) -> tuple[int, ...]:
  """The shape of what a device has of an array that `constrain` splits."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return tuple(shape)
  spec = resolve(axes, shape, mesh.shape)
  return NamedSharding(mesh, spec).shard_shape(tuple(shape))


def each_device(
  function: Callable[..., Any],
  axes: Sequence[Sequence[str | None]],
  out_axes: Sequence[str | None],
  *arrays: jax.Array,
) -> Any:
  """Calls `function` on every device's pieces, which need no other's.

  Args:
    function: Of the arrays' pieces.
    axes: Of each array, logical names of its first axes.
    out_axes: Of each array that it returns, with the sizes of the first one's.
    arrays: As `constrain` would split them.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.size == 1:
    return function(*arrays)

  def split(names: Sequence[str | None], x: jax.Array) -> PartitionSpec:
    return resolve(names, x.shape, mesh.shape)

  mapped = jax.shard_map(
    function,
    in_specs=tuple(map(split, axes, arrays)),
    out_specs=split(out_axes, arrays[0]),
    check_vma=False,
  )
  return mapped(*arrays)


def shares(axis: str, *before: tuple[str, int]) -> int:
  """Most pieces an axis can be split into, after the axes (name, size)."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return 1
  names, sizes = zip(*before, (axis, mesh.size), strict=True)
  taken = resolve(names, sizes, mesh.shape)[-1] or ()
  taken = (taken,) if isinstance(taken, str) else taken
  return math.prod(mesh.shape[name] for name in taken)


def state_shardings(state: Any, mesh: Mesh) -> Any:
  """Shardings of a state of ShapeDtypeStructs, by the path of every leaf.

  Optimizer state and averages are keyed by the same parameter paths, so they
  are split as their parameters are.
  """

  def sharding(path: Any, leaf: Any) -> NamedSharding:
    spec = partition(path_name(path), leaf.shape, mesh)
    return NamedSharding(mesh, spec)

  return jax.tree_util.tree_map_with_path(sharding, state)


def placed(state: Any, mesh: Mesh) -> Any:
  """ShapeDtypeStructs of a state, each with its sharding over the mesh."""
  return jax.tree.map(
    lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where),
    state,
    state_shardings(state, mesh),
  )


def path_name(path: Sequence[Any]) -> str:
  """A path of `jax.tree_util` as text: params/fusion/kernel."""
  return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def replicated(mesh: Mesh) -> NamedSharding:
  """Whole on every device."""
  return NamedSharding(mesh, PartitionSpec())


def batch_shardings(batch: Mapping[str, Any], mesh: Mesh) -> dict[str, Any]:
  """Shardings of a global batch's entries (arrays or their shapes)."""

  def sharding(path: Sequence[Any], x: Any) -> NamedSharding:
    # Streams come split as their towers take them, so that a process whose
    # devices have less than a video between them needs no more memory for it.
    is_stream = path_name(path).startswith("streams/")
    axes = ("batch", "frames") if is_stream else ("batch",)
    return NamedSharding(mesh, resolve(axes, x.shape, mesh.shape))

  shardings: dict[str, Any] = jax.tree_util.tree_map_with_path(
    sharding, dict(batch)
  )
  return shardings


def local_rows(mesh: Mesh, batch_size: int) -> list[int]:
  """Rows of the global batch that this process's devices hold, sorted.

  Processes whose devices share videos have the same rows.
  """
  spec = resolve(("batch",), (batch_size,), mesh.shape)
  sharding = NamedSharding(mesh, spec)
  pieces = sharding.addressable_devices_indices_map((batch_size,)).values()
  rows = [np.arange(batch_size)[index] for index in pieces if index is not None]
  return [int(row) for row in np.unique(np.concatenate(rows))]


def shard_batch(
  batch: Mapping[str, Any], mesh: Mesh, batch_size: int | None = None
) -> dict[str, Any]:
  """This process's rows of a batch -> arrays of the global batch.

  `batch` has the rows that `local_rows` lists of the `batch_size`, by default
  all of them.
  """
  batch = dict(batch)
  size = len(jax.tree.leaves(batch)[0]) if batch_size is None else batch_size
  rows = local_rows(mesh, size)

  def array(value: np.ndarray, sharding: NamedSharding) -> jax.Array:
    def piece(index: Any) -> np.ndarray:
      wanted = np.arange(size)[index[0]]
      first = int(np.searchsorted(rows, wanted[0]))
      return value[(slice(first, first + len(wanted)), *index[1:])]

    shape = (size, *value.shape[1:])
    return jax.make_array_from_callback(shape, sharding, piece)

  shapes = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype), batch
  )
  split: dict[str, Any] = jax.tree.map(
    array, batch, batch_shardings(shapes, mesh)
  )
  return split


def gather(tree: Any, mesh: Mesh) -> Any:
  """Arrays of the global batch -> NumPy arrays, whole on every process."""
  return jax.tree.map(np.asarray, _gathering(mesh)(tree))


@functools.lru_cache
def _gathering(mesh: Mesh) -> Any:
  """One program a mesh: a function made anew would be compiled anew."""
  return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))
