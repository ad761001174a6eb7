"""Captions to rows of token ids: CLIP's byte pairs, or a tokenizer.json."""

import functools
import gzip
import html
import importlib.resources
import os
import pathlib
import re
import unicodedata
from collections.abc import Sequence

import ml_collections
import numpy as np
import tokenizers

# In a folder of weights whose text tower is not CLIP's.
TOKENIZER = "tokenizer.json"

_START, _END = "<|startoftext|>", "<|endoftext|>"
_START_ID, _END_ID, _PAD_ID = 49406, 49407, 0
_NUM_MERGES = _START_ID - 2 * 256
# The long s is what a case-insensitive "s" also matches.
_WORD_PATTERN = (
  "'[s\u017f]|'t|'re|'ve|'m|'ll|'d"
  r"|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
)

_SINGLE_QUOTES = re.compile("[\u02bc\u2018-\u201b]")
_DOUBLE_QUOTES = re.compile("[\u201c-\u201f]")
# Ligatures, and characters as wide as a Chinese one.
_COMPOSED = re.compile(
  "[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06"
  "\u3000\uff01-\uffef]"
)
_CONTROLS = re.compile(
  "[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]"
)
# UTF-8 read as Windows-1252: the lead byte of a two- or three-byte character
# followed by what a continuation byte looks like there.
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2(\u20ac|\u0080)")


def _repair(text: str) -> str:
  """Undoes the common accidents that happen to text on its way here."""
  if "<" not in text:
    text = html.unescape(text)
  if text.isascii():
    return _CONTROLS.sub("", text)
  if _MOJIBAKE.search(text):
    for wrong in ("cp1252", "latin-1"):
      try:
        text = text.encode(wrong).decode("utf-8")
        break
      except UnicodeError:
        continue
  text = _COMPOSED.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
  text = _DOUBLE_QUOTES.sub('"', _SINGLE_QUOTES.sub("'", text))
  text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
  return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


def clean(text: str) -> str:
  """Text as CLIP was trained on it: repaired, unescaped, one line, lower."""
  text = html.unescape(html.unescape(_repair(text)))
  return re.sub(r"\s+", " ", text).strip().lower()


@functools.cache
def _clip() -> tokenizers.Tokenizer:
  """CLIP's byte pairs, without what comes before and after a text."""
  asset = importlib.resources.files(__package__).joinpath(
    "assets", "bpe_simple_vocab_16e6.txt.gz"
  )
  lines = gzip.decompress(asset.read_bytes()).decode("utf-8").split("\n")
  pairs = (line.split() for line in lines[1 : 1 + _NUM_MERGES])
  merges = [(left, right) for left, right in pairs]
  pieces = tokenizers.pre_tokenizers
  # Of every byte; as numbers they are in the vocabulary's order.
  symbols = sorted(pieces.ByteLevel.alphabet())
  units = [*symbols, *(s + "</w>" for s in symbols), *map("".join, merges)]
  bpe = tokenizers.Tokenizer(
    tokenizers.models.BPE(
      vocab={unit: i for i, unit in enumerate([*units, _START, _END])},
      merges=merges,
      end_of_word_suffix="</w>",
      fuse_unk=False,
    )
  )
  words = tokenizers.Regex(_WORD_PATTERN)
  bpe.pre_tokenizer = pieces.Sequence(
    [
      pieces.Split(words, behavior="removed", invert=True),
      pieces.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
  )
  bpe.add_special_tokens([_START, _END])
  return bpe


def _padded(rows: Sequence[Sequence[int]], length: int) -> np.ndarray:
  ids = np.full((len(rows), length), _PAD_ID, np.int32)
  for row, words in zip(ids, rows, strict=True):
    row[: len(words)] = words
  return ids


class Tokenizer:
  """Captions to rows of L token ids: start, text, end, then padding.

  Attributes:
    max_tokens: L; a longer caption is cut and keeps its end token.
  """

  def __init__(self, max_tokens: int):
    if max_tokens < 2:
      raise ValueError(
        f"max_tokens={max_tokens}: a row holds at least the start and the "
        "end token; set it to 2 or more"
      )
    self.max_tokens = max_tokens
    self._bpe = _clip()

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Token ids of texts, int32 [Q, L]."""
    encodings = self._bpe.encode_batch(
      [clean(text) for text in texts], add_special_tokens=False
    )
    kept = [encoding.ids[: self.max_tokens - 2] for encoding in encodings]
    rows = [[_START_ID, *ids, _END_ID] for ids in kept]
    return _padded(rows, self.max_tokens)


class FileTokenizer:
  """Captions to rows of L token ids, 0 is padding, as a tokenizer.json says.

  Attributes:
    max_tokens: L; longer captions are cut, and keep their end token.
    vocab_size: Ids that there are.
  """

  def __init__(self, path: str, max_tokens: int):
    """Opens a file; raises ValueError where it is no tokenizer.json."""
    try:
      self._tokenizer = tokenizers.Tokenizer.from_file(path)
      self._tokenizer.no_padding()
      self._tokenizer.enable_truncation(max_tokens)
    except Exception as error:  # The library raises no other class.
      raise ValueError(
        f"{path} is not a tokenizer.json ({error}); convert the weights again"
      ) from error
    self.max_tokens = max_tokens
    self.vocab_size = self._tokenizer.get_vocab_size()

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Token ids of texts, int32 [Q, L]."""
    encodings = self._tokenizer.encode_batch(list(texts))
    return _padded([encoding.ids for encoding in encodings], self.max_tokens)


def file_of(config: ml_collections.ConfigDict) -> str:
  """Path of the tokenizer.json of a config; "" for CLIP's own tokenizer.

  Raises:
    ValueError: The text tower needs a file, and none is named.
  """
  kind, folder = config.model.text_tower.kind, config.init.weights
  if config.text.tokenizer or kind == "clip":
    return str(config.text.tokenizer)
  if not folder:
    raise ValueError(
      f"text.tokenizer: a text tower of kind {kind!r} needs its tokenizer.json;"
      " give the file, or init.weights, the folder that it lies in"
    )
  return os.path.join(folder, TOKENIZER)


def read(config: ml_collections.ConfigDict) -> str:
  """Text of a config's tokenizer.json, "" where it needs none.

  Raises:
    ValueError: It needs one that cannot be read.
  """
  if not config.model.text_tower.num_layers or not file_of(config):
    return ""
  try:
    return pathlib.Path(file_of(config)).read_text(encoding="utf-8")
  except OSError as error:
    raise ValueError(
      f"{file_of(config)}: {error.strerror}; convert the weights again"
    ) from error


def of_config(
  config: ml_collections.ConfigDict,
) -> Tokenizer | FileTokenizer:
  """The tokenizer of a config, to `data.max_tokens` ids.

  Raises:
    ValueError: It cannot be read, or knows more than the text tower.
  """
  file, length = file_of(config), config.data.max_tokens
  if not file:
    return Tokenizer(length)
  found, known = FileTokenizer(file, length), config.model.text_tower.vocab_size
  if found.vocab_size > known:
    raise ValueError(
      f"{file} has {found.vocab_size} ids, but model.text_tower.vocab_size is "
      f"{known}; take the tokenizer of these weights"
    )
  return found
