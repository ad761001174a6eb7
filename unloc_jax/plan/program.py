"""The real train step, traced and compiled for a mesh from shapes alone."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jax.sharding import Mesh

from unloc_jax.data.batch import batch_spec
from unloc_jax.parallel import sharding
from unloc_jax.plan import costs, flops
from unloc_jax.plan.topology import Topology, silent
from unloc_jax.task.tasks import get_task
from unloc_jax.training import loop as train
from unloc_jax.training import state
from unloc_jax.training import step as train_step

# Without a GPU kernels cannot be timed, and its matrix products are the
# library's: the Triton compiler refuses shapes that it would not be chosen for.
_OPTIONS = {
  "cuda": {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False},
}


@dataclasses.dataclass(frozen=True)
class Memory:
  """Of one device, bytes.

  Attributes:
    arguments: State and batch.
    outputs: The new state.
    reused: Outputs that take the place of arguments.
    temporaries: What is alive at the worst moment besides them.
    peak: All of it.
  """

  arguments: int
  outputs: int
  reused: int
  temporaries: int

  @property
  def peak(self) -> int:
    return self.arguments + self.outputs - self.reused + self.temporaries


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What the compiler said of a step.

  Attributes:
    memory: Of a device.
    costs: Of a device and a step.
    model_flops: Of a step of the whole mesh, without recomputation.
    trace_seconds: From Python to the compiler's input.
    compile_seconds: The compiler's.
  """

  memory: Memory
  costs: costs.Costs
  model_flops: float
  trace_seconds: float
  compile_seconds: float


def num_classes(config: ml_collections.ConfigDict) -> int:
  """C of a plan: classes that are kept, or of the whole dataset.

  Raises:
    ValueError: The config does not tell.
  """
  count = len(config.data.classes) or config.train.num_classes
  if not count:
    raise ValueError(
      "train.num_classes: a plan needs the number of classes; give "
      "--config.train.num_classes"
    )
  return count


def prompt_spec(
  config: ml_collections.ConfigDict,
) -> jax.ShapeDtypeStruct | None:
  """Class prompts as `class_texts` makes them; None for captions."""
  if get_task(config.task).texts != "classes":
    return None
  count = num_classes(config)
  if not config.model.text_tower.num_layers:
    return jax.ShapeDtypeStruct((1, count, config.model.width), jnp.float32)
  shape = (len(config.text.prompts), count, config.data.max_tokens)
  return jax.ShapeDtypeStruct(shape, jnp.int32)


def trace(config: ml_collections.ConfigDict, mesh: Mesh) -> Any:
  """The step that training jits, traced (`jax.stages.Traced`).

  Raises:
    ValueError: The config is wrong.
  """
  parts = state.Parts.from_config(config)
  unit_steps, total_steps = train.run_length(config, config.train.num_videos)
  optimizer = train.make_optimizer(parts, total_steps, unit_steps)
  placed = state.placed_shapes(parts, optimizer, mesh)
  step = train_step.compile_train_step(parts, optimizer, mesh, placed)
  return step.trace(placed, batch_shapes(config, mesh), prompt_spec(config))


def batch_shapes(
  config: ml_collections.ConfigDict, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
  """The global batch of training, split over a mesh."""
  spec = batch_spec(config, config.train.batch_size)
  return {
    name: jax.ShapeDtypeStruct(
      spec[name].shape, spec[name].dtype, sharding=where
    )
    for name, where in sharding.batch_shardings(spec, mesh).items()
  }


def without_recomputation(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """The same computation with everything kept, whatever memory it takes."""
  plain = config.copy_and_resolve_references().unlock()
  plain.model.scan_layers = True  # Traced in a fraction of the time.
  for part in ("image_tower", "text_tower", "fusion"):
    plain.model[part].remat = "none"
  plain.model.fusion.query_chunk = 0
  plain.train.accumulate = 1
  return plain.lock()


def model_flops(config: ml_collections.ConfigDict, mesh: Mesh) -> float:
  """FLOPs of a step of the whole mesh, without recomputation."""
  traced = trace(without_recomputation(config), mesh)
  return flops.count(traced.jaxpr)


def memory_of(compiled: jax.stages.Compiled) -> Memory:
  """What a compiled program takes of a device."""
  stats: Any = compiled.memory_analysis()
  return Memory(
    arguments=stats.argument_size_in_bytes,
    outputs=stats.output_size_in_bytes,
    reused=stats.alias_size_in_bytes,
    temporaries=stats.temp_size_in_bytes,
  )


def compile_for(
  lowered: jax.stages.Lowered, topology: Topology
) -> jax.stages.Compiled:
  """Compiles for devices that may not be there."""
  options: Any = None if topology.local else _OPTIONS.get(topology.platform)
  return lowered.compile(options)


def compile_step(
  config: ml_collections.ConfigDict, mesh: Mesh, topology: Topology
) -> Compiled:
  """Compiles the train step of a config for the devices of a mesh.

  Raises:
    ValueError: The config is wrong.
    jax.errors.JaxRuntimeError: The compiler refuses it; RESOURCE_EXHAUSTED
      where it needs more memory than a device has.
  """
  started = time.perf_counter()
  platforms = None if topology.local else (topology.platform,)
  lowered = trace(config, mesh).lower(lowering_platforms=platforms)
  traced_at = time.perf_counter()
  with silent():
    compiled = compile_for(lowered, topology)
  compiled_at = time.perf_counter()
  return Compiled(
    memory=memory_of(compiled),
    costs=costs.count(compiled.as_text() or "", mesh.size),
    model_flops=model_flops(config, mesh),
    trace_seconds=traced_at - started,
    compile_seconds=compiled_at - traced_at,
  )
