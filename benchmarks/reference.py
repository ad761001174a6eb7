"""The train step of the reference implementation, from a checkout of Scenic.

Its own model, loss, optimizer and config of Charades-STA, B/16, with what that
of ActivityNet Captions has instead (which Python cannot read: its indentation
is wrong), nothing frozen, in the sizes of `benchmarks.train_step`. This runs
the code of the checkout.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

_PROJECT = "scenic.projects.unloc"
_CONFIG = "configs.charades_sta.charades_sta_linspace_unloc_base_fpn"
_LEVELS, _TOKENS = 4, 32
_FIXED = {"task": "moment_retrieval", "dataset": "", "debug": False}


def make(
  checkout: str, frames: int, videos: int
) -> tuple[Callable[[], Any], Any]:
  """Traces the step; its `compile`, and what makes a step of the program.

  Raises what the checkout's code raises: ImportError where something that it
  needs is not installed.
  """
  sys.path.insert(0, checkout)
  names = ("model", "optimizer_utils", _CONFIG)
  models, optimizers, official = (
    importlib.import_module(f"{_PROJECT}.{name}") for name in names
  )
  import flax
  import jax
  import jax.numpy as jnp

  config = official.get_config().unlock()
  _resize(config, frames)
  fusion = config.model.video_text_fusion_config.config
  fusion.self_attention_encoder_name = "simple_pyramid"
  model = models.MODELS[config.model_name](config, {"num_classes": 1})
  module = model.flax_model
  batch = _batch(videos, frames)
  variables = jax.eval_shape(
    lambda inputs: module.init(
      jax.random.key(0), inputs, train=False, **_FIXED
    ),
    batch["inputs"],
  )
  shapes = flax.core.freeze(variables["params"])
  optimizer = optimizers.optimizer_with_multi_lrs(config, shapes)

  state = jax.eval_shape(optimizer.init, shapes)
  step = _step(model, optimizer, config.max_grad_norm)
  lowered = jax.jit(step, donate_argnums=(0, 1)).lower(shapes, state, batch)

  def start(compiled: Any) -> Callable[[], None]:
    keys = iter(jax.random.split(jax.random.key(2), 10_000))
    params = jax.tree.map(
      lambda x: jax.random.normal(next(keys), x.shape) / 50, shapes
    )
    carried = [params, jax.jit(optimizer.init)(params)]
    placed = jax.tree.map(jnp.asarray, batch)
    del params

    def run() -> None:
      carried[0], carried[1], value = compiled(*carried, placed)
      jax.block_until_ready((carried, value))

    return run

  return lowered.compile, start


def _step(
  model: Any, optimizer: Any, max_norm: float
) -> Callable[..., tuple[Any, Any, Any]]:
  """Parameters, optimizer state, batch -> the first two anew, and the loss."""
  import jax
  import optax
  from jax.example_libraries import optimizers as jax_optimizers

  def loss(params: Any, batch: Any) -> Any:
    rngs = {"dropout": jax.random.key(1)}
    inputs = batch["inputs"]
    found = model.flax_model.apply(
      {"params": params}, inputs, train=True, rngs=rngs, **_FIXED
    )
    return model.loss_function(found, batch, params)

  def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any, Any]:
    value, gradient = jax.value_and_grad(loss)(params, batch)
    gradient = jax_optimizers.clip_grads(gradient, max_norm)
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, value

  return step


def _resize(node: Any, frames: int) -> None:
  """Sets the number of frames, and that nothing is frozen, wherever it is."""
  for key, value in node.items():
    if hasattr(value, "items"):
      _resize(value, frames)
    elif key in ("num_frames", "num_features_level0"):
      node[key] = frames
    elif key == "freeze":
      node[key] = False


def _batch(size: int, frames: int) -> dict[str, Any]:
  """Frames as the reference takes them, and one caption a video."""
  import numpy as np

  rng = np.random.default_rng(0)
  points = sum(frames // 2**level for level in range(_LEVELS))
  words = np.full((size, 1, _TOKENS), 49407, np.int32)
  ones = np.ones_like(words)
  return {
    "inputs": {
      "rgb": rng.standard_normal((size, frames, 224, 224, 3), np.float32),
      "input_mask": np.ones((size, points), np.int32),
      "caption": {
        "input_word_ids": words,
        "input_mask": ones,
        "input_type_ids": 0 * ones,
      },
      "caption_mask": np.ones((size, 1), np.int32),
    },
    "batch_mask": np.ones(size, np.float32),
    "label": rng.integers(0, 2, (size, 1, points, 1)),
    "displacements": rng.random((size, 1, points, 2), np.float32),
  }
