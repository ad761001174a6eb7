"""SigLIP 2: towers and tokenizers against their makers, conversion."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from tests.weights.towers import randomised, run_tower, tensors_of
from unloc_jax.config.schema import base
from unloc_jax.data.tokenizer import FileTokenizer, of_config
from unloc_jax.models.build import build_model
from unloc_jax.training import provenance
from unloc_jax.training.state import Parts, param_shapes
from unloc_jax.weights import foreign_files
from unloc_jax.weights.__main__ import convert, main
from unloc_jax.weights.folder import load_weights, save_weights
from unloc_jax.weights.foreign_files import bare_names
from unloc_jax.weights.image_embedder import load_embedder
from unloc_jax.weights.merging import initial_weights

# Sizes that are no power of two, an MLP that is no multiple of the width, and
# two pixels that are of no patch.
VISION = {
  "hidden_size": 24,
  "intermediate_size": 52,
  "num_hidden_layers": 2,
  "num_attention_heads": 3,
  "patch_size": 6,
}
TEXT = {
  "vocab_size": 37,
  "hidden_size": 20,
  "intermediate_size": 44,
  "num_hidden_layers": 2,
  "num_attention_heads": 5,
  "max_position_embeddings": 9,
  "projection_size": 24,
}
IDS = np.random.default_rng(0).integers(1, 37, (3, 9)).astype(np.int32)
IDS[1, 4:] = 0


def config(**vision):
  return {"vision_config": VISION | vision, "text_config": TEXT}


def tensors():
  """A SigLIP as its file has it."""
  rng = np.random.default_rng(0)
  shapes = {"logit_scale": (1,), "logit_bias": (1,)}

  def linear(name, rows, columns):
    shapes.update({f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)})

  def norm(name, width):
    shapes.update({f"{name}.{part}": (width,) for part in ("weight", "bias")})

  for name, sizes in (("vision_model", VISION), ("text_model", TEXT)):
    width, hidden = sizes["hidden_size"], sizes["intermediate_size"]
    for i in range(sizes["num_hidden_layers"]):
      block = f"{name}.encoder.layers.{i}"
      norm(f"{block}.layer_norm1", width)
      norm(f"{block}.layer_norm2", width)
      for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        linear(f"{block}.self_attn.{part}", width, width)
      linear(f"{block}.mlp.fc1", hidden, width)
      linear(f"{block}.mlp.fc2", width, hidden)
  width = VISION["hidden_size"]
  shapes["vision_model.embeddings.patch_embedding.weight"] = (width, 3, 6, 6)
  shapes["vision_model.embeddings.patch_embedding.bias"] = (width,)
  shapes["vision_model.embeddings.position_embedding.weight"] = (9, width)
  norm("vision_model.post_layernorm", width)
  shapes["vision_model.head.probe"] = (1, 1, width)
  shapes["vision_model.head.attention.in_proj_weight"] = (3 * width, width)
  shapes["vision_model.head.attention.in_proj_bias"] = (3 * width,)
  linear("vision_model.head.attention.out_proj", width, width)
  norm("vision_model.head.layernorm", width)
  linear("vision_model.head.mlp.fc1", VISION["intermediate_size"], width)
  linear("vision_model.head.mlp.fc2", width, VISION["intermediate_size"])
  words = "text_model.embeddings.token_embedding.weight"
  shapes[words] = (TEXT["vocab_size"], TEXT["hidden_size"])
  places = "text_model.embeddings.position_embedding.weight"
  shapes[places] = (TEXT["max_position_embeddings"], TEXT["hidden_size"])
  norm("text_model.final_layer_norm", TEXT["hidden_size"])
  linear("text_model.head", TEXT["projection_size"], TEXT["hidden_size"])
  return {
    k: 0.1 * rng.standard_normal(v, np.float32) for k, v in shapes.items()
  }


def gemma():
  """A tiny tokenizer of Gemma's make, without start and end tokens."""
  words = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "b", "\u2581", "c", "C"]
  vocab = {word: i for i, word in enumerate(words)}
  made = tokenizers.Tokenizer(
    models.BPE(vocab=vocab, merges=[], unk_token="<unk>", fuse_unk=True)
  )
  made.normalizer = normalizers.Replace(" ", "\u2581")
  made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
  made.add_special_tokens(words[:4])
  return made


@pytest.fixture
def source(tmp_path):
  """A folder as Hugging Face has it."""
  folder = tmp_path / "source"
  folder.mkdir()
  (folder / "config.json").write_text(json.dumps(config(image_size=20)))
  safetensors.numpy.save_file(tensors(), folder / "model.safetensors")
  gemma().save(str(folder / "tokenizer.json"))
  said = {
    "add_bos_token": False,
    "add_eos_token": True,
    "bos_token": "<bos>",
    "eos_token": "<eos>",
  }
  (folder / "tokenizer_config.json").write_text(json.dumps(said))
  return folder


@pytest.fixture
def weights(source, tmp_path):
  out = str(tmp_path / "weights")
  assert main(["--from", str(source), "--to", out]) == 0
  return out


def small_config(weights):
  """A config of the towers of `weights`."""
  made = base().unlock()
  for part in ("image", "text"):
    section = convert(bare_names(tensors()), config()).config["towers"][part]
    section = {k: v for k, v in section.items() if k != "image_size"}
    made.model[f"{part}_tower"].update(section)
  made.data.num_frames, made.data.image_size = 4, 20
  made.data.short_side, made.data.max_tokens = 20, 9
  made.model.width, made.model.fusion.num_layers = 24, 1
  made.pyramid.ranges = ((0, 4),)
  made.init.weights = weights
  return made


@pytest.mark.parametrize("fixed", [True, False])
def test_towers_as_transformers(fixed):
  torch = pytest.importorskip("torch", reason="PyTorch is not installed")
  transformers = pytest.importorskip("transformers")
  side = 20 if fixed else 18
  rng = np.random.default_rng(1)
  frames = rng.standard_normal((2, 3, side, side)).astype(np.float32)
  pixels = torch.from_numpy(frames)
  if fixed:
    wanted = transformers.SiglipConfig(**config(image_size=side))
    model = randomised(torch, transformers.SiglipModel(wanted))
    seen = {"pixel_values": pixels}
  else:
    wanted = transformers.Siglip2Config(**config(num_patches=9))
    model = randomised(torch, transformers.Siglip2Model(wanted))
    grid = pixels.reshape(2, 3, 3, 6, 3, 6).permute(0, 2, 4, 3, 5, 1)
    seen = {
      "pixel_values": grid.reshape(2, 9, 108),
      "pixel_attention_mask": torch.ones(2, 9, dtype=torch.long),
      "spatial_shapes": torch.tensor([[3, 3], [3, 3]]),
    }
  made = convert(bare_names(tensors_of(model)), wanted.to_dict())
  with torch.no_grad():
    image = model.vision_model(**seen).pooler_output.numpy()
    text = model.text_model(torch.from_numpy(IDS).long()).pooler_output.numpy()
  shown = frames.transpose(0, 2, 3, 1)[:, None]
  _, found = run_tower(made, "image", shown)
  np.testing.assert_allclose(found[:, 0], image, atol=1e-4)
  tower, found = run_tower(made, "text", IDS)
  np.testing.assert_allclose(tower.pool(found, IDS), text, atol=1e-4)
  for theirs, ours in (("scale", "log_scale"), ("bias", "relevance_bias")):
    value = getattr(model, f"logit_{theirs}").detach().numpy()
    np.testing.assert_array_equal(made.params[ours], value[0])


def test_sizes_are_inferred_and_projections_change_nothing():
  made = convert(bare_names(tensors()), config(image_size=20))
  image, text = (made.config["towers"][part] for part in ("image", "text"))
  assert image["image_size"] == 20  # 2 of its pixels are of no patch.
  assert (image["patch"], image["mlp_dim"], image["num_heads"]) == (6, 52, 3)
  assert (text["max_tokens"], text["head_width"]) == (9, 24)
  assert image["activation"] == text["activation"] == "gelu_tanh"
  for part in ("image", "text"):
    kernel = made.params[f"{part}_projection/kernel"]
    np.testing.assert_array_equal(kernel, np.eye(24))


def test_a_model_starts_from_them(weights):
  wanted = small_config(weights)
  shapes = param_shapes(Parts.from_config(wanted))
  initial = {k: np.zeros(v.shape, np.float32) for k, v in shapes.items()}
  merged = initial_weights(wanted, initial)
  taken = {k for k in merged if merged[k] is not initial[k]}
  assert {k.split("/")[0] for k in taken} == {
    *("image_tower", "image_projection", "text_tower", "text_projection")
  }
  # The mean of the tokens needs no pooled head.
  wanted.model.image_tower.classifier = "gap"
  shapes = param_shapes(Parts.from_config(wanted))
  assert initial_weights(wanted, shapes).keys() == shapes.keys()
  wanted.model.fusion.kind, wanted.init.take = "none", "(log_|relevance_bias)"
  wanted.task = "frame_tagging"
  shapes = param_shapes(Parts.from_config(wanted))
  merged = initial_weights(wanted, shapes)
  bias = tensors()["logit_bias"][0]
  assert merged["relevance_bias"] == pytest.approx(bias)
  wanted.data.max_tokens = 8
  with pytest.raises(ValueError, match="reads its padding too"):
    build_model(wanted)


def test_features_are_made_of_pixels_between_minus_1_and_1(weights):
  tower = load_embedder(weights)
  said = "SigLIP's pixels, bicubic short side 20, centre 20"
  assert tower.normalisation == said
  frames = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), np.uint8)
  _, expected = run_tower(
    load_weights(weights), "image", frames[:, None] / np.float32(127.5) - 1
  )
  np.testing.assert_allclose(tower.embed(frames), expected[:, 0], atol=1e-5)


def test_a_run_tells_the_pixels_that_patches_do_not(weights, tmp_path):
  config = small_config(weights)
  config.data.short_side = 22
  about = provenance.of_run(config, str(tmp_path))
  save_weights(str(tmp_path / "run"), load_weights(weights).params, about)
  made, own = load_embedder(str(tmp_path / "run")), load_embedder(weights)
  assert (made.image_size, made.resized_side) == (20, 22)
  assert made.tower_hash == own.tower_hash


def test_texts_are_of_lower_case_and_end(weights):
  ids = of_config(small_config(weights))(["A b", "", "C" * 20])
  assert ids.tolist() == [
    [4, 6, 5, 1, 0, 0, 0, 0, 0],
    [1, 0, 0, 0, 0, 0, 0, 0, 0],
    [7, 7, 7, 7, 7, 7, 7, 7, 1],
  ]


# Merges of two pieces, the first applied first; bytes stand for other signs.
MERGES = (
  "t h",
  "th e",
  "\u2581 the",
  "\u2581 \u2581",
  "c a",
  "ca t",
  "\u00e9 e",
)
PIECES = ("<pad>", "<eos>", "<bos>", "<unk>", *"\u2581acehnt\u00e9\u6771")


def byte_fallback(folder):
  """A tokenizer.json of Gemma's structure."""
  pieces = [*PIECES, *(f"<0x{i:02X}>" for i in range(256))]
  pieces += [merge.replace(" ", "") for merge in MERGES]
  vocab = {piece: i for i, piece in enumerate(pieces)}
  made = tokenizers.Tokenizer(
    models.BPE(
      vocab=vocab,
      merges=[tuple(merge.split(" ")) for merge in MERGES],
      unk_token="<unk>",
      fuse_unk=True,
      byte_fallback=True,
    )
  )
  made.normalizer = normalizers.Replace(" ", "\u2581")
  made.add_special_tokens(list(PIECES[:4]))
  # There the file itself says that texts end.
  made.post_processor = processors.TemplateProcessing(
    single="$A <eos>", special_tokens=[("<eos>", 1)]
  )
  made.save(str(folder / "tokenizer.json"))


def read_slowly(text, vocab, length):
  """Ids of a text by the definition: lower case, merges in order, bytes."""
  ids = []
  for part in re.split("(<(?:pad|eos|bos|unk)>)", text):
    if part in PIECES[:4]:
      ids.append(vocab[part])
      continue
    pieces = ["\u2581" if c == " " else c.lower() for c in part]
    for left, right in map(str.split, MERGES):
      at = 0
      while at < len(pieces) - 1:
        if pieces[at : at + 2] == [left, right]:
          pieces[at : at + 2] = [left + right]
        at += 1
    for piece in pieces:
      raw = [f"<0x{byte:02X}>" for byte in piece.encode()]
      ids += [vocab[p] for p in ([piece] if piece in vocab else raw)]
  ids = [*ids[: length - 1], vocab["<eos>"]]
  return ids + [vocab["<pad>"]] * (length - len(ids))


def by_definition(folder, texts):
  vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
  return [read_slowly(text, vocab, 64) for text in texts]


def by_transformers(folder, texts):
  transformers = pytest.importorskip("transformers")
  tokenizer = transformers.Siglip2Tokenizer.from_pretrained(
    folder, padding_side="right"
  )
  form = {"padding": "max_length", "truncation": True, "max_length": 64}
  return tokenizer(texts, **form).input_ids


@pytest.mark.parametrize("read", [by_definition, by_transformers])
def test_200_odd_texts_are_read_as_others_read_them(tmp_path, read):
  byte_fallback(tmp_path)
  rng = np.random.default_rng(2)
  signs = [*"aAcCtThHeEnN  .,!\u00e9\u00c9\u6771\u03a3\U0001f600\u2581\u200d"]
  signs += ["the", " The", "CAT ", "<eos>", "<pad>", "<unk>", "\n", "\0", "  "]
  texts = ["".join(rng.choice(signs, rng.integers(0, 90))) for _ in range(200)]
  path = tmp_path / "ours.json"
  path.write_text(foreign_files.tokenizer(str(tmp_path), lower_case=True))
  ours = FileTokenizer(str(path), 64)(texts)
  np.testing.assert_array_equal(ours, read(tmp_path, texts))
