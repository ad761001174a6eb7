"""SigLIP and SigLIP 2 as Hugging Face publishes them.

With patches cut by a convolution (one size of images) or by a linear map
("naflex"); sizes are read off the tensors' shapes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from unloc_jax.weights import clip
from unloc_jax.weights.conversion import (
  Renamed,
  Table,
  Tensors,
  activation,
  below,
  block,
  blocks,
  heads,
  linear,
  norm,
)
from unloc_jax.weights.folder import Weights

NAME = "SigLIP 2 (Hugging Face)"
_EPSILON = 1e-6
_CHANNELS = {1152: 72}  # Of a head, in so400m.
_PROBE, _POOL = "vision_model/head/probe", "image_tower/pool"
_HEAD = block(
  {"layernorm": "norm"},
  "attention/q attention/k attention/v attention/out_proj mlp/fc1 mlp/fc2",
)
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
  (_PROBE, f"{_POOL}/probe"),
  *below("vision_model/head", _POOL, _HEAD),
  *clip.HUGGING_FACE_TEXT,
  *linear("text_model/head", "text_tower/projection"),
)


def recognises(tensors: Tensors) -> bool:
  """Whether tensors are a SigLIP's."""
  return _PROBE in tensors


def convert(tensors: Tensors, config: Mapping[str, Any], named: str) -> Weights:
  """SigLIP's tensors -> our towers, and projections that change nothing.

  The scale and bias of its sigmoid become log_scale and relevance_bias, by
  which `model.fusion.kind` "none" and "late" compare. Arguments and errors are
  those of `clip.convert`.
  """
  found = Renamed(clip.apart(tensors), _TABLE)
  found.params[f"{_POOL}/probe"] = found.needed(f"{_POOL}/probe", 3).reshape(-1)
  image, text = found.image_sizes(), found.text_sizes()
  ends = found.needed("text_tower/projection/kernel", 2).shape[1]
  image["classifier"] = "attention"
  text |= {"head_width": ends} if ends != text["width"] else {}
  for part, section, said, width in (
    ("image", image, config.get("vision_config", {}), image["width"]),
    ("text", text, config.get("text_config", {}), ends),
  ):
    if said.get("layer_norm_eps", _EPSILON) != _EPSILON:
      raise ValueError(f"its layer_norm_eps is not {_EPSILON}")
    count, used = said.get("num_attention_heads", 0), said.get("hidden_act", "")
    section |= {
      "kind": "siglip2",
      "num_heads": heads(section["width"], count, _CHANNELS),
      "activation": activation(used, named, "gelu_tanh"),
    }
    found.params[f"{part}_projection/kernel"] = np.eye(width, dtype=np.float32)
  # 384 pixels have 27 patches of 14.
  stated = config.get("vision_config", {}).get("image_size", 0)
  if stated // image["patch"] == image["image_size"] // image["patch"]:
    image["image_size"] = stated
  sizes = {"image": image, "text": text, "width": ends}
  params = found.fitted(sizes)
  for theirs, ours in (
    ("logit_scale", "log_scale"),
    ("logit_bias", "relevance_bias"),
  ):
    if theirs in tensors:
      params[ours] = np.asarray(tensors[theirs], np.float32).reshape(())
  return Weights(params, {"towers": sizes})
