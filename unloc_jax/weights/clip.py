"""CLIP's ViTs as OpenAI, OpenCLIP and Hugging Face publish them.

OpenAI's ViT-B/32, B/16 and L/14, Hugging Face's CLIPModel and OpenCLIP's state
dicts; sizes are read off the tensors' shapes.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from unloc_jax.models.towers.clip import PIXELS
from unloc_jax.weights.conversion import (
  Renamed,
  Table,
  Tensors,
  activation,
  block,
  blocks,
  heads,
  norm,
)
from unloc_jax.weights.folder import Weights

NAME = "CLIP's ViT (OpenAI, OpenCLIP, Hugging Face)"
# Channels of a head where nothing says so: OpenCLIP's larger ViTs differ.
_CHANNELS = {1280: 80, 1408: 88, 1664: 104}

# OpenAI's and OpenCLIP's block; q, k and v are split before.
OPENAI_MAPS = "attn/q attn/k attn/v attn/out_proj mlp/c_fc mlp/c_proj"
_OPENAI_BLOCK = block({"ln_1": "norm_1", "ln_2": "norm_2"}, OPENAI_MAPS)
OPENAI: Table = (
  ("visual/conv1/weight", "image_tower/patch_embedding/kernel"),
  ("visual/class_embedding", "image_tower/class_embedding"),
  ("visual/positional_embedding", "image_tower/position_embedding"),
  *norm("visual/ln_pre", "image_tower/norm_pre"),
  *norm("visual/ln_post", "image_tower/norm_post"),
  *blocks("visual/transformer/resblocks", "image_tower", _OPENAI_BLOCK),
  ("visual/proj", "image_projection/kernel"),
  ("token_embedding/weight", "text_tower/token_embedding/embedding"),
  ("positional_embedding", "text_tower/position_embedding"),
  *norm("ln_final", "text_tower/norm_final"),
  *blocks("transformer/resblocks", "text_tower", _OPENAI_BLOCK),
  ("text_projection", "text_projection/kernel"),
)

HUGGING_FACE_BLOCK = block(
  {"layer_norm1": "norm_1", "layer_norm2": "norm_2"},
  "self_attn/q_proj self_attn/k_proj self_attn/v_proj self_attn/out_proj"
  " mlp/fc1 mlp/fc2",
)
VISION, _TEXT = "vision_model/embeddings", "text_model/embeddings"
HUGGING_FACE_TEXT: Table = (
  (f"{_TEXT}/token_embedding/weight", "text_tower/token_embedding/embedding"),
  (f"{_TEXT}/position_embedding/weight", "text_tower/position_embedding"),
  *norm("text_model/final_layer_norm", "text_tower/norm_final"),
  *blocks("text_model/encoder/layers", "text_tower", HUGGING_FACE_BLOCK),
)
_HUGGING_FACE: Table = (
  (f"{VISION}/patch_embedding/weight", "image_tower/patch_embedding/kernel"),
  (f"{VISION}/class_embedding", "image_tower/class_embedding"),
  (f"{VISION}/position_embedding/weight", "image_tower/position_embedding"),
  *norm("vision_model/pre_layrnorm", "image_tower/norm_pre"),
  *norm("vision_model/post_layernorm", "image_tower/norm_post"),
  *blocks("vision_model/encoder/layers", "image_tower", HUGGING_FACE_BLOCK),
  ("visual_projection/weight", "image_projection/kernel"),
  *HUGGING_FACE_TEXT,
  ("text_projection/weight", "text_projection/kernel"),
)

# What UnLoc has no use for: CLIP's temperature, sizes and constant buffers.
_UNUSED = re.compile(
  r"(logit_scale|logit_bias|input_resolution|context_length|vocab_size"
  r"|(.*/)?attn_mask|(.*/)?position_ids)$"
)
_FUSED = re.compile(r"(.+/attn|.+/attention)/in_proj_(weight|bias)")


def _is_hugging_face(tensors: Tensors) -> bool:
  return f"{VISION}/class_embedding" in tensors


def recognises(tensors: Tensors) -> bool:
  """Whether tensors are a CLIP's, under either naming."""
  # With a pooled head it is Perception Encoder's.
  return _is_hugging_face(tensors) or (
    any(name.startswith("visual/") for name in tensors)
    and "visual/attn_pool/probe" not in tensors
  )


def convert(tensors: Tensors, config: Mapping[str, Any], named: str) -> Weights:
  """CLIP's tensors under either naming -> our towers and projections.

  Args:
    tensors: By name, parts joined by slashes.
    config: config.json or open_clip_config.json beside the file, or {}.
    named: The activation, where the configuration does not state it.

  Returns:
    Parameters, one class embedding for all frames; sizes as {"towers": ...},
    and what had to be assumed as {"assumed": ...}.

  Raises:
    ValueError: It is not a CLIP ViT, or tensors are missing, too many or of
      wrong shapes; all are listed.
  """
  if any(name.startswith("visual/layer1/") for name in tensors):
    raise ValueError("it is a ResNet; UnLoc's towers are CLIP's ViTs")
  stated = config.get("preprocess_cfg", {})
  if any(tuple(stated.get(k, v)) != v for k, v in PIXELS._asdict().items()):
    raise ValueError(
      f"its pixels are normalised by mean {stated.get('mean')} and std "
      f"{stated.get('std')}, not as CLIP's; take another model"
    )
  if any(name.startswith("visual/trunk/") for name in tensors):
    raise ValueError(
      "its image tower has timm's names; take the same model from its makers "
      "(docs/weights.md)"
    )
  table = _HUGGING_FACE if _is_hugging_face(tensors) else OPENAI
  found = Renamed(apart(tensors), table)
  image, text = found.image_sizes(), found.text_sizes()
  for part, section in (("vision", image), ("text", text)):
    used, count = _said(config, part)
    section["num_heads"] = heads(section["width"], count, _CHANNELS)
    section["activation"] = activation(used, named, "quick_gelu")
  width = found.needed("image_projection/kernel", 2).shape[1]
  sizes = {"image": image, "text": text, "width": width}
  about: dict[str, Any] = {"towers": sizes}
  # OpenAI's archives alone have that buffer.
  is_openai = "input_resolution" in tensors
  if not (_said(config, "text")[0] or named or is_openai):
    about["assumed"] = (
      "activation quick_gelu, as in OpenAI's models; nothing beside the file "
      "states it, and most of OpenCLIP's have exact GELU: then give "
      "--activation gelu"
    )
  return Weights(found.fitted(sizes), about)


def apart(tensors: Tensors) -> dict[str, np.ndarray]:
  """Tensors that we use, queries, keys and values apart."""
  found = {}
  for full, value in tensors.items():
    # OpenCLIP's newer text tower; Hugging Face's is text_model.
    name = full.removeprefix("text/")
    fused = _FUSED.fullmatch(name)
    if _UNUSED.match(name):
      continue
    if fused is None or len(value) % 3:
      found[name] = value
      continue
    for part, values in zip("qkv", np.split(value, 3), strict=True):
      found[f"{fused[1]}/{part}/{fused[2]}"] = values
  return found


def _said(config: Mapping[str, Any], part: str) -> tuple[str, int]:
  """Activation and heads of the "vision" or "text" tower; "" and 0: unsaid."""
  if model := config.get("model_cfg"):  # OpenCLIP's.
    section = model[f"{part}_cfg"]
    used = "quick_gelu" if model.get("quick_gelu") else "gelu"
    if part == "text":
      return used, section.get("heads", 0)
    head = section.get("head_width", 64)
    return used, section["width"] // head if "width" in section else 0
  section = config.get(f"{part}_config")
  if section is None:
    return "", 0
  # What Hugging Face's configurations leave out has the default of its class.
  used = section.get("hidden_act", "quick_gelu")
  return used, section.get("num_attention_heads", 0)
