"""Batches and parameters of any config without data and compilation."""

from typing import Any

import jax
import ml_collections
import numpy as np

from unloc_jax.data.batch import batch_spec
from unloc_jax.training import state


def random_params(config: ml_collections.ConfigDict) -> dict[str, np.ndarray]:
  """Parameters of the size of those that a run begins with, biases apart."""
  rng = np.random.default_rng(1)
  shapes = state.param_shapes(state.Parts.from_config(config))
  params = {}
  for name, leaf in shapes.items():
    value = rng.standard_normal(leaf.shape, np.float32)
    value *= np.prod(leaf.shape[:-1]) ** -0.5 if leaf.ndim > 1 else 0.1
    params[name] = 1 + value if name.endswith("scale") else value
  return params


def random_batch(
  config: ml_collections.ConfigDict, batch_size: int, num_classes: int = 4
) -> dict[str, Any]:
  """A batch whose last video has fewer frames and no example is padding."""
  rng = np.random.default_rng(0)
  spec = batch_spec(config, batch_size)
  batch = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), spec)
  frames = config.data.num_frames
  batch["streams"] = {
    name: rng.integers(0, 255, rows.shape, np.uint8)
    if name == "frames"
    else rng.standard_normal(rows.shape, np.float32)
    for name, rows in spec["streams"].items()
  }
  batch["frame_mask"] = np.arange(frames) < np.full((batch_size, 1), frames)
  batch["frame_mask"][-1, frames // 2 :] = False
  batch["masks"] = dict.fromkeys(batch["streams"], batch["frame_mask"])
  start = rng.uniform(0, frames / 2, spec["segment_query"].shape)
  length = rng.uniform(0.5, frames / 2, start.shape)
  batch["segments"] = np.stack([start, start + length], -1).astype(np.float32)
  owners = num_classes
  if "text_ids" in batch:
    owners = config.data.max_queries
    ids = rng.integers(1, 400, spec["text_ids"].shape)
    ids[..., -1] = 49407
    batch["text_ids"] = ids.astype(np.int32)
    batch["query_mask"] = np.ones_like(batch["query_mask"])
    batch["query_mask"][0, -1] = False
  owner = rng.integers(0, owners, start.shape)
  batch["segment_query"] = owner.astype(np.int32)
  batch["duration"] += frames
  batch["example_mask"] = np.ones_like(batch["example_mask"])
  return batch
