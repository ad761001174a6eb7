"""Texts -> embeddings, by the text tower in a folder of weights."""

from collections.abc import Sequence
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax.config import schema
from unloc_jax.data import tokenizer
from unloc_jax.models.towers import kinds
from unloc_jax.weights.folder import load_weights, tower_of

_ROWS = 128  # Texts encoded at a time, at most.


class TextEmbedder:
  """Function of N texts -> float32 [N, D]; made once, called often."""

  def __init__(self, folder: str, length: int = 0):
    """Reads texts to `length` tokens, 0 is as many as the tower can.

    Raises ValueError where the folder of weights holds no text tower.
    """
    loaded = load_weights(folder)
    section = tower_of(loaded.config, "text")
    if not section or not section["num_layers"]:
      raise ValueError(f"{folder}: the folder holds no text tower")
    tower = kinds.text_tower({**section, "remat": "none"})
    params = flax.traverse_util.unflatten_dict(loaded.params, sep="/")
    self._length = length or section["max_tokens"]
    config = schema.base().unlock()
    config.init.weights, config.data.max_tokens = folder, self._length
    config.model.text_tower.update(section)
    self._tokenize = tokenizer.of_config(config)

    @jax.jit
    def encode(ids: jax.Array) -> jax.Array:
      tokens: Any = tower.apply({"params": params["text_tower"]}, ids, True)
      kernel = jnp.asarray(params["text_projection"]["kernel"])
      return tower.pool(tokens, ids) @ kernel

    self._encode = encode

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Embeddings float32 [N, D] of texts."""
    ids = np.asarray(self._tokenize(list(texts)))
    rows = min(_ROWS, 1 << (len(ids) - 1).bit_length())
    whole = np.pad(ids, ((0, -len(ids) % rows), (0, 0)), mode="edge")
    parts = whole.reshape(-1, rows, self._length)
    made = [np.asarray(self._encode(jnp.asarray(part))) for part in parts]
    return np.concatenate(made)[: len(ids)]
