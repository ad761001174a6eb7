"""What is asked, checked and turned into token ids."""

import math
import numbers
import os
from collections.abc import Iterable
from typing import Any

import ml_collections
import numpy as np

from unloc_jax.data import tokenizer
from unloc_jax.data.class_texts import class_texts

MAX_CHARACTERS = 1000


def captions(
  config: ml_collections.ConfigDict, sentences: tuple[str, ...]
) -> np.ndarray:
  """Token ids of sentences as they are, int32 [1, Q, L].

  Raises ValueError where the model reads no text.
  """
  if not config.model.text_tower.num_layers:
    raise ValueError(
      "the model has no text tower, so it only knows its own labels; use detect"
    )
  return tokenizer.of_config(config)(sentences)[None]


def labels(
  config: ml_collections.ConfigDict, names: tuple[str, ...]
) -> np.ndarray:
  """Prompts of labels, ids [R, C, L] or embeddings [R, C, D].

  Raises ValueError where one has no embedding.
  """
  return class_texts(config, names)


def checked_texts(texts: Iterable[str], what: str) -> tuple[str, ...]:
  """The texts, each of which can be asked; else ValueError names `what`."""
  if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
    raise ValueError(f"{what}: give a list of texts, not {texts!r:.80}")
  return tuple(
    checked_text(text, f"{what}: number {number}")
    for number, text in enumerate(texts, start=1)
  )


def checked_text(text: Any, what: str) -> str:
  """A text that can be asked; else ValueError names `what`."""
  if not isinstance(text, str):
    raise ValueError(f"{what} is no text but {text!r:.80}; give a str")
  if len(text) > MAX_CHARACTERS:
    raise ValueError(
      f"{what} has {len(text):,} characters, at most {MAX_CHARACTERS:,} are "
      "read; shorten it"
    )
  if not tokenizer.clean(text):
    raise ValueError(f"{what} is empty; say what to look for")
  if any("\ud800" <= c <= "\udfff" for c in text):
    raise ValueError(f"{what} is not Unicode ({text!r:.80}); write it anew")
  return str(text)


def checked_path(value: Any, what: str) -> str:
  """A path; else ValueError names `what`."""
  if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
    raise ValueError(f"{what}: {value!r:.80} is no path")
  return os.fsdecode(value)


def checked_count(value: Any, what: str) -> int:
  """A whole number of at least 1; else ValueError names `what`."""
  is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
  if not is_whole or value < 1:
    raise ValueError(f"{what}: {value!r:.80} is no whole number of at least 1")
  return int(value)


def checked_seconds(value: Any, what: str) -> float:
  """A finite number above 0; else ValueError names `what`."""
  is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
  if not is_number or not 0 < value < math.inf:
    raise ValueError(f"{what}: {value!r:.80} is no number of seconds above 0")
  return float(value)
