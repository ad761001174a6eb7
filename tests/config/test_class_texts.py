"""Class names -> prompts and embeddings that configs point to."""

import flax.traverse_util
import jax
import numpy as np
import pytest

from tests.config.config_cases import load
from unloc_jax import embed_classes, files
from unloc_jax.data.class_texts import class_texts
from unloc_jax.data.tokenizer import Tokenizer
from unloc_jax.models.towers.clip import TextTower
from unloc_jax.weights.folder import save_weights

SIZES = {
  "vocab_size": 49408,
  "max_tokens": 20,
  "width": 8,
  "num_layers": 1,
  "num_heads": 2,
}
NAMES = ("Archery", "Ballet", "Surfing")


@pytest.fixture(scope="module")
def tower():
  """Random weights, {path: array}."""
  ids = np.ones((1, 16), np.int32)
  params = TextTower(**SIZES).init(jax.random.key(0), ids, True)["params"]
  flat = flax.traverse_util.flatten_dict({"text_tower": params}, sep="/")
  kernel = np.random.default_rng(0).normal(size=(8, 768)).astype(np.float32)
  return {**flat, "text_projection/kernel": kernel}


@pytest.fixture
def folder(tower, tmp_path):
  """The weights as `python -m unloc_jax.weights` writes them."""
  save_weights(str(tmp_path / "clip"), tower, {"clip": {"text": SIZES}})
  return str(tmp_path / "clip")


def one_by_one(tower, text):
  """The end token's embedding of one text."""
  nested = flax.traverse_util.unflatten_dict(tower, sep="/")["text_tower"]
  ids = np.asarray(Tokenizer(16)([text]))
  tokens = TextTower(**SIZES).apply({"params": nested}, ids, True)
  end = np.asarray(TextTower.pool(tokens, ids))[0]
  return end @ tower["text_projection/kernel"]


def test_embeddings_are_means_over_templates(folder, tower):
  found = embed_classes.embed(folder, NAMES, ("{}", "a video of {}."), 16)
  for row, name in zip(found, NAMES, strict=True):
    texts = (name, f"a video of {name}.")
    wanted = np.mean([one_by_one(tower, text) for text in texts], axis=0)
    np.testing.assert_allclose(row, wanted, atol=1e-4)
  assert np.abs(found[0] - found[1]).max() > 1e-2


def test_embeddings_are_found_by_name(tmp_path):
  path = str(tmp_path / "classes.npz")
  values = np.arange(3 * 768, dtype=np.float32).reshape(3, 768)
  files.write_arrays(path, names=np.array(NAMES), embeddings=values)
  config = load("anet_tal", "L").copy_and_resolve_references()
  # There is no text tower.
  with pytest.raises(ValueError, match="embed_classes"):
    class_texts(config, NAMES)
  config.text.class_embeddings = path
  found = class_texts(config, ("Surfing", "Archery"))
  np.testing.assert_array_equal(found, values[None, [2, 0]])
  with pytest.raises(ValueError, match="lacks 1 of 2 classes, such as 'Golf'"):
    class_texts(config, ("Golf", "Archery"))
  config.model.width = 512
  with pytest.raises(ValueError, match="its names, model"):
    class_texts(config, ("Archery",))


@pytest.mark.parametrize(
  "about", [{}, {"model": {"text_tower": {**SIZES, "num_layers": 0}}}]
)
def test_weights_without_a_text_tower_are_refused(tower, tmp_path, about):
  save_weights(str(tmp_path / "none"), tower, about)
  with pytest.raises(ValueError, match="no text tower"):
    embed_classes.embed(str(tmp_path / "none"), NAMES, ("{}",), 16)


def test_every_template_is_used():
  config = load("anet_tal", "B")
  ids = class_texts(config, NAMES)
  assert ids.shape == (len(config.text.prompts), len(NAMES), 16)
  assert len({tuple(row) for row in ids.reshape(-1, 16)}) == ids.shape[0] * 3
  # No class name is cut by its template.
  assert (ids == 49407).any(axis=-1).all()
