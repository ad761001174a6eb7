"""BERT as sentence-transformers publishes it, such as all-MiniLM-L6-v2."""

import functools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

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

_HEAD_DIM = 64  # Of BERT's published sizes.
_EPSILON = 1e-12

_BLOCK: Table = (
  *norm("attention/output/LayerNorm", "norm_1"),
  *norm("output/LayerNorm", "norm_2"),
  *linear("attention/self/query", "attention/query"),
  *linear("attention/self/key", "attention/key"),
  *linear("attention/self/value", "attention/value"),
  *linear("attention/output/dense", "attention/out"),
  *linear("intermediate/dense", "mlp/up"),
  *linear("output/dense", "mlp/down"),
)
_WORDS = "embeddings/word_embeddings/weight"
_POSITIONS = "embeddings/position_embeddings/weight"
_TYPES = "embeddings/token_type_embeddings/weight"
_TABLE: Table = (
  (_WORDS, "text_tower/token_embedding/embedding"),
  (_POSITIONS, "text_tower/position_embedding"),
  *norm("embeddings/LayerNorm", "text_tower/norm_pre"),
  *blocks("encoder/layer", "text_tower", _BLOCK),
)
# The mean is pooled, not what BERT was pretrained to pool.
_UNUSED = re.compile(r"pooler/.*|cls/.*|embeddings/position_ids")


def convert(
  tensors: Tensors, config: Mapping[str, Any], named: str = ""
) -> Weights:
  """BERT's tensors -> our text tower, and a projection that changes nothing.

  Texts have one segment: its embedding is added to the positions. Arguments
  are those of `clip.convert`.

  Raises:
    ValueError: It is no BERT, its mean is not what is pooled, or tensors are
      missing, too many or of wrong shapes; all are listed.
  """
  pooling = config.get("pooling", {})
  if pooling and not pooling.get("pooling_mode_mean_tokens"):
    raise ValueError("it does not pool the mean token; only that is known")
  if config.get("layer_norm_eps", _EPSILON) != _EPSILON:
    raise ValueError(f"its layer_norm_eps is not {_EPSILON}")
  used = {k: v for k, v in tensors.items() if not _UNUSED.fullmatch(k)}
  types = np.asarray(used.pop(_TYPES, np.zeros((1, 1))), np.float32)
  params, unknown = renamed(used, _TABLE)
  get = functools.partial(needed, params, rank=2, what="BERT")
  words = get("text_tower/token_embedding/embedding")
  positions = get("text_tower/position_embedding")
  width = words.shape[1]
  params["text_tower/position_embedding"] = positions + types[0]
  params["text_projection/kernel"] = np.eye(width, dtype=np.float32)
  text = {
    "kind": "bert",
    "vocab_size": words.shape[0],
    "max_tokens": positions.shape[0],
    "width": width,
    "activation": activation(config.get("hidden_act", ""), named, "gelu"),
    **blocks_of(params, "text_tower"),
  }
  count = config.get("num_attention_heads", width // _HEAD_DIM)
  text["num_heads"] = heads(width, count)
  sizes = {"text": text, "width": width}
  about: dict[str, Any] = {"towers": sizes}
  if not config:
    about["assumed"] = (
      f"{count} heads and mean pooling: no config.json is beside it"
    )
  return Weights(fitted(params, unknown, shapes(sizes), "BERT"), about)


FORMAT = Format(
  "BERT sentence encoder (sentence-transformers)",
  lambda tensors: _WORDS in tensors,
  convert,
)
