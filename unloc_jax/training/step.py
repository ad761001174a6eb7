"""One step of training: a pure function, and its program over a mesh."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from unloc_jax.parallel import sharding
from unloc_jax.training import gradients, optim
from unloc_jax.training.state import Parts, TrainState

Batch = Mapping[str, jax.Array]


def train_step(
  state: TrainState,
  batch: Batch,
  prompts: jax.Array | None,
  *,
  parts: Parts,
  optimizer: optax.GradientTransformationExtraArgs,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One step on a global batch: the state after it, and scalars to log.

  `batch` as of `unloc_jax.data.batch`; `prompts` of classes [R, C, ...], None
  where videos bring captions.
  """
  key = jax.random.fold_in(jax.random.key(parts.config.seed), state.step)
  trained, frozen = optim.split_frozen(parts.config, state.params)
  in_parts = parts.config.train.accumulate > 1
  find = gradients.summed_gradients if in_parts else gradients.whole_gradients
  grads, losses = find(trained, frozen, batch, prompts, key, parts)
  norm = optax.global_norm(grads)
  finite = jnp.isfinite(norm) & jnp.isfinite(losses["total"])

  def move(params: Any, opt_state: Any, average: Any) -> tuple[Any, Any, Any]:
    updates, opt_state = optimizer.update(grads, opt_state, params, norm=norm)
    params = optax.apply_updates(params, updates)
    if average is not None:
      decay = parts.config.optimizer.ema
      average = optim.update_average(average, params, decay, state.step)
    return params, opt_state, average

  # A branch, and no choice between old and new, which would keep both.
  moved, opt_state, average = jax.lax.cond(
    finite,
    move,
    lambda *before: before,
    trained,
    state.opt_state,
    state.average,
  )
  state = TrainState(
    step=state.step + 1,
    params={**state.params, **moved},
    opt_state=opt_state,
    average=average,
    skipped=state.skipped + (~finite).astype(jnp.int32),
  )
  metrics = {f"loss/{name}": value for name, value in losses.items()}
  return state, {**metrics, "gradient_norm": norm, "skipped": state.skipped}


def compile_train_step(
  parts: Parts,
  optimizer: optax.GradientTransformationExtraArgs,
  mesh: Mesh,
  state: TrainState,
) -> Any:
  """The jitted `train_step`: (state, batch, prompts) -> (state, metrics).

  Buffers of the old state are reused. `state`: arrays or shapes, with their
  shardings. The batch comes split, as of `sharding.shard_batch`.
  """

  def step(
    state: TrainState, batch: Batch, prompts: jax.Array | None
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    with sharding.over(mesh):
      return train_step(state, batch, prompts, parts=parts, optimizer=optimizer)

  shardings = jax.tree.map(lambda x: x.sharding, state)
  whole = sharding.replicated(mesh)
  return jax.jit(
    step,
    in_shardings=(shardings, None, whole),
    out_shardings=(shardings, whole),
    donate_argnums=0,
  )


def check_sizes(parts: Parts, mesh: Mesh) -> None:
  """Raises ValueError where a mesh cannot split the batches of a run."""
  config = parts.config
  size, number = config.train.batch_size, config.train.accumulate
  if size % number:
    fitting = [n for n in range(1, size + 1) if size % n == 0]
    nearest = min(fitting, key=lambda n: abs(n - number))
    raise ValueError(
      f"train.accumulate={number} does not divide "
      f"train.batch_size={size}; the nearest that does: {nearest}"
    )
  frames = config.data.num_frames
  key = "train.batch_size" + (" / train.accumulate" if number > 1 else "")
  sharding.check_batch(mesh, size // number, key, frames)
  sharding.check_batch(mesh, config.eval.batch_size, "eval.batch_size", frames)
