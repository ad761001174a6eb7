"""The real train step, compiled for a mesh from shapes alone."""

import dataclasses
import functools
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jax.sharding import Mesh

from unloc_jax.costs import counting
from unloc_jax.data.batch import batch_spec
from unloc_jax.models import blocks
from unloc_jax.models.towers.streams import compute_dtype
from unloc_jax.parallel import sharding
from unloc_jax.plan.roofline import Roofline, roofline
from unloc_jax.plan.topology import Topology, silent
from unloc_jax.task.tasks import get_task
from unloc_jax.training.loop import make_optimizer, run_length
from unloc_jax.training.state import Parts, placed_shapes
from unloc_jax.training.step import check_sizes, compile_train_step

# Without a GPU kernels cannot be timed, and its matrix products are the
# library's: the Triton compiler refuses shapes that it would not be chosen for.
_OPTIONS = {
  "cuda": {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False},
}
# `Used 20.1G of 15.75G hbm`; `temporaries (20.1G) exceeds available HBM`.
_USED = re.compile(r"(?:Used |\()([\d.]+)([KMGT]?)i?B?(?: of |\)\s+exceeds)")
_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


@dataclasses.dataclass(frozen=True)
class StepPlan:
  """What is known of a config's train step; where memory is short, little.

  Work, traffic and memory are those of a device unless said otherwise, sizes in
  bytes, times in seconds.
  """

  config: dict[str, Any]  # Name and settings that matter, for a reader
  topology: str
  device_kind: str
  devices: int
  capacity_bytes: int
  mesh: dict[str, int]  # Devices per axis
  needed_bytes: int  # At the peak; 0 where the compiler refused unsaid
  message: str = ""  # Of the compiler, where memory is short
  # What follows is only known where there is no message.
  memory: dict[str, int] = dataclasses.field(default_factory=dict)
  flops_per_device: float = 0.0
  model_flops: float = 0.0  # Of the whole mesh, nothing recomputed
  bytes_per_device: float = 0.0  # Read and written of its memory
  collectives: tuple[counting.Traffic, ...] = ()
  trace_seconds: float = 0.0
  compile_seconds: float = 0.0
  roofline: Roofline | None = None  # None where the chip is not known, too

  @property
  def fits(self) -> bool:
    """Whether a device has that much memory."""
    return not self.message and self.needed_bytes <= self.capacity_bytes

  def as_json(self) -> dict[str, Any]:
    """What is known, in plain values."""
    found = {"fits": self.fits, **dataclasses.asdict(self)}
    names = list(found)
    if self.message:
      names = names[: names.index("message") + 1]
    return {name: found[name] for name in names if found[name] is not None}


def plan_step(
  name: str, config: ml_collections.ConfigDict, topology: Topology
) -> StepPlan:
  """Plans a locked config's train step; `name` is for the reader.

  Raises ValueError where the config or the mesh is wrong, or the compiler
  refuses the step for another reason than memory.
  """
  config = _for_devices(config, topology)
  mesh = sharding.run_mesh(config, topology.devices)
  check_sizes(Parts.from_config(config), mesh)
  about = functools.partial(
    StepPlan,
    config=_settings(name, config),
    topology=topology.name,
    device_kind=topology.devices[0].device_kind,
    devices=len(topology.devices),
    capacity_bytes=topology.memory,
    mesh=dict(mesh.shape),
  )
  started = time.perf_counter()
  lowered = lower(config, mesh, topology)
  lowered_at = time.perf_counter()
  try:
    with silent():
      compiled = compile_for(lowered, topology)
  except jax.errors.JaxRuntimeError as error:
    said = " ".join(str(error).split())
    refused = said[:240]
    if "RESOURCE_EXHAUSTED" not in said:
      raise ValueError(f"the compiler refuses the step: {refused}") from error
    message = f"the compiler refused: {refused}"
    return about(needed_bytes=_used_bytes(said), message=message)
  compiled_at = time.perf_counter()
  counted = counting.count(compiled.as_text() or "", mesh.size)
  needed = model_flops(config, mesh, topology)
  memory = memory_of(compiled)
  best = None
  if topology.chip is not None:
    each = needed / mesh.size
    best = roofline(counted, each, topology.chip, config.model.dtype)
  return about(
    needed_bytes=peak(memory),
    memory=memory,
    flops_per_device=counted.flops,
    model_flops=needed,
    bytes_per_device=counted.bytes,
    collectives=counted.traffic,
    trace_seconds=lowered_at - started,
    compile_seconds=compiled_at - lowered_at,
    roofline=best,
  )


def _for_devices(
  config: ml_collections.ConfigDict, topology: Topology
) -> ml_collections.ConfigDict:
  """The config with the dtype that it has on those devices."""
  config = config.copy_and_resolve_references().unlock()
  if topology.local:
    config.model.dtype = compute_dtype(config).name
  elif config.model.dtype == "auto":
    config.model.dtype = "bfloat16"
  return config.lock()


def _settings(name: str, config: ml_collections.ConfigDict) -> dict[str, Any]:
  """What of a config decides its memory and time."""
  model = config.model
  found = {
    "name": name,
    "batch": config.train.batch_size,
    "frames": config.data.num_frames,
    "dtype": model.dtype,
    "scan": model.scan_layers,
    "remat": f"{model.image_tower.remat}/{model.fusion.remat}",
    "query_chunk": model.fusion.query_chunk,
    "accumulate": config.train.accumulate,
  }
  if get_task(config.task).texts == "classes":
    found["classes"] = num_classes(config)
  return found


def _used_bytes(message: str) -> int:
  """What a compiler says it would take, in bytes; 0 where it does not say."""
  found = _USED.search(message)
  return round(float(found[1]) * 2 ** _POWERS[found[2]]) if found else 0


def lower(
  config: ml_collections.ConfigDict, mesh: Mesh, topology: Topology
) -> jax.stages.Lowered:
  """The step that training jits, for devices that may not be there."""
  config = _for_devices(config, topology)
  parts = Parts.from_config(config)
  unit_steps, total_steps = run_length(config, config.train.num_videos)
  optimizer = make_optimizer(parts, total_steps, unit_steps)
  state = placed_shapes(parts, optimizer, mesh)
  step: Any = compile_train_step(parts, optimizer, mesh, state)
  traced = step.trace(state, batch_shapes(config, mesh), prompt_shape(config))
  platforms = None if topology.local else (topology.platform,)
  lowered: jax.stages.Lowered = traced.lower(lowering_platforms=platforms)
  return lowered


def compile_for(
  lowered: jax.stages.Lowered, topology: Topology
) -> jax.stages.Compiled:
  """Compiles; JaxRuntimeError says RESOURCE_EXHAUSTED for lack of memory."""
  options: Any = None if topology.local else _OPTIONS.get(topology.platform)
  return lowered.compile(options)


def memory_of(compiled: jax.stages.Compiled) -> dict[str, int]:
  """Bytes of a device: state and batch, new state, of it in place, the rest."""
  stats: Any = compiled.memory_analysis()
  return {
    "arguments": stats.argument_size_in_bytes,
    "outputs": stats.output_size_in_bytes,
    "reused": stats.alias_size_in_bytes,
    "temporaries": stats.temp_size_in_bytes,
  }


def peak(memory: Mapping[str, int]) -> int:
  """Bytes that are needed of a device at the worst moment."""
  return sum(memory.values()) - 2 * memory["reused"]


def batch_shapes(
  config: ml_collections.ConfigDict, mesh: Mesh
) -> dict[str, Any]:
  """The global batch of training, split over a mesh."""
  spec = batch_spec(config, config.train.batch_size)
  return jax.tree.map(
    lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where),
    spec,
    sharding.batch_shardings(spec, mesh),
  )


def prompt_shape(
  config: ml_collections.ConfigDict,
) -> jax.ShapeDtypeStruct | None:
  """Class prompts as `class_texts` makes them; None for captions."""
  if get_task(config.task).texts != "classes":
    return None
  count = num_classes(config)
  if not config.model.text_tower.num_layers:
    width = config.text.sentence_width or config.model.width
    return jax.ShapeDtypeStruct((1, count, width), jnp.float32)
  shape = (len(config.text.prompts), count, config.data.max_tokens)
  return jax.ShapeDtypeStruct(shape, jnp.int32)


def num_classes(config: ml_collections.ConfigDict) -> int:
  """C of a plan: classes that are kept, or of the whole dataset."""
  count = len(config.data.classes) or config.train.num_classes
  if not count:
    raise ValueError(
      "train.num_classes: a plan needs the number of classes; give "
      "--config.train.num_classes"
    )
  return int(count)


def device_bytes(placed: Any) -> int:
  """Bytes a device holds of arrays, given as shapes with shardings."""
  return sum(
    math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf in jax.tree.leaves(placed)
  )


def model_flops(
  config: ml_collections.ConfigDict, mesh: Mesh, topology: Topology
) -> float:
  """FLOPs of a step of the whole mesh as written, before any compiling.

  Everything is kept and nothing recomputed, whatever memory it takes.
  """
  plain = config.copy_and_resolve_references().unlock()
  plain.model.scan_layers = True  # Traced in a fraction of the time.
  for part in ("image_tower", "text_tower", "fusion"):
    plain.model[part].remat = "none"
  plain.model.fusion.query_chunk = 0
  plain.train.accumulate = 1
  with blocks.plain():
    lowered = lower(plain.lock(), mesh, topology)
  return counting.count(text_of(lowered), mesh.size).flops


def text_of(lowered: jax.stages.Lowered) -> str:
  """HLO of a program of the whole mesh that is not compiled yet."""
  module: Any = lowered.compiler_ir("hlo")
  return str(module.get_hlo_module().to_string())
