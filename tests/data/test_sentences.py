"""Sentences known by heart, and those of an encoder."""

import dataclasses

import numpy as np
import pytest

from tests import tiny_data
from unloc_jax.data import class_texts, sentences

_NAMES = ("Dog", "Rain")


def encode(texts):
  """An embedding [3] of each text: its letters a, e and o."""
  rows = [[text.count(c) + 0.5 for c in "aeo"] for text in texts]
  return np.array(rows, np.float32)


@pytest.fixture
def path(tmp_path):
  place = str(tmp_path / "sentences.npz")
  sentences.write(place, _NAMES, ["a dog barks"], ["dog bark"], encode)
  return place


def test_rows_are_cosines_and_the_embedding(path):
  read = sentences.read(path, 5)
  assert read.labels == ("dog bark",)
  row = read(["A dog  barks!"])[0]
  embedding = sentences.unit(encode(["a dog barks"]))[0]
  names = sentences.unit(encode(_NAMES))
  np.testing.assert_allclose(row, [*(names @ embedding), *embedding], atol=1e-3)


def test_other_sentences_need_the_encoder(path):
  read = sentences.read(path, 5)
  unknown = sentences.UnknownSentenceError
  with pytest.raises(unknown, match="'a cat' is none of"):
    read(["a dog barks", "a cat"])
  other = dataclasses.replace(read, encode=encode)
  assert other(["a cat", "a dog barks"]).shape == (2, 5)
  np.testing.assert_allclose(other(["a dog barks"]), read(["a dog barks"]))


def test_files_that_do_not_fit(path, tmp_path):
  with pytest.raises(ValueError, match="does not make rows of"):
    sentences.read(path, 9)
  (tmp_path / "x.npz").write_text("x")
  with pytest.raises(ValueError, match="holds no sentences"):
    sentences.read(str(tmp_path / "x.npz"), 5)


def test_class_names_are_sentences_too(path):
  config = tiny_data.settings("").unlock()
  config.text.sentences, config.text.sentence_width = path, 5
  config.text.prompts = ("{}",)
  config.model.text_tower.num_layers = 0
  assert class_texts.class_texts(config, ("dog bark",)).shape == (1, 1, 5)
