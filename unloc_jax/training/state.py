"""What a training run is made of: its parts, and the state it carries."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.struct
import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax.sharding import Mesh

from unloc_jax.data.batch import batch_spec, text_shape
from unloc_jax.models.build import build_model, build_pyramid
from unloc_jax.models.unloc import UnLoc
from unloc_jax.parallel import sharding
from unloc_jax.task.objective import LossSpec
from unloc_jax.task.pyramid import PyramidSpec
from unloc_jax.task.tasks import Task, get_task
from unloc_jax.training import optim

FlatParams = dict[str, jax.Array]


@flax.struct.dataclass
class TrainState:
  """Everything a run needs to go on, bit for bit."""

  step: jax.Array  # int32, steps done
  params: FlatParams  # {path: float32 array}
  opt_state: Any  # Of the trained parameters
  average: FlatParams | None  # Of the trained parameters; None without one
  skipped: jax.Array  # int32, steps whose loss was not finite


@dataclasses.dataclass(frozen=True)
class Parts:
  """What a config builds; fixed for a run."""

  config: ml_collections.ConfigDict
  task: Task
  pyramid: PyramidSpec
  model: UnLoc
  loss: LossSpec

  @classmethod
  def from_config(cls, config: ml_collections.ConfigDict) -> "Parts":
    """Builds the parts; ValueError where a value of the config is wrong."""
    return cls(
      config=config,
      task=get_task(config.task),
      pyramid=build_pyramid(config),
      model=build_model(config),
      loss=LossSpec(**config.loss.to_dict()),
    )


def nest(params: Mapping[str, Any]) -> dict[str, Any]:
  """{path: array} -> the variables that `model.apply` takes."""
  nested = flax.traverse_util.unflatten_dict(dict(params), sep="/")
  return {"params": nested}


def init_params(parts: Parts, key: jax.Array) -> FlatParams:
  """Random parameters, {path: float32 array}."""
  config = parts.config
  batch = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), batch_spec(config, batch_size=1)
  )
  shape, dtype = text_shape(config)
  if dtype == np.int32 and not config.model.text_tower.num_layers:
    shape, dtype = (config.model.width,), np.float32
  texts = jnp.ones((1, *shape), dtype)
  keys = {"params": key, "dropout": key}
  variables = parts.model.init(keys, batch["streams"], batch["masks"], texts)
  flat = flax.traverse_util.flatten_dict(variables["params"], sep="/")
  # Weakly typed leaves would make the second step compile again.
  return {name: jnp.asarray(p, jnp.float32) for name, p in flat.items()}


def param_shapes(parts: Parts) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of the parameters, without making them."""
  make = functools.partial(init_params, parts)
  shapes: dict[str, Any] = jax.eval_shape(make, jax.random.key(0))
  return shapes


def state_shapes(
  parts: Parts, optimizer: optax.GradientTransformation
) -> TrainState:
  """Shapes of a new run's state, without making it."""
  make = functools.partial(_new_state, parts, optimizer)
  shapes: TrainState = jax.eval_shape(make, jax.random.key(parts.config.seed))
  return shapes


def placed_shapes(
  parts: Parts, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
  """As `state_shapes`, each with its sharding over the mesh."""
  shapes: TrainState = sharding.placed(state_shapes(parts, optimizer), mesh)
  return shapes


def init_state(
  parts: Parts, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
  """A new run's state, born sharded over the mesh."""
  make = functools.partial(_new_state, parts, optimizer)
  shardings = sharding.state_shardings(state_shapes(parts, optimizer), mesh)
  key = jax.random.key(parts.config.seed)
  state: TrainState = jax.jit(make, out_shardings=shardings)(key)
  return state


def _new_state(
  parts: Parts, optimizer: optax.GradientTransformation, key: jax.Array
) -> TrainState:
  config, params = parts.config, init_params(parts, key)
  trained, _ = optim.split_frozen(config, params)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=optimizer.init(trained),
    average=jax.tree.map(jnp.copy, trained) if config.optimizer.ema else None,
    skipped=jnp.zeros((), jnp.int32),
  )


def evaluated_params(state: TrainState) -> FlatParams:
  """The parameters that are evaluated: the average, where there is one."""
  return {**state.params, **(state.average or {})}
