"""Sentences as embeddings, and how near each is to the names of classes.

A file (`sentences.npz`) holds, from one sentence encoder: `names` [C] of the
classes that an extractor of sound scores and `name_embeddings` [C, E]; `texts`
[N] that the model knows beside them and `text_embeddings` [N, E]; and `labels`,
those of the texts that name what it was trained to find.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence

import ml_collections
import numpy as np

from unloc_jax.data import tokenizer
from unloc_jax.files import replacing

# Texts [Q] -> rows [Q, L] or [Q, E'].
TextReader = Callable[[Sequence[str]], np.ndarray]
_ARRAYS = ("names", "name_embeddings", "texts", "text_embeddings", "labels")


@dataclasses.dataclass(frozen=True)
class Sentences:
  """Turns sentences into rows; called with texts [Q].

  A row is C cosines with the names of classes, then the E channels of the
  sentence's embedding, of length 1.
  """

  path: str  # Of the file
  names: np.ndarray  # float32 [C, E], of length 1
  known: dict[str, np.ndarray]  # Plain text -> float32 [E]
  labels: tuple[str, ...]  # What the model was trained to find
  encode: TextReader | None = None  # To float32 [Q, E]; None: known only

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Rows float32 [Q, C + E]; ValueError where a text is not known."""
    new = [text for text in texts if plain(text) not in self.known]
    found = {}
    if new:
      if self.encode is None:
        raise UnknownSentenceError(
          f"{new[0]!r} is none of the {len(self.known)} texts in {self.path}"
        )
      found = dict(zip(new, self.encode(new), strict=True))
    rows = [found[t] if t in found else self.known[plain(t)] for t in texts]
    embeddings = unit(np.stack(rows))
    return np.concatenate([embeddings @ self.names.T, embeddings], axis=1)


class UnknownSentenceError(ValueError):
  """A text whose embedding is not at hand."""


def plain(text: str) -> str:
  """A text without what does not change its meaning."""
  return " ".join(re.sub(r"[^\w\s'-]", " ", text.casefold()).split())


def unit(rows: np.ndarray) -> np.ndarray:
  """Rows of length 1, float32."""
  rows = np.asarray(rows, np.float32)
  length = np.linalg.norm(rows, axis=-1, keepdims=True)
  brought: np.ndarray = rows / np.maximum(length, 1e-6)
  return brought


def reader(config: ml_collections.ConfigDict) -> TextReader:
  """What makes rows of texts that a model takes: embeddings, or token ids.

  Raises ValueError where a file that it needs is missing or does not fit.
  """
  if config.text.sentence_width:
    return read(config.text.sentences, config.text.sentence_width)
  return tokenizer.of_config(config)


@functools.lru_cache(4)
def read(path: str, width: int) -> Sentences:
  """Reads a file of sentences whose rows are `width` wide, C + E.

  Raises ValueError where it is none.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      names, vectors, texts, known, labels = (file[name] for name in _ARRAYS)
  except (OSError, ValueError, KeyError) as error:
    raise ValueError(
      f"text.sentences: {path} holds no sentences ({error}); make it with "
      "python -m data_preprocessing.sounds.extractor"
    ) from error
  if len(names) != len(vectors) or sum(vectors.shape) != width:
    raise ValueError(
      f"text.sentences: {path} has names of shape {vectors.shape}, which does "
      f"not make rows of text.sentence_width={width}"
    )
  said = [plain(str(text)) for text in (*names, *texts)]
  both = unit(np.concatenate([vectors, known]))
  rows = dict(zip(said, both, strict=True))
  return Sentences(path, unit(vectors), rows, tuple(map(str, labels)))


def write(
  path: str,
  names: Sequence[str],
  texts: Sequence[str],
  labels: Sequence[str],
  encode: TextReader,
) -> None:
  """Writes a file of sentences, embeddings in float16."""
  texts = list(dict.fromkeys([*labels, *texts]))
  with replacing(path) as beside, beside.open("wb") as file:
    np.savez_compressed(
      file,
      names=np.array(names),
      name_embeddings=encode(list(names)).astype(np.float16),
      texts=np.array(texts),
      text_embeddings=encode(texts).astype(np.float16),
      labels=np.array(labels),
    )
