"""CLIP's ViTs as OpenAI, OpenCLIP and Hugging Face publish them.

OpenAI's ViT-B/32, B/16 and L/14, Hugging Face's CLIPModel and OpenCLIP's state
dicts; sizes are read off the tensors' shapes.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.weights.conversion import (
  Format,
  Table,
  Tensors,
  block,
  blocks,
  fitted,
  norm,
  renamed,
)
from unloc_jax.weights.folder import Weights

_HEAD_DIM = 64  # Of every published CLIP; a config.json may say otherwise.

# OpenAI's and OpenCLIP's block; q, k and v are split before.
_OPENAI_BLOCK = block(
  ("ln_1", "ln_2"), "attn q k v out_proj", "mlp c_fc c_proj"
)
_OPENAI: Table = (
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

_HUGGING_FACE_BLOCK = block(
  ("layer_norm1", "layer_norm2"),
  "self_attn q_proj k_proj v_proj out_proj",
  "mlp fc1 fc2",
)
_VISION, _TEXT = "vision_model/embeddings", "text_model/embeddings"
_HUGGING_FACE: Table = (
  (f"{_VISION}/patch_embedding/weight", "image_tower/patch_embedding/kernel"),
  (f"{_VISION}/class_embedding", "image_tower/class_embedding"),
  (f"{_VISION}/position_embedding/weight", "image_tower/position_embedding"),
  *norm("vision_model/pre_layrnorm", "image_tower/norm_pre"),
  *norm("vision_model/post_layernorm", "image_tower/norm_post"),
  *blocks("vision_model/encoder/layers", "image_tower", _HUGGING_FACE_BLOCK),
  ("visual_projection/weight", "image_projection/kernel"),
  (f"{_TEXT}/token_embedding/weight", "text_tower/token_embedding/embedding"),
  (f"{_TEXT}/position_embedding/weight", "text_tower/position_embedding"),
  *norm("text_model/final_layer_norm", "text_tower/norm_final"),
  *blocks("text_model/encoder/layers", "text_tower", _HUGGING_FACE_BLOCK),
  ("text_projection/weight", "text_projection/kernel"),
)

# What UnLoc has no use for: CLIP's temperature, sizes and constant buffers.
_UNUSED = re.compile(
  r"(logit_scale|logit_bias|input_resolution|context_length|vocab_size"
  r"|(.*/)?attn_mask|(.*/)?position_ids)$"
)
_FUSED = re.compile(r"(.+/attn)/in_proj_(weight|bias)")


def _is_hugging_face(tensors: Tensors) -> bool:
  return f"{_VISION}/class_embedding" in tensors


def _recognises(tensors: Tensors) -> bool:
  return _is_hugging_face(tensors) or any(
    name.startswith("visual/") for name in tensors
  )


def convert(tensors: Tensors, config: Mapping[str, Any]) -> Weights:
  """CLIP's tensors under either naming -> our towers and projections.

  Args:
    tensors: By name, parts joined by slashes.
    config: config.json or open_clip_config.json beside the file, or {}.

  Returns:
    One class embedding for all frames, and sizes as {"clip": ...}.

  Raises:
    ValueError: It is not a CLIP ViT, or tensors are missing, too many or of
      wrong shapes; all are listed.
  """
  if any(name.startswith("visual/layer1/") for name in tensors):
    raise ValueError("it is a CLIP ResNet; UnLoc's towers are CLIP's ViTs")
  _check_activation(config)
  table = _HUGGING_FACE if _is_hugging_face(tensors) else _OPENAI
  params, unknown = renamed(_apart(tensors), table)
  sizes = _sizes(params)
  image, text = sizes["image"], sizes["text"]
  image["num_heads"], text["num_heads"] = _heads(config, sizes)
  params = fitted(params, unknown, _shapes(sizes), "CLIP ViT")
  return Weights(params, {"clip": sizes})


FORMAT = Format(
  "CLIP's ViT (OpenAI, OpenCLIP, Hugging Face)", _recognises, convert
)


def _apart(tensors: Tensors) -> dict[str, np.ndarray]:
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


def _check_activation(config: Mapping[str, Any]) -> None:
  """OpenCLIP's own models use exact GELU, ours are OpenAI's quick GELU."""
  used = {
    part.get("hidden_act", "quick_gelu")
    for part in (config.get("vision_config"), config.get("text_config"))
    if part
  }
  if "model_cfg" in config and not config["model_cfg"].get("quick_gelu"):
    used.add("gelu")
  for other in used - {"quick_gelu"}:
    raise ValueError(
      f"it was trained with {other}; UnLoc's towers have quick GELU: take a "
      "model with OpenAI's weights or a -quickgelu one"
    )


def _sizes(params: Tensors) -> dict[str, Any]:
  """Sizes of the towers, read off shapes."""
  patch = _needed(params, "image_tower/patch_embedding/kernel", 4)
  position = _needed(params, "image_tower/position_embedding", 2)
  tokens = _needed(params, "text_tower/token_embedding/embedding", 2)
  text_position = _needed(params, "text_tower/position_embedding", 2)
  projection = _needed(params, "image_projection/kernel", 2)
  side, _, _, width = patch.shape
  grid = round((len(position) - 1) ** 0.5)
  return {
    "image": {
      "patch": side,
      "width": width,
      "num_layers": _count_layers(params, "image_tower"),
      "image_size": grid * side,
    },
    "text": {
      "vocab_size": tokens.shape[0],
      "max_tokens": text_position.shape[0],
      "width": tokens.shape[1],
      "num_layers": _count_layers(params, "text_tower"),
    },
    "width": projection.shape[1],
  }


def _needed(params: Tensors, name: str, rank: int) -> np.ndarray:
  if name not in params or params[name].ndim != rank:
    raise ValueError(
      f"it is not a CLIP ViT: there is nothing that could be our {name}"
    )
  return params[name]


def _count_layers(params: Tensors, tower: str) -> int:
  pattern = re.compile(rf"{tower}/encoder/layer_(\d+)/")
  found = [int(m[1]) for m in map(pattern.match, params) if m]
  return 1 + max(found, default=-1)


def _heads(
  config: Mapping[str, Any], sizes: Mapping[str, Any]
) -> tuple[int, int]:
  """Heads of the image and text towers."""
  image = sizes["image"]["width"] // _HEAD_DIM
  text = sizes["text"]["width"] // _HEAD_DIM
  if "vision_config" in config:
    image = config["vision_config"].get("num_attention_heads", image)
    text = config.get("text_config", {}).get("num_attention_heads", text)
  if "model_cfg" in config:
    head_width = config["model_cfg"]["vision_cfg"].get("head_width", _HEAD_DIM)
    image = sizes["image"]["width"] // head_width
    text = config["model_cfg"]["text_cfg"].get("heads", text)
  for name, heads in (("image", image), ("text", text)):
    if heads < 1 or sizes[name]["width"] % heads:
      raise ValueError(
        f"a width of {sizes[name]['width']} has no {heads} heads; put the "
        "model's config.json beside the file"
      )
  return image, text


def _shapes(sizes: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of our towers of these sizes, seeing one frame."""
  image, text = dict(sizes["image"]), dict(sizes["text"])
  side = image.pop("image_size")
  frames = jax.ShapeDtypeStruct((1, 1, side, side, 3), np.float32)
  ids = jax.ShapeDtypeStruct((1, text["max_tokens"]), np.int32)
  towers = {
    "image_tower": (ImageTower(**image), frames),
    "text_tower": (TextTower(**text), ids),
  }
  shapes: dict[str, jax.ShapeDtypeStruct] = {}
  for name, (tower, seen) in towers.items():
    start = functools.partial(tower.init, deterministic=True)
    params = jax.eval_shape(start, jax.random.key(0), seen)["params"]
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    shapes |= {f"{name}/{path}": leaf for path, leaf in flat.items()}
  for part in ("image", "text"):
    shapes[f"{part}_projection/kernel"] = jax.ShapeDtypeStruct(
      (sizes[part]["width"], sizes["width"]), np.float32
    )
  return shapes
