"""Perception Encoder Core as Meta publishes it, a state dict in a .pt file."""

import functools
import math
from collections.abc import Mapping
from typing import Any

from unloc_jax.weights import clip
from unloc_jax.weights.conversion import (
  Format,
  Table,
  Tensors,
  activation,
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

_THEIRS, _OURS = "visual/attn_pool", "image_tower/pool"
_TABLE: Table = (
  (f"{_THEIRS}/probe", f"{_OURS}/probe"),
  *linear(f"{_THEIRS}/attn/q", f"{_OURS}/attention/query"),
  *linear(f"{_THEIRS}/attn/k", f"{_OURS}/attention/key"),
  *linear(f"{_THEIRS}/attn/v", f"{_OURS}/attention/value"),
  *linear(f"{_THEIRS}/attn/out_proj", f"{_OURS}/attention/out"),
  *norm(f"{_THEIRS}/layernorm", f"{_OURS}/norm"),
  *linear(f"{_THEIRS}/mlp/c_fc", f"{_OURS}/mlp/up"),
  *linear(f"{_THEIRS}/mlp/c_proj", f"{_OURS}/mlp/down"),
  *clip.OPENAI,
)


def convert(
  tensors: Tensors, config: Mapping[str, Any], named: str = ""
) -> Weights:
  """Perception Encoder's tensors -> our towers and projections.

  Arguments are those of `clip.convert`; there is no configuration that would
  state sizes.

  Raises:
    ValueError: It is no Perception Encoder Core, or tensors are missing, too
      many or of wrong shapes; all are listed.
  """
  del config
  params, unknown = renamed(clip.apart(tensors), _TABLE)
  get = functools.partial(needed, params, what="Perception Encoder Core")
  has_class = "image_tower/class_embedding" in params
  patches = len(get("image_tower/position_embedding", 2)) - has_class
  side, _, _, width = get("image_tower/patch_embedding/kernel", 4).shape
  words = get("text_tower/token_embedding/embedding", 2)
  params[f"{_OURS}/probe"] = get(f"{_OURS}/probe", 3).reshape(-1)
  used = activation("gelu", named, "gelu")
  sizes = {
    "image": {
      "kind": "pe",
      "classifier": "attention",
      "class_token": has_class,
      "patch": side,
      "width": width,
      "num_heads": heads(width, width // {1536: 96}.get(width, 64)),
      "activation": used,
      "image_size": side * math.isqrt(patches),
      **blocks_of(params, "image_tower"),
    },
    "text": {
      "vocab_size": len(words),
      "max_tokens": len(get("text_tower/position_embedding", 2)),
      "width": words.shape[1],
      "num_heads": heads(words.shape[1], words.shape[1] // 64),
      "activation": used,
      **blocks_of(params, "text_tower"),
    },
    "width": get("image_projection/kernel", 2).shape[1],
  }
  params = fitted(params, unknown, shapes(sizes), "Perception Encoder Core")
  return Weights(params, {"towers": sizes})


FORMAT = Format(
  "Perception Encoder Core (Meta)",
  lambda tensors: f"{_THEIRS}/probe" in tensors,
  convert,
)
