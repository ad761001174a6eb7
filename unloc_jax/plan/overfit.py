"""One batch, learnt by heart: what cannot do that cannot learn at all."""

import jax
import jax.numpy as jnp
import ml_collections
import tqdm

from unloc_jax.data import pipeline, splits
from unloc_jax.data.class_texts import class_texts
from unloc_jax.parallel import sharding
from unloc_jax.training.loop import make_optimizer, start_weights
from unloc_jax.training.state import Parts, init_state
from unloc_jax.training.step import check_sizes, compile_train_step

# Of the first loss at most this share is to be left.
LEFT = 0.05
_WARMUP = 10
_ADVICE = (
  f"not to {LEFT:.0%} of it; more --overfit_steps or another --overfit_rate "
  "may do, else look at the targets: python -m data_preprocessing.inspect DATA"
)


def _simplified(
  config: ml_collections.ConfigDict, rate: float
) -> ml_collections.ConfigDict:
  """The config with an optimizer that needs no tuning, nothing random."""
  plain = config.copy_and_resolve_references().unlock()
  plain.update_from_flattened_dict(
    {
      "optimizer.name": "adamw",
      "optimizer.weight_decay": 0.0,
      "optimizer.rates": (("", rate),),
      "optimizer.schedule": "constant",
      "optimizer.decay": (),
      "optimizer.warmup": float(_WARMUP),
      "optimizer.ema": 0.0,
      "text.prompts": tuple(config.text.prompts[:1]),
      "text.sampled": 0,
      "model.image_tower.stochastic_depth": 0.0,
      "model.fusion.dropout": 0.0,
      "model.fusion.attention_dropout": 0.0,
      "model.fusion.stochastic_depth": 0.0,
      "train.unit": "steps",
      "train.cache_frame_tokens": False,
    }
  )
  return plain.lock()


def run(config: ml_collections.ConfigDict, steps: int, rate: float) -> bool:
  """Trains on the first batch of the data, for at most so many steps.

  Returns whether the loss fell to LEFT of what it was.
  """
  if steps <= _WARMUP:
    raise ValueError(f"--overfit_steps={steps}: give more than {_WARMUP}")
  config = _simplified(config, rate)
  parts = Parts.from_config(config)
  mesh = sharding.run_mesh(config)
  check_sizes(parts, mesh)
  split = splits.open_split(config, config.data.train_split)
  texts = None
  if parts.task.texts == "classes":
    texts = jnp.asarray(class_texts(config, split.classes))
  optimizer = make_optimizer(parts, steps, 1.0)
  carried = start_weights(config, init_state(parts, optimizer, mesh))
  step_fn = compile_train_step(parts, optimizer, mesh, carried)
  size = config.train.batch_size
  batches = pipeline.make_train(
    config, batch_size=size, seed=config.seed, split=split
  )
  batch = sharding.shard_batch(next(batches), mesh)
  losses: list[float] = []
  with tqdm.trange(steps, unit="step", desc="overfit") as progress:
    for _ in progress:
      carried, metrics = step_fn(carried, batch, texts)
      losses.append(float(metrics["loss/total"]))
      progress.set_postfix_str(f"loss {losses[-1]:.4g} of {losses[0]:.4g}")
      if losses[-1] <= LEFT * losses[0]:
        break
  managed = losses[-1] <= LEFT * losses[0]
  print(
    f"{'managed' if managed else 'did NOT manage'}: the loss of one batch went "
    f"from {losses[0]:.4g} to {min(losses):.4g} in {len(losses)} steps on "
    f"{jax.device_count()} device(s){'' if managed else ', ' + _ADVICE}"
  )
  return managed
