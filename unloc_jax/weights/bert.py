"""BERT as sentence-transformers publishes it, such as all-MiniLM-L6-v2."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

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

NAME = "BERT sentence encoder (sentence-transformers)"
_EPSILON = 1e-12

_BLOCK = block(
  {"attention/output/LayerNorm": "norm_1", "output/LayerNorm": "norm_2"},
  "attention/self/query attention/self/key attention/self/value"
  " attention/output/dense intermediate/dense output/dense",
)
_WORDS = "embeddings/word_embeddings/weight"
_TYPES = "embeddings/token_type_embeddings/weight"
_POSITIONS = "text_tower/position_embedding"
_TABLE: Table = (
  (_WORDS, "text_tower/token_embedding/embedding"),
  ("embeddings/position_embeddings/weight", _POSITIONS),
  *norm("embeddings/LayerNorm", "text_tower/norm_pre"),
  *blocks("encoder/layer", "text_tower", _BLOCK),
)
# The mean is pooled, not what BERT was pretrained to pool.
_UNUSED = re.compile(r"pooler/.*|cls/.*|embeddings/position_ids")


def recognises(tensors: Tensors) -> bool:
  """Whether tensors are a BERT's."""
  return _WORDS in tensors


def convert(tensors: Tensors, config: Mapping[str, Any], named: str) -> Weights:
  """BERT's tensors -> our text tower, and a projection that changes nothing.

  Texts have one segment: its embedding is added to the positions. Raises
  ValueError where the mean is not what is pooled, and as of `clip.convert`,
  whose arguments these are.
  """
  pooling = config.get("pooling", {})
  if pooling and not pooling.get("pooling_mode_mean_tokens"):
    raise ValueError("it does not pool the mean token; only that is known")
  if config.get("layer_norm_eps", _EPSILON) != _EPSILON:
    raise ValueError(f"its layer_norm_eps is not {_EPSILON}")
  used = {k: v for k, v in tensors.items() if not _UNUSED.fullmatch(k)}
  types = np.asarray(used.pop(_TYPES, np.zeros((1, 1))), np.float32)
  found = Renamed(used, _TABLE)
  found.params[_POSITIONS] = found.needed(_POSITIONS, 2) + types[0]
  text = {"kind": "bert", **found.text_sizes()}
  width = text["width"]
  text |= {
    "num_heads": heads(width, config.get("num_attention_heads", 0)),
    "activation": activation(config.get("hidden_act", ""), named, "gelu"),
  }
  found.params["text_projection/kernel"] = np.eye(width, dtype=np.float32)
  sizes = {"text": text, "width": width}
  about: dict[str, Any] = {"towers": sizes}
  if not config:
    about["assumed"] = (
      f"{text['num_heads']} heads and mean pooling: no config.json is beside it"
    )
  return Weights(found.fitted(sizes), about)
