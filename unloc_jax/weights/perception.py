"""Perception Encoder Core as Meta publishes it, a state dict in a .pt file."""

from collections.abc import Mapping
from typing import Any

from unloc_jax.weights import clip
from unloc_jax.weights.conversion import (
  Renamed,
  Table,
  Tensors,
  activation,
  below,
  block,
  heads,
)
from unloc_jax.weights.folder import Weights

NAME = "Perception Encoder Core (Meta)"
_THEIRS, _OURS = "visual/attn_pool", "image_tower/pool"
_PROBE = f"{_OURS}/probe"
_TABLE: Table = (
  (f"{_THEIRS}/probe", _PROBE),
  *below(_THEIRS, _OURS, block({"layernorm": "norm"}, clip.OPENAI_MAPS)),
  *clip.OPENAI,
)


def recognises(tensors: Tensors) -> bool:
  """Whether tensors are a Perception Encoder's: CLIP's with a pooled head."""
  return f"{_THEIRS}/probe" in tensors


def convert(tensors: Tensors, config: Mapping[str, Any], named: str) -> Weights:
  """Perception Encoder's tensors -> our towers and projections.

  Arguments and errors are those of `clip.convert`; there is no configuration
  that would state sizes.
  """
  del config
  found = Renamed(clip.apart(tensors), _TABLE)
  found.params[_PROBE] = found.needed(_PROBE, 3).reshape(-1)
  image, text = found.image_sizes(), found.text_sizes()
  image |= {
    "kind": "pe",
    "classifier": "attention",
    "class_token": "image_tower/class_embedding" in found.params,
  }
  for section, channels in ((image, {1536: 96}), (text, {})):
    section["num_heads"] = heads(section["width"], 0, channels)
    section["activation"] = activation("gelu", named, "gelu")
  width = found.needed("image_projection/kernel", 2).shape[1]
  sizes = {"image": image, "text": text, "width": width}
  return Weights(found.fitted(sizes), {"towers": sizes})
