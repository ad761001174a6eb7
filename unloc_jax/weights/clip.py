"""CLIP's ViTs as OpenAI, OpenCLIP and Hugging Face publish them.

OpenAI's ViT-B/32, B/16 and L/14, Hugging Face's CLIPModel and OpenCLIP's state
dicts; sizes are read off the tensors' shapes.
"""

import functools
import re
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from unloc_jax.models.towers.clip import PIXELS
from unloc_jax.weights.conversion import (
  Format,
  Table,
  Tensors,
  activation,
  block,
  blocks,
  blocks_of,
  fitted,
  heads,
  needed,
  norm,
  renamed,
  shapes,
)
from unloc_jax.weights.folder import Weights

_HEAD_DIM = 64  # Of every published CLIP; a config.json may say otherwise.

# OpenAI's and OpenCLIP's block; q, k and v are split before.
_OPENAI_BLOCK = block(
  ("ln_1", "ln_2"), "attn q k v out_proj", "mlp c_fc c_proj"
)
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
  ("layer_norm1", "layer_norm2"),
  "self_attn q_proj k_proj v_proj out_proj",
  "mlp fc1 fc2",
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


def _recognises(tensors: Tensors) -> bool:
  # With a pooled head it is Perception Encoder's.
  return _is_hugging_face(tensors) or (
    any(name.startswith("visual/") for name in tensors)
    and "visual/attn_pool/probe" not in tensors
  )


def convert(
  tensors: Tensors, config: Mapping[str, Any], named: str = ""
) -> Weights:
  """CLIP's tensors under either naming -> our towers and projections.

  Args:
    tensors: By name, parts joined by slashes.
    config: config.json or open_clip_config.json beside the file, or {}.
    named: The activation, where the configuration does not state it.

  Returns:
    One class embedding for all frames, sizes as {"clip": ...}, and what had to
    be assumed as {"assumed": ...}.

  Raises:
    ValueError: It is not a CLIP ViT, or tensors are missing, too many or of
      wrong shapes; all are listed.
  """
  if any(name.startswith("visual/layer1/") for name in tensors):
    raise ValueError("it is a CLIP ResNet; UnLoc's towers are CLIP's ViTs")
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
  params, unknown = renamed(apart(tensors), table)
  sizes = _sizes(params)
  for part, section in sizes.items():
    if part == "width":
      continue
    said = _said(config, part)
    used = activation(said.activation, named, "quick_gelu")
    section |= {"activation": used} if used != "quick_gelu" else {}
    width = section["width"]
    section["num_heads"] = heads(width, said.heads or width // _head(width))
  params = fitted(params, unknown, shapes(sizes), "CLIP ViT")
  about: dict[str, Any] = {"clip": sizes}
  if not (_said(config, "text").activation or named or _is_openai(tensors)):
    about["assumed"] = (
      "activation quick_gelu, as in OpenAI's models; nothing beside the file "
      "states it, and most of OpenCLIP's have exact GELU: then give "
      "--activation gelu"
    )
  return Weights(params, about)


FORMAT = Format(
  "CLIP's ViT (OpenAI, OpenCLIP, Hugging Face)", _recognises, convert
)


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


class _Said(typing.NamedTuple):
  """What a configuration says of a tower; "" and 0 where nothing."""

  activation: str = ""
  heads: int = 0


def _said(config: Mapping[str, Any], part: str) -> _Said:
  """Of the "image" or "text" tower, in either form of configuration."""
  if model := config.get("model_cfg"):
    used = "quick_gelu" if model.get("quick_gelu") else "gelu"
    section = model["vision_cfg" if part == "image" else "text_cfg"]
    if part == "text":
      return _Said(used, section.get("heads", 0))
    head = section.get("head_width", _HEAD_DIM)
    return _Said(used, section["width"] // head if "width" in section else 0)
  section = config.get("vision_config" if part == "image" else "text_config")
  if section is None:
    return _Said()
  # What Hugging Face's configurations leave out has the default of its class.
  return _Said(
    section.get("hidden_act", "quick_gelu"),
    section.get("num_attention_heads", 0),
  )


def _head(width: int) -> int:
  """Channels of a head where nothing says so: OpenCLIP's larger ViTs differ."""
  return {1280: 80, 1408: 88, 1664: 104}.get(width, _HEAD_DIM)


def _is_openai(tensors: Tensors) -> bool:
  """Whether buffers are there that only OpenAI's archives have."""
  return "input_resolution" in tensors


def _sizes(params: Tensors) -> dict[str, Any]:
  """Sizes of the towers, read off shapes."""
  get = functools.partial(needed, params, what="CLIP ViT")
  patch = get("image_tower/patch_embedding/kernel", 4)
  position = get("image_tower/position_embedding", 2)
  tokens = get("text_tower/token_embedding/embedding", 2)
  text_position = get("text_tower/position_embedding", 2)
  projection = get("image_projection/kernel", 2)
  side, _, _, width = patch.shape
  grid = round((len(position) - 1) ** 0.5)
  return {
    "image": {
      "patch": side,
      "width": width,
      "image_size": grid * side,
      **blocks_of(params, "image_tower"),
    },
    "text": {
      "vocab_size": tokens.shape[0],
      "max_tokens": text_position.shape[0],
      "width": tokens.shape[1],
      **blocks_of(params, "text_tower"),
    },
    "width": projection.shape[1],
  }
