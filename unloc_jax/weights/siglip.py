"""SigLIP and SigLIP 2 as Hugging Face publishes them.

With patches cut by a convolution (one size of images) or by a linear map
("naflex"); sizes are read off the tensors' shapes.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from unloc_jax.weights import clip
from unloc_jax.weights.conversion import (
  Format,
  Table,
  Tensors,
  activation,
  blocks,
  blocks_of,
  fitted,
  heads,
  linear,
  needed,
  norm,
  renamed,
  shapes,
)
from unloc_jax.weights.folder import Weights

_HEAD_DIM, _EPSILON = 64, 1e-6
_HEAD = "vision_model/head"
_POOL = "image_tower/pool"

_TABLE: Table = (
  *linear(f"{clip.VISION}/patch_embedding", "image_tower/patch_embedding"),
  (
    f"{clip.VISION}/position_embedding/weight",
    "image_tower/position_embedding",
  ),
  *norm("vision_model/post_layernorm", "image_tower/norm_post"),
  *blocks(
    "vision_model/encoder/layers", "image_tower", clip.HUGGING_FACE_BLOCK
  ),
  (f"{_HEAD}/probe", f"{_POOL}/probe"),
  *linear(f"{_HEAD}/attention/q", f"{_POOL}/attention/query"),
  *linear(f"{_HEAD}/attention/k", f"{_POOL}/attention/key"),
  *linear(f"{_HEAD}/attention/v", f"{_POOL}/attention/value"),
  *linear(f"{_HEAD}/attention/out_proj", f"{_POOL}/attention/out"),
  *norm(f"{_HEAD}/layernorm", f"{_POOL}/norm"),
  *linear(f"{_HEAD}/mlp/fc1", f"{_POOL}/mlp/up"),
  *linear(f"{_HEAD}/mlp/fc2", f"{_POOL}/mlp/down"),
  *clip.HUGGING_FACE_TEXT,
  *linear("text_model/head", "text_tower/projection"),
)


def convert(
  tensors: Tensors, config: Mapping[str, Any], named: str = ""
) -> Weights:
  """SigLIP's tensors -> our towers, and projections that change nothing.

  The scale and bias of its sigmoid become log_scale and relevance_bias, by
  which `model.fusion.kind` "none" and "late" compare. Arguments are those of
  `clip.convert`.

  Raises:
    ValueError: It is no SigLIP, or tensors are missing, too many or of wrong
      shapes; all are listed.
  """
  params, unknown = renamed(clip.apart(tensors), _TABLE)
  probe = f"{_POOL}/probe"
  params[probe] = needed(params, probe, 3, what="SigLIP").reshape(-1)
  sizes = _sizes(params, config, named)
  for part, width in (
    ("image", sizes["image"]["width"]),
    ("text", sizes["width"]),
  ):
    params[f"{part}_projection/kernel"] = np.eye(width, dtype=np.float32)
  params = fitted(params, unknown, shapes(sizes), "SigLIP")
  for theirs, ours in (
    ("logit_scale", "log_scale"),
    ("logit_bias", "relevance_bias"),
  ):
    if theirs in tensors:
      params[ours] = np.asarray(tensors[theirs], np.float32).reshape(())
  return Weights(params, {"towers": sizes})


def _sizes(
  params: Mapping[str, np.ndarray], config: Mapping[str, Any], named: str
) -> dict[str, Any]:
  """Sizes of the towers, read off shapes, and what config.json says."""
  said = {
    part: config.get(name, {})
    for part, name in (("image", "vision_config"), ("text", "text_config"))
  }
  get = functools.partial(needed, params, what="SigLIP")
  kernel = get("image_tower/patch_embedding/kernel", 0)
  positions = get("image_tower/position_embedding", 2)
  words = get("text_tower/token_embedding/embedding", 2)
  ends = get("text_tower/projection/kernel", 2).shape[1]
  side = math.isqrt(math.prod(kernel.shape[:-1]) // 3)
  rows = math.isqrt(len(positions))
  # 384 pixels have 27 patches of 14.
  image_size = said["image"].get("image_size", rows * side)
  sizes: dict[str, Any] = {
    "image": {
      "kind": "siglip2",
      "classifier": "attention",
      "patch": side,
      "width": kernel.shape[-1],
      "image_size": image_size if image_size // side == rows else rows * side,
    },
    "text": {
      "kind": "siglip2",
      "vocab_size": len(words),
      "max_tokens": len(get("text_tower/position_embedding", 2)),
      "width": words.shape[1],
      **({"head_width": ends} if ends != words.shape[1] else {}),
    },
  }
  for part, section in sizes.items():
    if said[part].get("layer_norm_eps", _EPSILON) != _EPSILON:
      raise ValueError(f"its layer_norm_eps is not {_EPSILON}")
    width, used = section["width"], said[part].get("hidden_act", "")
    count = said[part].get("num_attention_heads", 0) or _heads(width)
    section |= blocks_of(params, f"{part}_tower") | {
      "activation": activation(used, named, "gelu_tanh"),
      "num_heads": heads(width, count),
    }
  return {**sizes, "width": ends}


def _heads(width: int) -> int:
  """Of the published sizes: so400m has heads of 72."""
  return width // {1152: 72}.get(width, _HEAD_DIM)


FORMAT = Format(
  "SigLIP 2 (Hugging Face)",
  lambda tensors: f"{_HEAD}/probe" in tensors,
  convert,
)
