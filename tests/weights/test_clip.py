"""CLIP's weights in every published form, and towers against their makers."""

import functools
import json
import re
import resource
import warnings

import flax.traverse_util
import jax
import numpy as np
import pytest
import safetensors.numpy

from tests.weights.towers import randomised, tensors_of
from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.weights.__main__ import convert, main
from unloc_jax.weights.folder import load_weights, stack
from unloc_jax.weights.foreign_files import bare_names, read

SIZES = (
  *("image_size", "patch", "width", "layers", "text_width", "text_layers"),
  *("dim", "vocab", "length"),
)
TINY = dict(zip(SIZES, (32, 16, 128, 2, 64, 2, 32, 60, 12), strict=True))
# Published models; fewer words, which changes no layer.
PUBLISHED = {
  name: dict(zip(SIZES, (224, *sizes, 1000, 77), strict=True))
  for name, sizes in {
    "B/32": (32, 768, 12, 512, 12, 512),
    "B/16": (16, 768, 12, 512, 12, 512),
    "L/14": (14, 1024, 24, 768, 12, 768),
  }.items()
}


def openai_shapes(size):
  """Shapes of OpenAI's tensors."""
  width, patch = size["width"], size["patch"]
  grid = (size["image_size"] // patch) ** 2
  shapes = {
    "visual.conv1.weight": (width, 3, patch, patch),
    "visual.class_embedding": (width,),
    "visual.positional_embedding": (grid + 1, width),
    "visual.proj": (width, size["dim"]),
    "token_embedding.weight": (size["vocab"], size["text_width"]),
    "positional_embedding": (size["length"], size["text_width"]),
    "text_projection": (size["text_width"], size["dim"]),
    "logit_scale": (),
  }

  def norm(name, side):
    return {f"{name}.weight": (side,), f"{name}.bias": (side,)}

  shapes |= norm("visual.ln_pre", width) | norm("visual.ln_post", width)
  shapes |= norm("ln_final", size["text_width"])
  for prefix, side, layers in (
    ("visual.transformer", width, size["layers"]),
    ("transformer", size["text_width"], size["text_layers"]),
  ):
    for i in range(layers):
      block = f"{prefix}.resblocks.{i}"
      shapes |= norm(f"{block}.ln_1", side) | norm(f"{block}.ln_2", side)
      for name, joint, rows, columns in (
        ("attn.in_proj", "_", 3, 1),
        ("attn.out_proj", ".", 1, 1),
        ("mlp.c_fc", ".", 4, 1),
        ("mlp.c_proj", ".", 1, 4),
      ):
        linear = f"{block}.{name}{joint}"
        shapes[f"{linear}weight"] = (rows * side, columns * side)
        shapes[f"{linear}bias"] = (rows * side,)
  return shapes


def random_tensors(shapes, seed=0):
  """Values that keep every layer's outputs about 1."""
  rng = np.random.default_rng(seed)
  tensors = {}
  for name, shape in shapes.items():
    value = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
      value *= (np.prod(shape[1:]) if "weight" in name else shape[0]) ** -0.5
    elif "weight" in name:
      value = 1 + 0.1 * value
    else:
      value = 0.1 * value
    tensors[name] = np.asarray(value, np.float32)
  return tensors


# OpenAI's names -> Hugging Face's.
_VISION, _TEXT = "vision_model.embeddings", "text_model.embeddings"
RENAMED = (
  (r"^visual\.transformer\.resblocks", "vision_model.encoder.layers"),
  (r"^visual\.conv1", f"{_VISION}.patch_embedding"),
  (r"^visual\.class_embedding", f"{_VISION}.class_embedding"),
  (r"^visual\.positional_embedding", f"{_VISION}.position_embedding.weight"),
  (r"^visual\.ln_pre", "vision_model.pre_layrnorm"),
  (r"^visual\.ln_post", "vision_model.post_layernorm"),
  (r"^visual\.proj", "visual_projection.weight"),
  (r"^transformer\.resblocks", "text_model.encoder.layers"),
  (r"^token_embedding", f"{_TEXT}.token_embedding"),
  (r"^positional_embedding", f"{_TEXT}.position_embedding.weight"),
  (r"^ln_final", "text_model.final_layer_norm"),
  (r"^text_projection", "text_projection.weight"),
  (r"\.ln_", ".layer_norm"),
  (r"\.attn\.", ".self_attn."),
  (r"\.mlp\.c_fc", ".mlp.fc1"),
  (r"\.mlp\.c_proj", ".mlp.fc2"),
)


def as_hugging_face(tensors):
  """OpenAI's tensors as Hugging Face has them."""
  out = {}
  for name, value in tensors.items():
    for theirs, other in RENAMED:
      name = re.sub(theirs, other, name)
    if "in_proj_" in name:
      for part, values in zip("qkv", np.split(value, 3), strict=True):
        out[name.replace("in_proj_", f"{part}_proj.")] = values
    else:
      out[name] = value.T if name.endswith("projection.weight") else value
  return out


@functools.lru_cache(maxsize=4)
def our_towers(sizes_json):
  """Jitted (frames, ids, params) -> image embedding, all text tokens."""
  sizes = json.loads(sizes_json)
  image = {k: v for k, v in sizes["image"].items() if k != "image_size"}
  image_tower = ImageTower(**image, scan=True)
  text_tower = TextTower(**sizes["text"], scan=True)

  @jax.jit
  def run(frames, ids, image_params, text_params, projections):
    tokens = image_tower.apply({"params": image_params}, frames, True)
    words = text_tower.apply({"params": text_params}, ids, True)
    words = words @ projections[1]
    return tokens @ projections[0], words, TextTower.pool(words, ids)

  return run


def nested(params, tower, count):
  """Parameters of a tower with its layers stacked."""
  flat = {
    name.removeprefix(f"{tower}/"): value
    for name, value in params.items()
    if name.startswith(f"{tower}/")
  }
  like = {
    name.replace("/layer_0/", "/layers/"): np.empty((count, 0))
    for name in flat
    if "/layer_0/" in name
  }
  return flax.traverse_util.unflatten_dict(stack(flat, like), sep="/")


def converted(tensors, config=None):
  """What the command makes of tensors in a file."""
  return convert(bare_names(tensors), config or {})


def run_ours(made, frames, ids):
  """Image embeddings [B, D], text tokens [Q, L, D], end tokens [Q, D]."""
  params, sizes = made.params, made.config["towers"]
  run = our_towers(json.dumps(sizes))
  out = run(
    frames.transpose(0, 2, 3, 1)[:, None],
    ids,
    nested(params, "image_tower", sizes["image"]["num_layers"]),
    nested(params, "text_tower", sizes["text"]["num_layers"]),
    [params[f"{k}_projection/kernel"] for k in ("image", "text")],
  )
  image, words, ends = (np.asarray(x) for x in out)
  return image[:, 0], words, ends


def inputs(size, seed=1):
  """Normalised frames [1, 3, H, W] and ids [2, L], the second padded."""
  rng = np.random.default_rng(seed)
  side = size["image_size"]
  frames = rng.standard_normal((1, 3, side, side), dtype=np.float32)
  ids = rng.integers(1, size["vocab"] - 2, (2, size["length"]))
  ids[0, -1] = ids[1, 6] = size["vocab"] - 1
  ids[1, 7:] = 0
  return frames, ids.astype(np.int32)


@pytest.fixture(scope="module")
def torch():
  return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def transformers(torch):
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    module = pytest.importorskip(
      "transformers", reason="transformers is not installed"
    )
    assert module.CLIPModel is not None
  return module


def hugging_face_model(torch, transformers, size, activation):
  """A CLIPModel with random values."""
  common = {"projection_dim": size["dim"], "hidden_act": activation}
  config = transformers.CLIPConfig(
    vision_config={
      "image_size": size["image_size"],
      "patch_size": size["patch"],
      "hidden_size": size["width"],
      "intermediate_size": 4 * size["width"],
      "num_hidden_layers": size["layers"],
      "num_attention_heads": size["width"] // 64,
      **common,
    },
    text_config={
      "vocab_size": size["vocab"],
      "hidden_size": size["text_width"],
      "intermediate_size": 4 * size["text_width"],
      "num_hidden_layers": size["text_layers"],
      "num_attention_heads": size["text_width"] // 64,
      "max_position_embeddings": size["length"],
      "eos_token_id": size["vocab"] - 1,
      "bos_token_id": 1,
      "pad_token_id": 0,
      **common,
    },
    projection_dim=size["dim"],
  )
  tensors = as_hugging_face(random_tensors(openai_shapes(size)))
  with torch.device("meta"):
    model = transformers.CLIPModel(config)
  state = {k: torch.from_numpy(v) for k, v in tensors.items()}
  model.load_state_dict(state, assign=True)
  for tower in (model.vision_model, model.text_model):
    positions = tower.embeddings.position_ids.shape[-1]
    tower.embeddings.position_ids = torch.arange(positions)[None]
  return model.eval(), tensors, config


@pytest.mark.parametrize(
  ("name", "activation"),
  [
    ("tiny", "quick_gelu"),
    ("tiny", "gelu"),
    *(
      pytest.param(name, "quick_gelu", marks=pytest.mark.heavy)
      for name in PUBLISHED
    ),
  ],
)
def test_towers_as_transformers(torch, transformers, name, activation):
  size = PUBLISHED.get(name, TINY)
  model, tensors, config = hugging_face_model(
    torch, transformers, size, activation
  )
  frames, ids = inputs(size)
  with torch.no_grad():
    image = model.visual_projection(
      model.vision_model(torch.from_numpy(frames)).pooler_output
    )
    text = model.text_model(
      torch.from_numpy(ids).long(), attention_mask=torch.from_numpy(ids > 0)
    )
    words = model.text_projection(text.last_hidden_state).numpy()
    ends = model.text_projection(text.pooler_output).numpy()
  del model
  made = converted(tensors, config.to_dict())
  ours = run_ours(made, frames, ids)
  real = ids > 0
  close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-4)
  close(ours[0], image.numpy())
  close(ours[1][real], words[real])
  np.testing.assert_allclose(ours[2], ends, atol=1e-4)


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_towers_as_open_clip(torch, quick_gelu):
  """Heads and MLPs of the forms that H/14 and g/14 have, in odd sizes."""
  open_clip = pytest.importorskip("open_clip")
  vision = {"image_size": 21, "patch_size": 7, "width": 48, "layers": 2}
  vision |= {"head_width": 24, "mlp_ratio": 4.3637}
  text = {"context_length": 11, "vocab_size": 60, "width": 24}
  text |= {"heads": 3, "layers": 2}
  model = open_clip.CLIP(
    20,
    open_clip.CLIPVisionCfg(**vision),
    open_clip.CLIPTextCfg(**text),
    quick_gelu=quick_gelu,
  )
  model = randomised(torch, model)
  config = {"vision_cfg": vision, "text_cfg": text, "quick_gelu": quick_gelu}
  made = convert(bare_names(tensors_of(model)), {"model_cfg": config})
  frames, ids = inputs({"image_size": 21, "vocab": 60, "length": 11})
  with torch.no_grad():
    image = model.encode_image(torch.from_numpy(frames)).numpy()
    words = model.encode_text(torch.from_numpy(ids).long()).numpy()
  ours = run_ours(made, frames, ids)
  np.testing.assert_allclose(ours[0], image, atol=1e-4)
  np.testing.assert_allclose(ours[2], words, atol=1e-4)


def as_ours(tensors):
  return converted(tensors).params


def test_sizes_are_inferred():
  sizes = converted(random_tensors(openai_shapes(TINY))).config["towers"]
  both = {"num_layers": 2, "activation": "quick_gelu"}
  image = {"patch": 16, "width": 128, "num_heads": 2, "image_size": 32}
  text = {"max_tokens": 12, "width": 64, "num_heads": 1, "vocab_size": 60}
  assert sizes == {"image": both | image, "text": both | text, "width": 32}


def test_other_names_give_the_same():
  """Hugging Face's, OpenCLIP's and those that wrappers put before all."""
  tensors = random_tensors(openai_shapes(TINY))
  plain = as_ours(tensors)
  text = ("token", "positional", "text", "ln_final", "transformer")
  renamed = {
    f"module.text.{k}" if k.startswith(text) else f"module.{k}": v
    for k, v in tensors.items()
  }
  wrapped = {f"state_dict.{k}": v for k, v in tensors.items()}
  for given in (renamed, wrapped, as_hugging_face(tensors)):
    ours = as_ours({**given, "attn_mask": np.zeros((12, 12))})
    assert ours.keys() == plain.keys()
    assert all(np.array_equal(ours[k], plain[k]) for k in plain)


def test_all_differences_are_listed():
  tensors = random_tensors(openai_shapes(TINY))
  del tensors["visual.ln_pre.bias"]
  tensors["surprise"] = np.zeros(3)
  tensors["transformer.resblocks.1.mlp.c_fc.bias"] = np.zeros(5)
  with pytest.raises(ValueError, match="3 differences") as caught:
    converted(tensors)
  lines = str(caught.value).split("\n")[1:]
  assert [line.split()[:2] for line in lines] == [
    ["-", "image_tower/norm_pre/bias"],
    ["+", "surprise"],
    ["~", "text_tower/encoder/layer_1/mlp/up/bias"],
  ]


@pytest.mark.parametrize(
  ("config", "message"),
  [
    ({"vision_config": {"hidden_act": "relu"}}, "have relu; known: quick_gelu"),
    ({"vision_config": {"num_attention_heads": 7}}, "no 7 heads"),
    ({"preprocess_cfg": {"mean": [0.5, 0.5, 0.5]}}, "normalised by mean"),
  ],
)
def test_configs_that_are_not_ours_are_refused(config, message):
  with pytest.raises(ValueError, match=message):
    converted(random_tensors(openai_shapes(TINY)), config)


@pytest.mark.parametrize(
  ("config", "named", "used", "assumed"),
  [
    ({}, "", "quick_gelu", True),
    ({}, "gelu", "gelu", False),
    ({"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}, "", "gelu", False),
    (
      {"model_cfg": {"quick_gelu": True, "vision_cfg": {}, "text_cfg": {}}},
      *("quick_gelu", "quick_gelu", False),
    ),
    ({"vision_config": {}, "text_config": {}}, "", "quick_gelu", False),
  ],
)
def test_the_activation_is_stated_named_or_said_to_be_assumed(
  config, named, used, assumed
):
  tensors = bare_names(random_tensors(openai_shapes(TINY)))
  made = convert(tensors, config, named)
  for part in ("image", "text"):
    assert made.config["towers"][part]["activation"] == used
  assert ("assumed" in made.config) == assumed
  # OpenAI's own files are known by their buffers.
  own = {**tensors, "input_resolution": np.array(32)}
  assert "assumed" not in convert(own, {}).config


def test_a_contradicted_configuration_is_refused():
  config = {"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}
  tensors = bare_names(random_tensors(openai_shapes(TINY)))
  with pytest.raises(ValueError, match="its configuration says gelu"):
    convert(tensors, config, "quick_gelu")


@pytest.mark.parametrize("tower", ["image", "text"])
def test_heads_and_mlps_of_openclips_larger_models(tower):
  """ViT-H has heads of 80, g/14 an MLP that is no multiple of its width."""
  size = {**TINY, "width": 1280, "layers": 1}
  tensors = random_tensors(openai_shapes(size))
  prefix = "visual." if tower == "image" else ""
  for i in range(size["layers" if tower == "image" else "text_layers"]):
    mlp = f"{prefix}transformer.resblocks.{i}.mlp"
    tensors[f"{mlp}.c_fc.weight"] = tensors[f"{mlp}.c_fc.weight"][:37]
    tensors[f"{mlp}.c_fc.bias"] = tensors[f"{mlp}.c_fc.bias"][:37]
    tensors[f"{mlp}.c_proj.weight"] = tensors[f"{mlp}.c_proj.weight"][:, :37]
  sizes = converted(tensors).config["towers"]
  assert sizes[tower]["mlp_dim"] == 37
  assert sizes["image"]["num_heads"] == 16


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("visual.layer1.0.conv1.weight", "ResNet"),
    ("visual.conv1.weight", "nothing that could be our image_tower/pos"),
    ("embeddings.word", r"1 tensors \(embeddings/word .*known: CLIP's ViT"),
  ],
)
def test_what_it_is_not_is_said(name, message):
  with pytest.raises(ValueError, match=message):
    converted({name: np.zeros((1, 1))})


def test_command_writes_a_folder_or_one_line(tmp_path, capsys):
  tensors = random_tensors(openai_shapes(TINY))
  safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
  out = tmp_path / "out"
  assert main(["--from", str(tmp_path), "--to", str(out)]) == 0
  loaded = load_weights(str(out))
  assert loaded.config["towers"]["image"]["patch"] == 16
  assert loaded.config["source"]["file"] == "model.safetensors"
  expected = as_ours(tensors)
  assert all(np.array_equal(loaded.params[k], v) for k, v in expected.items())
  capsys.readouterr()
  assert main(["--from", str(tmp_path), "--to", str(out)]) == 1
  assert "exists" in capsys.readouterr().err
  assert main(["--from", str(tmp_path / "no"), "--to", str(out)]) == 1
  error = capsys.readouterr().err
  assert "no such file" in error
  assert error.count("\n") == 1
  film = tmp_path / "film.mp4"
  film.write_bytes(b"film")
  assert main(["--from", str(film), "--to", str(out / "b")]) == 1
  assert capsys.readouterr().err.count("film.mp4") == 1


@pytest.mark.parametrize(
  ("file", "text", "message"),
  [
    ("config.json", "[]", "config.json is no JSON object"),
    ("config.json", "{", "config.json is no JSON ("),
    ("config.json", '{"vision_config": []}', "config.json says cannot be"),
    ("config.json", '{"preprocess_cfg": null}', "config.json says cannot be"),
    ("model.safetensors.index.json", "{}", "no `weight_map`"),
  ],
)
def test_what_stands_beside_is_wrong(tmp_path, capsys, file, text, message):
  tensors = random_tensors(openai_shapes(TINY))
  (tmp_path / file).write_text(text)
  if "index" not in file:
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
  out = ["--to", str(tmp_path / "out")]
  assert main(["--from", str(tmp_path), *out]) == 1
  said = capsys.readouterr().err
  assert message in said
  assert said.startswith(f"error: {tmp_path}")
  assert said.count("\n") == 1


@pytest.mark.parametrize("value", [np.int8(3), 1e300, np.nan])
def test_values_that_are_no_weights(value):
  tensors = random_tensors(openai_shapes(TINY))
  tensors["visual.proj"] = np.full((128, 32), value)
  with pytest.raises(ValueError, match=r"visual\.proj holds"):
    converted(tensors)


def test_a_full_disk_is_a_line_and_leaves_nothing(tmp_path, capsys):
  safetensors.numpy.save_file(
    random_tensors(openai_shapes(TINY)), tmp_path / "model.safetensors"
  )
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
  try:
    out = str(tmp_path / "out")
    assert main(["--from", str(tmp_path), "--to", out]) == 1
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  said = capsys.readouterr().err
  assert "out: cannot be written" in said
  assert said.count("\n") == 1
  assert len(list(tmp_path.iterdir())) == 1


def test_sharded_files(tmp_path):
  tensors = random_tensors(openai_shapes(TINY))
  files = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(tensors)}
  for file in set(files.values()):
    part = {k: v for k, v in tensors.items() if files[k] == file}
    safetensors.numpy.save_file(part, tmp_path / file)
  index = tmp_path / "model.safetensors.index.json"
  index.write_text(json.dumps({"weight_map": files}))
  found, _, file = read(str(tmp_path))
  assert file == index.name
  assert found.keys() == bare_names(tensors).keys()
  index.write_text(json.dumps({"weight_map": {"a": "../part-0.safetensors"}}))
  with pytest.raises(ValueError, match="not a file beside it"):
    read(str(tmp_path))
