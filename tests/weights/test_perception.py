"""Perception Encoder: rotary places, towers against the published code."""

import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.weights.towers import randomised, run_tower, tensors_of
from unloc_jax.models.rotary import Grid, rotate
from unloc_jax.weights.__main__ import convert
from unloc_jax.weights.foreign_files import bare_names

TINY = {
  "width": 128,
  "layers": 2,
  "mlp_ratio": 2.75,
  "patch": 6,
  "grid": 3,
  "dim": 40,
  "text_width": 64,
  "vocab": 50,
  "length": 11,
}
IDS = np.random.default_rng(0).integers(1, 48, (3, 11)).astype(np.int32)
IDS[0, -1] = IDS[1, 5] = IDS[2, 3] = 49
IDS[1, 6:] = IDS[2, 4:] = 0


def tensors(has_class=True):
  """A Perception Encoder as its file has it."""
  rng = np.random.default_rng(0)
  width, text = TINY["width"], TINY["text_width"]
  shapes = {
    "logit_scale": (),
    "visual.proj": (width, TINY["dim"]),
    "visual.conv1.weight": (width, 3, TINY["patch"], TINY["patch"]),
    "visual.positional_embedding": (TINY["grid"] ** 2 + has_class, width),
    "visual.attn_pool.probe": (1, 1, width),
    "token_embedding.weight": (TINY["vocab"], text),
    "positional_embedding": (TINY["length"], text),
    "text_projection": (text, TINY["dim"]),
  }
  if has_class:
    shapes["visual.class_embedding"] = (width,)

  def parts(name, *shape):
    shapes[f"{name}weight"], shapes[f"{name}bias"] = shape, shape[:1]

  def block(name, side, hidden, norms):
    for norm in norms:
      parts(f"{name}.{norm}.", side)
    parts(f"{name}.attn.in_proj_", 3 * side, side)
    parts(f"{name}.attn.out_proj.", side, side)
    parts(f"{name}.mlp.c_fc.", hidden, side)
    parts(f"{name}.mlp.c_proj.", side, hidden)

  for i in range(TINY["layers"]):
    hidden = int(width * TINY["mlp_ratio"])
    norms = ("ln_1", "ln_2")
    block(f"visual.transformer.resblocks.{i}", width, hidden, norms)
    block(f"transformer.resblocks.{i}", text, 4 * text, norms)
  block("visual.attn_pool", width, 4 * width, ("layernorm",))
  for norm, side in (
    *(("visual.ln_pre", width), ("visual.ln_post", width)),
    ("ln_final", text),
  ):
    parts(f"{norm}.", side)
  return {
    name: np.asarray(0.1 * rng.standard_normal(shape), np.float32)
    for name, shape in shapes.items()
  }


@pytest.mark.parametrize("has_class", [True, False])
def test_sizes_are_inferred(has_class):
  made = convert(bare_names(tensors(has_class)), {})
  image = made.config["towers"]["image"]
  assert image["kind"] == "pe"
  assert image["class_token"] == has_class
  assert (image["image_size"], image["mlp_dim"]) == (18, 352)
  assert "kind" not in made.config["towers"]["text"]  # It is CLIP's.
  for part in ("image", "text"):
    assert made.config["towers"][part]["activation"] == "gelu"
  frames = np.random.default_rng(1).standard_normal((1, 2, 18, 18, 3))
  _, found = run_tower(made, "image", frames.astype(np.float32))
  assert found.shape == (1, 2, 128)
  # Absolute positions gone, it still knows where a patch is.
  made.params["image_tower/position_embedding"][:] = 0
  _, there = run_tower(made, "image", frames.astype(np.float32))
  _, turned = run_tower(made, "image", frames[:, :, ::-1].astype(np.float32))
  assert np.abs(there - turned).max() > 1e-3


@pytest.mark.parametrize("leading", [0, 1])
def test_turned_products_tell_how_far_tokens_are_apart(leading):
  grid = Grid(4, 5, leading)
  rng = np.random.default_rng(0)
  one = rng.standard_normal((2, 1, 2, 8))
  query, key = jnp.asarray(np.repeat(one, 20 + leading, axis=1))
  products = jnp.einsum("qhd,khd->hqk", rotate(query, grid), rotate(key, grid))
  places = products[:, leading:, leading:].reshape(2, 4, 5, 4, 5)
  # By one row, and by two columns: the same wherever they are.
  for found in (
    [places[:, i, j, i + 1, j] for i in range(3) for j in range(5)],
    [places[:, i, j, i, j + 2] for i in range(4) for j in range(3)],
  ):
    alike = np.array([found[0]] * len(found))
    np.testing.assert_allclose(found, alike, rtol=1e-4, atol=1e-6)
  assert np.abs(places[:, 0, 0, 0, 1] - places[:, 0, 0, 1, 0]).max() > 1e-2
  np.testing.assert_allclose(
    jnp.linalg.norm(rotate(query, grid)), jnp.linalg.norm(query), rtol=1e-5
  )
  with pytest.raises(ValueError, match="cannot tell rows"):
    jax.eval_shape(lambda x: rotate(x, grid), query[..., :6])


@pytest.fixture(scope="module")
def published():
  """Module pe of a checkout of facebookresearch/perception_models."""
  torch = pytest.importorskip("torch", reason="PyTorch is not installed")
  folder = os.environ.get("PERCEPTION_MODELS")
  if not folder:
    pytest.skip("PERCEPTION_MODELS names no checkout of the published code")
  sys.path.insert(0, folder)
  try:
    from core.vision_encoder import config, pe
  finally:
    sys.path.remove(folder)
  return torch, pe, config


@pytest.mark.parametrize("has_class", [True, False])
def test_towers_as_published(published, has_class):
  torch, pe, config = published
  model = pe.CLIP(
    config.PEConfig(
      patch_size=TINY["patch"],
      width=TINY["width"],
      layers=TINY["layers"],
      heads=TINY["width"] // 64,
      mlp_ratio=TINY["mlp_ratio"],
      output_dim=TINY["dim"],
      use_cls_token=has_class,
      image_size=TINY["patch"] * TINY["grid"],
    ),
    config.PETextConfig(
      context_length=TINY["length"],
      width=TINY["text_width"],
      heads=1,
      layers=TINY["layers"],
      output_dim=TINY["dim"],
      vocab_size=TINY["vocab"],
    ),
  )
  model = randomised(torch, model)
  made = convert(bare_names(tensors_of(model)), {})
  side = TINY["patch"] * TINY["grid"]
  frames = np.random.default_rng(1).standard_normal((2, 3, side, side))
  frames = frames.astype(np.float32)
  with torch.no_grad():
    image = model.encode_image(torch.from_numpy(frames)).numpy()
    text = model.encode_text(torch.from_numpy(IDS).long()).numpy()
  seen = frames.transpose(0, 2, 3, 1)[:, None]
  _, found = run_tower(made, "image", seen)
  ours = found[:, 0] @ made.params["image_projection/kernel"]
  np.testing.assert_allclose(ours, image, atol=1e-4)
  tower, found = run_tower(made, "text", IDS)
  ours = tower.pool(found, IDS) @ made.params["text_projection/kernel"]
  np.testing.assert_allclose(ours, text, atol=1e-4)
