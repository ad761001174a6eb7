"""The tokenizer against a second one, written from the definition of BPE."""

import gzip
import html
import itertools
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unloc_jax.data import tokenizer as tokenizer_lib

ASSET = (
  pathlib.Path(tokenizer_lib.__file__).parent
  / "assets"
  / "bpe_simple_vocab_16e6.txt.gz"
)
CONTRACTIONS = ("'re", "'ve", "'ll", "'s", "'t", "'m", "'d")


class SlowTokenizer:
  """Byte-pair encoding by its definition, a pair at a time, no library.

  Shares no code with the package: words are found by walking characters and
  their Unicode categories, merges are applied one by one.
  """

  def __init__(self):
    lines = gzip.decompress(ASSET.read_bytes()).decode().split("\n")
    pairs = [tuple(line.split()) for line in lines[1:48895]]
    kept = [b for b in range(256) if chr(b).isprintable() and chr(b) != " "]
    rest = [b for b in range(256) if b not in kept]
    self.symbol = {b: chr(b) for b in kept}
    self.symbol.update({b: chr(256 + i) for i, b in enumerate(rest)})
    ordered = [self.symbol[b] for b in kept + rest]
    units = ordered + [s + "</w>" for s in ordered]
    units += ["".join(p) for p in pairs]
    self.ids = {unit: i for i, unit in enumerate(units)}
    self.ranks = {pair: i for i, pair in enumerate(pairs)}
    self.cache: dict[str, list[int]] = {}

  @staticmethod
  def kind(character: str) -> str:
    category = unicodedata.category(character)
    return category[0] if category[0] in "LN" else "other"

  def words(self, text: str):
    i = 0
    while i < len(text):
      special = next(
        (
          s
          for s in ("<|startoftext|>", "<|endoftext|>", *CONTRACTIONS)
          if text.startswith(s, i)
        ),
        None,
      )
      if text[i] == " ":
        i += 1
        continue
      if special:
        end = i + len(special)
      else:
        kind, end = self.kind(text[i]), i + 1
        # Digits stand alone, letters and signs run on.
        while (
          kind != "N"
          and end < len(text)
          and text[end] != " "
          and self.kind(text[end]) == kind
        ):
          end += 1
      yield text[i:end]
      i = end

  def encode_word(self, word: str) -> list[int]:
    if word in ("<|startoftext|>", "<|endoftext|>"):
      return [49406 if "start" in word else 49407]
    if word not in self.cache:
      parts = [self.symbol[b] for b in word.encode("utf-8")]
      parts[-1] += "</w>"
      while len(parts) > 1:
        ranks = [
          self.ranks.get(pair, 1 << 30) for pair in itertools.pairwise(parts)
        ]
        if min(ranks) == 1 << 30:
          break
        best = tuple(parts[ranks.index(min(ranks)) :][:2])
        merged, i = [], 0
        while i < len(parts):
          if tuple(parts[i : i + 2]) == best:
            merged.append("".join(best))
            i += 2
          else:
            merged.append(parts[i])
            i += 1
        parts = merged
      self.cache[word] = [self.ids[p] for p in parts]
    return self.cache[word]

  def __call__(self, text: str, length: int) -> list[int]:
    text = html.unescape(html.unescape(text))
    text = " ".join(text.split()).lower()
    ids = [i for word in self.words(text) for i in self.encode_word(word)]
    ids = [49406, *ids[: length - 2], 49407]
    return ids + [0] * (length - len(ids))


@pytest.fixture(scope="module")
def slow() -> SlowTokenizer:
  return SlowTokenizer()


def assert_equal(slow, texts, length=32):
  ours = tokenizer_lib.Tokenizer(length)(texts)
  theirs = np.asarray([slow(text, length) for text in texts], np.int32)
  wrong = np.flatnonzero((ours != theirs).any(axis=1))
  assert not len(wrong), [
    (texts[i], ours[i].tolist(), theirs[i].tolist()) for i in wrong[:3]
  ]


def repaired(text: str) -> str:
  """Curly quotes, ligatures and wide letters: what repair does, by hand."""
  table = str.maketrans(
    {
      **dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'"),
      **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
      "\ufb01": "fi",
      "\ufb02": "fl",
      "\uff21": "A",
      "\u3000": " ",
    }
  )
  return unicodedata.normalize("NFC", text.translate(table))


def real_captions(shared: pathlib.Path) -> list[str]:
  folder = shared / "data" / "annotations"
  texts: list[str] = []
  for path in sorted(folder.glob("activitynet_captions/*.json")):
    for video in json.loads(path.read_text()).values():
      texts += video["sentences"]
  for path in sorted(folder.glob("*/*.jsonl")):
    texts += [json.loads(x)["query"] for x in path.read_text().splitlines()]
  for path in sorted(folder.glob("class_lists/*.txt")):
    texts += path.read_text().splitlines()
  return texts


def test_every_word_of_real_captions(shared, slow):
  texts = real_captions(shared)
  assert len(texts) > 80_000
  # Words are read one by one: each of them once.
  words = list(dict.fromkeys(word for text in texts for word in text.split()))
  lines = [" ".join(words[i : i + 8]) for i in range(0, len(words), 8)]
  assert_equal(slow, list(map(repaired, lines)), 77)
  ours = tokenizer_lib.Tokenizer(32)
  sample = texts[::7]
  np.testing.assert_array_equal(
    ours(sample), ours([repaired(t) for t in sample])
  )


def test_made_strings(slow):
  rng = random.Random(0)
  alphabet = (
    "abcXYZ 0123456789 .,;:!?'\"-_/()#&<>\t\n "
    "éüñçßøÅЖщиאבגדहिन्दी中文日本語한국어"
    "😀🤖👩‍🍳½²€£©™→∑"
  )
  words = [
    "a",
    "man's",
    "they're",
    "we'll",
    "I'd",
    "DON'T",
    "it's",
    "&amp;",
    "&lt;",
    "&amp;amp;",
    "&#39;",
    "&quot;",
    "&eacute;",
    "1st",
    "3.14",
    "C++",
    "e-mail",
    "<|endoftext|>",
    "supercalifragilistic",
    "running",
    "o'clock",
    "''",
    "'",
  ]
  texts = []
  for i in range(6_000):
    if i % 2:
      picked = [rng.choice(words) for _ in range(rng.randrange(40))]
      texts.append(rng.choice(["  ", " ", "\n"]).join(picked))
    else:
      texts.append("".join(rng.choices(alphabet, k=rng.randrange(60))))
  # Composed: repair does that, and is tested on its own.
  assert_equal(slow, [unicodedata.normalize("NFC", t) for t in texts], 24)


@given(st.text(max_size=200), st.integers(2, 40))
def test_any_text_gives_a_well_formed_row(text, length):
  (row,) = tokenizer_lib.Tokenizer(77)([text])
  (cut,) = tokenizer_lib.Tokenizer(length)([text])
  used = int((row > 0).sum())
  assert row[0] == 49406
  assert 49407 in row
  assert cut[0] == 49406
  if used >= length and (row[1 : length - 1] < 49406).all():
    np.testing.assert_array_equal(cut[:-1], row[: length - 1])
    assert cut[-1] == 49407


def test_known_ids():
  # "a photo of a cat", as published with CLIP.
  (row,) = tokenizer_lib.Tokenizer(10)(["A photo of a  CAT"])
  assert row.tolist() == [49406, 320, 1125, 539, 320, 2368, 49407, 0, 0, 0]
  assert row.dtype == np.int32


def test_long_text_keeps_its_end():
  rows = tokenizer_lib.Tokenizer(5)(["one two three four five six", ""])
  assert rows[0, 0] == 49406
  assert rows[0, -1] == 49407
  assert rows[1].tolist() == [49406, 49407, 0, 0, 0]


@pytest.mark.parametrize(
  ("dirty", "tidy"),
  [
    ("a person\u2019s \u201cbig\u201d hat", 'a person\'s "big" hat'),
    ("o\ufb03ce \uff21\uff22", "office ab"),
    ("caf\u00c3\u00a9", "caf\u00e9"),
    ("it\u00e2\u20ac\u2122s", "it's"),
    ("e\u0301", "\u00e9"),
    ("a\x00b\x1fc\ufeff", "abc"),
    ("R&amp;amp;B &rsquo;", "r&b '"),
    ("  Two\n lines\t", "two lines"),
    ("\u00c3o \u00e2ge", "\u00e3o \u00e2ge"),
  ],
)
def test_cleaning(dirty, tidy):
  assert tokenizer_lib.clean(dirty) == tidy


def test_lone_surrogates_do_not_crash():
  assert tokenizer_lib.Tokenizer(8)(["\ud800 x"]).shape == (1, 8)


def test_too_few_tokens_is_refused():
  with pytest.raises(ValueError, match="max_tokens=1"):
    tokenizer_lib.Tokenizer(1)


def test_no_tensorflow_is_imported():
  code = (
    "import sys, unloc_jax.data.tokenizer, unloc_jax.data.batch, "
    "unloc_jax.config.schema, unloc_jax.data.manifest; "
    "sys.exit('tensorflow' in sys.modules)"
  )
  assert (
    subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
  )
