"""BERT sentence encoders: conversion, towers against their makers, runs."""

import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from tests.weights.towers import (
  WORDS,
  randomised,
  run_tower,
  tensors_of,
  write_tokenizer,
)
from unloc_jax.config.schema import base
from unloc_jax.data import tokenizer
from unloc_jax.models.towers.bert import BertTower
from unloc_jax.training.checkpoints import read_config, write_config
from unloc_jax.weights.__main__ import convert, main
from unloc_jax.weights.folder import load_weights
from unloc_jax.weights.foreign_files import bare_names
from unloc_jax.weights.merging import initial_weights

CONFIG = {
  "hidden_size": 24,
  "num_hidden_layers": 2,
  "num_attention_heads": 3,
  "intermediate_size": 56,
  "hidden_act": "gelu",
  "max_position_embeddings": 20,
  "vocab_size": len(WORDS),
}


def tensors(seed=0):
  """A BERT as its file has it."""
  rng = np.random.default_rng(seed)
  d, mlp = CONFIG["hidden_size"], CONFIG["intermediate_size"]
  shapes = {
    "embeddings.word_embeddings.weight": (len(WORDS), d),
    "embeddings.position_embeddings.weight": (20, d),
    "embeddings.token_type_embeddings.weight": (2, d),
    "embeddings.LayerNorm.weight": (d,),
    "embeddings.LayerNorm.bias": (d,),
    "pooler.dense.weight": (d, d),
  }
  for i in range(CONFIG["num_hidden_layers"]):
    block = f"encoder.layer.{i}"
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
      shapes |= {f"{block}.{name}.{k}": (d,) for k in ("weight", "bias")}
    for name, rows, columns in (
      *((f"attention.self.{k}", d, d) for k in ("query", "key", "value")),
      ("attention.output.dense", d, d),
      ("intermediate.dense", mlp, d),
      ("output.dense", d, mlp),
    ):
      shapes[f"{block}.{name}.weight"] = (rows, columns)
      shapes[f"{block}.{name}.bias"] = (rows,)
  return {
    name: rng.standard_normal(shape).astype(np.float32)
    for name, shape in shapes.items()
  }


@pytest.fixture
def source(tmp_path):
  """A folder as sentence-transformers publishes it."""
  folder = tmp_path / "source"
  (folder / "1_Pooling").mkdir(parents=True)
  pooling = {"pooling_mode_mean_tokens": True}
  (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
  (folder / "config.json").write_text(json.dumps(CONFIG))
  safetensors.numpy.save_file(tensors(), folder / "model.safetensors")
  write_tokenizer(folder)
  return folder


@pytest.fixture
def weights(source, tmp_path):
  out = str(tmp_path / "weights")
  assert main(["--from", str(source), "--to", out]) == 0
  return out


def model_config(weights):
  """A config whose text tower is that of `weights`."""
  config = base().unlock()
  section = load_weights(weights).config["towers"]["text"]
  config.model.text_tower.update(section)
  config.model.width = section["width"]
  config.init.weights, config.init.take = weights, "text_(tower|projection)/"
  config.data.max_tokens = 8
  return config


def test_towers_as_transformers():
  torch = pytest.importorskip("torch", reason="PyTorch is not installed")
  transformers = pytest.importorskip("transformers")
  config = transformers.BertConfig(**CONFIG, layer_norm_eps=1e-12)
  model = randomised(torch, transformers.BertModel(config))
  made = convert(bare_names(tensors_of(model)), config.to_dict())
  ids = np.random.default_rng(1).integers(1, len(WORDS), (5, 20))
  ids[1, 6:] = ids[2, 1:] = 0
  with torch.no_grad():
    mask = torch.from_numpy((ids > 0).astype(np.float32))
    seen = torch.from_numpy(ids)
    tokens = model(seen, attention_mask=mask).last_hidden_state
    mean = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    expected = torch.nn.functional.normalize(mean, dim=-1).numpy()
  tower, found = run_tower(made, "text", ids.astype(np.int32))
  np.testing.assert_allclose(tower.pool(found, ids), expected, atol=1e-5)


def test_padding_changes_nothing_and_the_mean_is_of_length_1(weights):
  made = load_weights(weights)
  ids = np.array([[2, 4, 5, 3]], np.int32)
  tower, tokens = run_tower(made, "text", ids)
  longer = np.pad(ids, ((0, 0), (0, 5)))
  _, padded = run_tower(made, "text", longer)
  text = np.asarray(tower.pool(tokens, ids))
  np.testing.assert_allclose(np.linalg.norm(text), 1, rtol=1e-5)
  np.testing.assert_allclose(tower.pool(padded, longer), text, atol=1e-5)
  # A text may say what padding is called; nothing at all is no NaN.
  _, with_pad = run_tower(made, "text", np.array([[2, 0, 5, 3]], np.int32))
  assert np.abs(np.asarray(tower.pool(with_pad, ids)) - text).max() > 1e-3
  nothing = jnp.zeros((1, 4), jnp.int32)
  grad = jax.grad(lambda x: jnp.sum(BertTower.pool(x, nothing)))(
    jnp.ones((1, 4, 3))
  )
  assert np.isfinite(grad).all()


@pytest.mark.parametrize("packed", ["file", "folder"])
def test_a_zip_is_taken_as_the_folder_in_it(source, weights, tmp_path, packed):
  folder = tmp_path / "package"
  folder.mkdir()
  with zipfile.ZipFile(folder / "model.zip", "w") as archive:
    for path in source.rglob("*.*"):
      archive.write(path, path.relative_to(source))
  given = folder / "model.zip" if packed == "file" else folder
  out = str(tmp_path / "out")
  assert main(["--from", str(given), "--to", out]) == 0
  ours, expected = load_weights(out), load_weights(weights)
  assert all(
    np.array_equal(ours.params[k], v) for k, v in expected.params.items()
  )
  assert ours.config["towers"] == expected.config["towers"]


@pytest.mark.parametrize(
  ("file", "text", "message"),
  [
    ("tokenizer.json", None, "no tokenizer.json beside it"),
    ("1_Pooling/config.json", '{"pooling_mode_cls_token": true}', "mean"),
    ("config.json", json.dumps({**CONFIG, "hidden_act": "relu"}), "have relu"),
  ],
)
def test_what_is_not_known_is_refused(
  source, tmp_path, capsys, file, text, message
):
  (source / file).unlink() if text is None else (source / file).write_text(text)
  assert main(["--from", str(source), "--to", str(tmp_path / "out")]) == 1
  said = capsys.readouterr().err
  assert message in said
  assert said.count("\n") == 1
  assert not (tmp_path / "out").exists()


def test_the_tokenizer_goes_with_weights_and_runs(weights, tmp_path):
  config = model_config(weights)
  texts = ["A dog barks.", "", "dog " * 30]
  ids = tokenizer.of_config(config)(texts)
  assert ids.tolist() == [
    [2, 4, 5, 6, 7, 8, 3, 0],
    [2, 3, 0, 0, 0, 0, 0, 0],
    [2, 5, 5, 5, 5, 5, 5, 3],
  ]
  run = tmp_path / "run"
  write_config(str(run), config)
  config.init.weights = ""
  with pytest.raises(ValueError, match="needs its tokenizer"):
    tokenizer.of_config(config)
  kept = read_config(str(run))
  kept = kept.unlock()
  kept.init.weights = "gone"
  assert np.array_equal(tokenizer.of_config(kept)(texts), ids)
  kept.model.text_tower.vocab_size = 5
  with pytest.raises(ValueError, match="9 ids, but"):
    tokenizer.of_config(kept)


def test_weights_of_another_tower_are_refused(weights):
  config = model_config(weights)
  loaded = load_weights(weights).params
  zeros = {k: np.zeros_like(v) for k, v in loaded.items()}
  merged = initial_weights(config, zeros)
  assert all(np.array_equal(merged[k], v) for k, v in loaded.items())
  for key, value in (("kind", "clip"), ("activation", "quick_gelu")):
    other = config.copy_and_resolve_references()
    other.model.text_tower[key] = value
    with pytest.raises(ValueError, match=rf"text_tower\.{key}='{value}', but"):
      initial_weights(other, zeros)
