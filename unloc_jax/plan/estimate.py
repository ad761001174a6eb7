"""A device's memory from shapes alone, in seconds: before any compiling.

State and batch are exact. Of activations only the large ones are counted: what
the blocks of towers, fusion and heads keep for the backward pass, and what the
block at work needs. Good to about a third; the compiler has the last word.
"""

import dataclasses
import math
from typing import Any

import jax
import ml_collections

from unloc_jax.parallel import sharding
from unloc_jax.task.pyramid import level_lengths
from unloc_jax.task.tasks import get_task

# Values a block keeps for its backward pass, by remat policy: times width,
# times MLP width, and whether attention weights are among them.
_KEPT = {"none": (8, 2, True), "dots": (6, 1, False), "full": (1, 0, False)}
# What the block at work needs in its backward pass besides.
_AT_WORK = (6, 3, True)


@dataclasses.dataclass(frozen=True)
class Estimate:
  """Bytes of one device.

  Attributes:
    state: Parameters, optimizer state, average and batch.
    gradients: Of the trained parameters.
    activations: What `train.accumulate`, remat and query_chunk change.
  """

  state: float
  gradients: float
  activations: float

  @property
  def peak(self) -> float:
    return self.state + self.gradients + self.activations


def device_bytes(tree: Any, shardings: Any) -> int:
  """Bytes a device holds of arrays that are split so."""
  sizes = jax.tree.map(
    lambda leaf, where: (
      math.prod(where.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    ),
    tree,
    shardings,
  )
  return sum(jax.tree.leaves(sizes))


def activations(
  config: ml_collections.ConfigDict, num_devices: int, num_classes: int
) -> float:
  """Bytes of activations at the worst moment, evenly split over devices.

  Within `sharding.over` its mesh, which says what a chunk of texts is.
  """
  item = 2 if config.model.dtype == "bfloat16" else 4
  videos = config.train.batch_size / config.train.accumulate
  image = _image(config, videos, item)
  text = _texts(config, videos, num_classes, item)
  fusion = _fusion(config, videos, num_classes, item)
  kept = image[0] + text[0] + fusion[0]
  at_work = max(image[1], text[1], fusion[1])
  return (kept + at_work) / num_devices


def _blocks(
  rows: float,
  length: int,
  width: int,
  hidden: int,
  heads: int,
  layers: int,
  remat: str,
  backward: bool,
  item: int,
) -> tuple[float, float]:
  """Bytes (kept, at work) of a stack of blocks over rows x length tokens."""

  def size(times_width, times_hidden, weights):
    tokens = rows * length
    dense = tokens * (times_width * width + times_hidden * hidden) * item
    return dense + (tokens * heads * length * (item + 4) if weights else 0)

  kept = layers * size(*_KEPT[remat]) if backward else 0.0
  return kept, size(*_AT_WORK) * (1.0 if backward else 0.5)


def _image(config, videos: float, item: int) -> tuple[float, float]:
  tower, data = config.model.image_tower, config.data
  if not tower.num_layers or data.inputs != "frames":
    return 0.0, 0.0
  length = (data.image_size // tower.patch) ** 2
  length += tower.classifier == "token"
  return _blocks(
    videos * data.num_frames,
    length,
    tower.width,
    4 * tower.width,
    tower.num_heads,
    tower.num_layers,
    tower.remat,
    not tower.frozen,
    item,
  )


def num_texts(
  config: ml_collections.ConfigDict, num_classes: int
) -> tuple[int, int]:
  """(texts that are encoded, texts that each video is fused with)."""
  captions = config.train.batch_size * config.data.max_queries
  if get_task(config.task).texts == "classes":
    sampled = config.text.sampled
    count = min(num_classes, sampled) if sampled else num_classes
    return count, count
  if get_task(config.task).train_pairing == "all":
    return captions, captions
  return captions, config.data.max_queries


def _texts(config, videos, num_classes, item) -> tuple[float, float]:
  tower = config.model.text_tower
  if not tower.num_layers:
    return 0.0, 0.0
  return _blocks(
    num_texts(config, num_classes)[0],
    config.data.max_tokens,
    tower.width,
    4 * tower.width,
    tower.num_heads,
    tower.num_layers,
    tower.remat,
    not tower.frozen,
    item,
  )


def _fusion(config, videos, num_classes, item) -> tuple[float, float]:
  fusion, head = config.model.fusion, config.model.head
  width = config.model.width
  texts = num_texts(config, num_classes)[1]
  if fusion.kind in ("late", "none"):
    texts = 1
  chunk = fusion.query_chunk * sharding.shares(
    "queries", ("batch", int(videos))
  )
  pairs = videos * (min(chunk, texts) if chunk else texts)
  length = config.data.num_frames + 1
  kept, at_work = _blocks(
    pairs,
    length,
    width,
    fusion.mlp_dim,
    fusion.num_heads,
    fusion.num_layers if fusion.kind != "none" else 0,
    fusion.remat,
    True,
    item,
  )
  num_levels = len(config.pyramid.ranges)
  points = sum(level_lengths(config.data.num_frames, num_levels))
  heads = pairs * points * width * item * (2 + 3 * head.num_layers)
  return kept + heads, at_work + heads / max(head.num_layers, 1)
