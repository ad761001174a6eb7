"""Schedules; parameter pattern -> rate, or frozen."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax

FlatParams = Mapping[str, Any]
Schedule = Callable[[Any], jax.Array]

# Matrices only: not biases, norms, embeddings or scales.
_DECAYED = re.compile(r"kernel$")


def split_frozen(
  config: ml_collections.ConfigDict, params: FlatParams
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Flat parameters -> (trained, those of frozen towers)."""
  towers = tuple(
    f"{name}/"
    for name, tower in config.model.items()
    if name.endswith("_tower") and tower.frozen and tower.num_layers
  )
  return (
    {k: v for k, v in params.items() if not k.startswith(towers)},
    {k: v for k, v in params.items() if k.startswith(towers)},
  )


def base_rates(
  rates: tuple[tuple[str, float], ...], names: list[str]
) -> dict[str, float]:
  """Base rate of every trained parameter: the first pattern it matches.

  Raises ValueError where one is not covered, or a pattern is not used.
  """
  first = {
    name: next((x for x in rates if re.match(x[0], name)), None)
    for name in names
  }
  uncovered = sorted(name for name, found in first.items() if not found)
  if uncovered:
    raise ValueError(f"optimizer.rates covers none of: {', '.join(uncovered)}")
  unused = [pair[0] for pair in rates if pair not in first.values()]
  if unused:
    raise ValueError(f"optimizer.rates: no parameter matches {unused}")
  return {name: found[1] for name, found in first.items() if found}


def schedule(
  optimizer: ml_collections.ConfigDict, total_steps: int, unit_steps: float
) -> Schedule:
  """Factor of the base rates at a step; `unit_steps` make a `train.unit`.

  Raises ValueError where a step of the schedule is after the end.
  """
  warmup = round(optimizer.warmup * unit_steps)
  if warmup >= total_steps:
    raise ValueError(
      f"optimizer.warmup: {warmup} steps of warm-up do not end before the "
      f"run of {total_steps} steps does"
    )
  if bool(optimizer.decay) != (optimizer.schedule == "steps"):
    raise ValueError(
      "optimizer.decay goes with optimizer.schedule='steps' and with no other"
    )
  boundaries = {}
  for at, factor in optimizer.decay:
    step = round(at * unit_steps)
    if not warmup <= step < total_steps:
      raise ValueError(
        f"optimizer.decay: the step at {at} is not between the warm-up's end "
        f"and the end of the run (step {step} of {total_steps})"
      )
    boundaries[step - warmup] = factor
  if optimizer.schedule == "cosine":
    main = optax.cosine_decay_schedule(1.0, total_steps - warmup)
  else:
    main = optax.piecewise_constant_schedule(1.0, boundaries)
  ramp = optax.linear_schedule(0.0, 1.0, max(warmup, 1))
  # The first step already moves: step 0 takes the rate of 1 / warmup.
  joined: Schedule = optax.join_schedules(
    [lambda step: ramp(step + 1), main], [warmup]
  )
  return joined


def make_optimizer(
  config: ml_collections.ConfigDict,
  names: list[str],
  total_steps: int,
  unit_steps: float,
) -> optax.GradientTransformationExtraArgs:
  """Optimizer of the trained parameters, a flat {path: array}.

  Its update also takes `norm`, the global norm of the gradients. Raises as
  `base_rates` and `schedule`.
  """
  optimizer = config.optimizer
  rates = base_rates(optimizer.rates, names)
  factor = schedule(optimizer, total_steps, unit_steps)
  clip = decay = optax.identity()
  if optimizer.clip_norm:
    clip = _clip_by_norm(optimizer.clip_norm)
  if optimizer.weight_decay:
    decay = optax.add_decayed_weights(
      optimizer.weight_decay,
      mask=lambda params: {k: bool(_DECAYED.search(k)) for k in params},
    )
  precondition = {
    "sgd": optax.trace(optimizer.momentum),
    "adamw": optax.scale_by_adam(optimizer.momentum, optimizer.beta2),
  }[optimizer.name]
  return optax.chain(
    clip,
    precondition,
    decay,
    optax.stateless(
      lambda updates, _: {k: rates[k] * v for k, v in updates.items()}
    ),
    optax.scale_by_schedule(lambda step: -factor(step)),
  )


def _clip_by_norm(largest: float) -> optax.GradientTransformationExtraArgs:
  """As `optax.clip_by_global_norm`, by one factor and for a known norm."""

  def update(
    updates: Any, state: Any, params: Any = None, *, norm: Any, **others: Any
  ) -> tuple[Any, Any]:
    del params, others
    factor = jnp.minimum(1.0, largest / norm)
    return jax.tree.map(lambda update: factor * update, updates), state

  return optax.GradientTransformationExtraArgs(
    lambda params: optax.EmptyState(), update
  )


def update_average(
  average: FlatParams, params: FlatParams, decay: float, step: jax.Array
) -> dict[str, Any]:
  """Running average of parameters, less sluggish in the first steps."""
  rate = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
  return {
    name: rate * average[name] + (1 - rate) * params[name] for name in params
  }
