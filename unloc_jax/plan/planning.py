"""A config and a topology -> a plan: estimated, compiled, or refused."""

import dataclasses
import re
from typing import Any

import jax
import ml_collections

from unloc_jax.parallel import sharding
from unloc_jax.plan import program, search
from unloc_jax.plan.report import Plan, gib
from unloc_jax.plan.roofline import roofline
from unloc_jax.plan.topology import open_topology
from unloc_jax.task.tasks import get_task
from unloc_jax.training import state
from unloc_jax.training import step as train_step

# An estimate this many times the capacity is not worth minutes of compiling.
HOPELESS = 1.5

# `Used 20.1G of 15.75G hbm`; `temporaries (20.1G) exceeds available HBM`.
_USED = re.compile(r"Used (\S+) of |\((\S+)\)\s+exceeds")
_SIZE = re.compile(r"([\d.]+)([KMGT]?)i?B?")
_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def make_plan(
  name: str,
  config: ml_collections.ConfigDict,
  topology_name: str,
  compile_anyway: bool = False,
) -> tuple[Plan, list[search.Change]]:
  """Plans a config's train step.

  Args:
    name: Of the config, for the reader.
    config: Locked.
    topology_name: See `topology`.
    compile_anyway: Also where an estimate says that it cannot fit.

  Returns:
    The plan, and where it does not fit what would.

  Raises:
    ValueError: The config, the topology or the mesh is wrong.
  """
  topology = open_topology(topology_name)
  mesh = sharding.run_mesh(config, topology.devices)
  train_step.check_sizes(state.Parts.from_config(config), mesh)
  estimator = search.Estimator(config, topology)
  found = estimator(config)
  plan = Plan(
    _settings(name, config), topology, dict(mesh.shape), round(found.peak)
  )
  exact = found.state + found.gradients
  hopeless = exact > topology.memory or found.peak > HOPELESS * topology.memory
  if hopeless and not compile_anyway:
    message = (
      f"not compiled: parameters, optimizer and batch {gib(exact)}, "
      f"activations about {gib(found.activations)}"
    )
    plan = dataclasses.replace(plan, message=message)
    return plan, list(estimator.alternatives())
  plan = _compiled(plan, config, mesh)
  if plan.fits:
    return plan, []
  estimator.calibrate(plan.needed)
  return plan, list(estimator.alternatives())


def _compiled(plan: Plan, config, mesh) -> Plan:
  topology = plan.topology
  try:
    compiled = program.compile_step(config, mesh, topology)
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise ValueError(
        f"the compiler refuses the step: {_one_line(str(error))}"
      ) from error
    used = _used_bytes(str(error))
    return dataclasses.replace(
      plan,
      needed=used or plan.needed,
      message=f"the compiler refused: {_one_line(str(error))}",
    )
  found = None
  if topology.chip is not None:
    found = roofline(
      compiled.costs,
      compiled.model_flops,
      mesh.size,
      topology.chip,
      config.model.dtype,
    )
  return dataclasses.replace(
    plan, needed=compiled.memory.peak, compiled=compiled, roofline=found
  )


def _settings(name: str, config: Any) -> dict[str, Any]:
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
    found["classes"] = program.num_classes(config)
  return found


def _used_bytes(message: str) -> int:
  """What a compiler says it would take, in bytes; 0 where it does not say."""
  found = _USED.search(message)
  size = found and _SIZE.fullmatch(found[1] or found[2])
  return round(float(size[1]) * 2 ** _POWERS[size[2]]) if size else 0


def _one_line(message: str) -> str:
  """The first sentences of a compiler's message."""
  line = " ".join(message.split())
  return line if len(line) <= 240 else line[:240] + " ..."
