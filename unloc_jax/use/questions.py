"""What is asked, checked and turned into token ids."""

from collections.abc import Sequence

import ml_collections
import numpy as np

from unloc_jax.data.class_texts import class_texts
from unloc_jax.data.tokenizer import Tokenizer

MAX_CHARACTERS = 1000


def captions(
  config: ml_collections.ConfigDict, sentences: Sequence[str]
) -> np.ndarray:
  """Token ids of sentences as they are, int32 [1, Q, L].

  Raises ValueError where one is empty, too long, or the model reads no text.
  """
  check_texts(sentences, "query")
  if not config.model.text_tower.num_layers:
    raise ValueError(
      "the model has no text tower, so it only knows its own labels; use detect"
    )
  return Tokenizer(config.data.max_tokens)(list(sentences))[None]


def labels(
  config: ml_collections.ConfigDict, names: Sequence[str]
) -> np.ndarray:
  """Prompts of labels, ids [R, C, L] or embeddings [R, C, D].

  Raises ValueError where one is empty, too long, or has no embedding.
  """
  check_texts(names, "label")
  return class_texts(config, tuple(names))


def check_texts(texts: Sequence[str], what: str) -> None:
  """Raises ValueError at the first text that cannot be asked."""
  if isinstance(texts, str):
    raise ValueError(f"{what}: give a list of texts, not one text")
  if not texts:
    raise ValueError(f"{what}: there is none; give at least one")
  for number, text in enumerate(texts, start=1):
    if not text.strip():
      raise ValueError(f"{what} {number} is empty; say what to look for")
    if len(text) > MAX_CHARACTERS:
      raise ValueError(
        f"{what} {number} has {len(text):,} characters, at most "
        f"{MAX_CHARACTERS:,} are read; shorten it"
      )
