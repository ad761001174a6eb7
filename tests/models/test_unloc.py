"""Equal by construction: what must not change a prediction."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.models.drawn import drawn
from unloc_jax.models.attention import attend
from unloc_jax.models.fusion import Fusion
from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.models.towers.streams import Encoder
from unloc_jax.models.transformer import Transformer
from unloc_jax.models.unloc import UnLoc

B, Q, T, L, D = 2, 5, 8, 6, 16
KEY = jax.random.key(0)
LAYERS = {"width": D, "num_layers": 1, "num_heads": 2}


def model(kind="simple_pyramid", **changes):
  """A tiny model of precomputed frame embeddings."""
  head = {"num_layers": 1, "shared_across_levels": True, "bias": 0.5}
  return UnLoc(
    **{
      "encoders": (Encoder("embeddings", "image", None),),
      "text_tower": None,
      "fusion": Fusion(kind, 1 if kind == "transformer" else 2, 2, 2, 2 * D),
      "relevance_head": RelevanceHead(**head),
      "displacement_head": DisplacementHead(**head),
      "width": D,
      **changes,
    }
  )


@functools.cache
def inputs():
  keys = jax.random.split(KEY, 2)
  frames = jax.random.normal(keys[0], (B, T, D))
  mask = jnp.arange(T) < jnp.array([[T], [T - 2]])
  texts = jax.random.normal(keys[1], (Q, D))
  return {"embeddings": frames}, {"embeddings": mask}, texts


@functools.cache
def variables(kind="simple_pyramid"):
  return jax.jit(model(kind).init)(KEY, *inputs())


def close(a, b, atol=1e-5):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=atol), a, b
  )


def stacked(layers):
  """{layer_0: tree, layer_1: tree, ...} -> as scanned layers have them."""
  trees = [layers[f"layer_{i}"] for i in range(len(layers))]
  return {"layers": jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)}


PAIRS = jnp.array([[4, -1, 0], [2, 2, 3]])
ASKED = {"all": None, "pairs": PAIRS}
OWN = jnp.array([[1, 2], [4, 0]])
WORDS = jnp.array([[18, 3, 4, 19, 0, 0], [18, 5, 19, 0, 0, 0]])


def value_and_gradient(module, pairs, params=None):
  def run(params):
    out = module.apply({"params": params}, *inputs(), pairs)
    asked = (
      jnp.ones(out.displacement.shape[:2]) if pairs is None else pairs >= 0
    )
    displacement = out.displacement * asked[..., None, None]
    value = jnp.sum(jnp.sin(out.relevance)) + jnp.sum(jnp.cos(displacement))
    return value, (out.relevance, displacement)

  params = variables()["params"] if params is None else params
  return jax.jit(jax.value_and_grad(run, has_aux=True))(params)


@functools.cache
def plainly(asked):
  """What the model without options says: of `all` texts, or of `pairs`."""
  return value_and_gradient(model(), ASKED[asked])


@pytest.mark.parametrize("asked", ASKED)
def test_query_chunks_change_nothing(asked):
  chunked = value_and_gradient(model(query_chunk=2), ASKED[asked])
  close(plainly(asked), chunked, atol=1e-4)


def test_pairs_and_matched_are_parts_of_all():
  run = jax.jit(model().apply)
  frames, mask, texts = inputs()
  full = run(variables(), frames, mask, texts)
  asked = run(variables(), frames, mask, texts, PAIRS)
  matched = run(variables(), frames, mask, texts[OWN])
  close(full.relevance, asked.relevance)
  for video in range(B):
    for place, query in enumerate(PAIRS[video]):
      if query >= 0:
        close(full.displacement[video, query], asked.displacement[video, place])
    own = jax.tree.map(lambda x, b=video: x[b, OWN[b]], full)
    close(own, jax.tree.map(lambda x, b=video: x[b], matched))


def test_products_are_of_each_frame_with_its_text():
  plain, module = model(), model(product=True)
  frames, mask, texts = inputs()
  params = drawn(module, *inputs())
  full = jax.jit(module.apply)(params, *inputs())
  chunked = jax.jit(model(product=True, query_chunk=2).apply)
  close(full, chunked(params, *inputs()))
  matched = jax.jit(module.apply)(params, frames, mask, texts[OWN])
  for video in range(B):
    close(full.relevance[video, OWN[video]], matched.relevance[video])
  without = jax.jit(plain.apply)
  assert not np.allclose(full.relevance, without(params, *inputs()).relevance)
  nothing = jnp.zeros_like(texts)
  close(
    jax.jit(module.apply)(params, frames, mask, nothing),
    without(params, frames, mask, nothing),
  )


@pytest.mark.parametrize("kind", ["simple_pyramid", "fpn", "transformer"])
def test_words_are_as_alone_and_without_padding(kind):
  """Though texts share what is computed of frames."""
  tower = TextTower(vocab_size=20, max_tokens=8, **LAYERS)
  module = model(kind, text_tower=tower, text_part="all")
  frames, mask, _ = inputs()
  params = drawn(module, frames, mask, WORDS)
  run = jax.jit(module.apply)
  shared = run(params, frames, mask, WORDS).relevance
  for query, length in ((0, 6), (1, 3)):
    text = WORDS[query : query + 1, :length]
    alone = run(params, frames, mask, text).relevance
    close(shared[:, query], alone[:, 0])


@pytest.mark.parametrize(("remat", "chunk"), [("none", 0), ("dots", 2)])
def test_scanned_layers_share_frames_too(remat, chunk):
  """Values and gradients, also in chunks of texts."""
  options = {"scan": True, "remat": remat}
  fusion = Fusion("simple_pyramid", 2, 2, 2, 2 * D, **options)
  module = model(fusion=fusion, query_chunk=chunk)
  params = variables()["params"]
  encoder = stacked(params["fusion"]["encoder"])
  params = {**params, "fusion": {**params["fusion"], "encoder": encoder}}
  value, scanned = value_and_gradient(module, PAIRS, params)
  wanted, plain = plainly("pairs")
  close(wanted, value, atol=1e-4)
  plain = stacked(plain["fusion"]["encoder"])
  close(plain, scanned["fusion"]["encoder"], atol=1e-4)


def test_bfloat16_stays_close():
  """Outputs and parameters are float32; values and gradients are near."""
  half = {"dtype": jnp.bfloat16}
  head = {"num_layers": 1, "shared_across_levels": True, "bias": 0.5, **half}
  module = model(
    fusion=Fusion("simple_pyramid", 2, 2, 2, 2 * D, **half),
    relevance_head=RelevanceHead(**head),
    displacement_head=DisplacementHead(**head),
    **half,
  )
  (_, exact), gradient = plainly("all")
  (_, ours), other = value_and_gradient(module, None)
  close(exact, ours, atol=0.1)
  norm = lambda tree: float(optax.global_norm(tree))  # noqa: E731
  away = jax.tree.map(lambda x, y: x - y, gradient, other)
  assert {leaf.dtype for leaf in jax.tree.leaves((ours, other))} == {
    jnp.dtype("float32")
  }
  assert 0 < norm(away) < 0.05 * norm(gradient)


def test_a_part_with_no_valid_key_has_no_weight():
  query, key, value = jax.random.normal(KEY, (3, 4, 2, 8))
  nowhere, everywhere = jnp.zeros((1, 4), bool), jnp.ones((1, 4), bool)
  both = attend(query, (key, key), (value, -value), (nowhere, everywhere))
  close(both, attend(query, (key,), (-value,), (everywhere,)))


def test_padded_frames_are_not_seen():
  frames, mask, texts = inputs()
  module = model("transformer")
  valid = mask["embeddings"]
  other = {"embeddings": jnp.where(valid[..., None], frames["embeddings"], 7.0)}
  run = jax.jit(
    lambda x: module.apply(variables("transformer"), x, mask, texts)
  )
  one, two = run(frames).relevance, run(other).relevance
  valid = np.broadcast_to(np.asarray(valid)[:, None], one.shape)
  # The head's convolution looks at the two neighbours.
  valid = valid & np.roll(valid, -1, -1)
  close(one[valid], two[valid])
  assert np.abs(one - two).max() > 1e-3


def test_late_fusion_is_a_cosine():
  module = model("late")
  frames, mask, texts = inputs()
  params = jax.jit(module.init)(KEY, frames, mask, texts)
  run = jax.jit(module.apply)
  out = run(params, frames, mask, texts)
  assert out.relevance.shape == (B, Q, T + T // 2)
  assert out.displacement.shape == (B, Q, T + T // 2, 2)
  scaled = run(params, frames, mask, 3 * texts)
  close(out.relevance, scaled.relevance, atol=1e-4)
  opposite = run(params, frames, mask, -texts)
  bias = params["params"]["relevance_bias"]
  close(out.relevance - bias, bias - opposite.relevance, atol=1e-4)
  close(out.displacement, opposite.displacement)
  asked = run(params, frames, mask, texts, PAIRS)
  assert asked.displacement.shape == (B, 3, T + T // 2, 2)


def test_readout_of_the_text_token():
  module = model("transformer", displacement_head=None, readout="text")
  params = drawn(module, *inputs())
  out = jax.jit(module.apply)(params, *inputs())
  assert out.relevance.shape == (B, Q, 1)
  assert out.displacement is None


def transformer(**options):
  return Transformer(
    num_layers=3,
    num_heads=2,
    mlp_dim=2 * D,
    activation="gelu_tanh",
    norm_epsilon=1e-6,
    **options,
  )


@functools.cache
def layers():
  x = jax.random.normal(KEY, (B, T, D))
  return x, drawn(transformer(), x, None, True)["params"]


def output_and_gradient(module, params):
  def run(params):
    out = module.apply({"params": params}, layers()[0], None, True)
    return jnp.sum(jnp.sin(out)), out

  return jax.jit(jax.value_and_grad(run, has_aux=True))(params)


def test_stacked_layers_change_nothing():
  _, params = layers()
  (_, one), grad = output_and_gradient(transformer(), params)
  scanned = transformer(scan=True)
  (_, two), other = output_and_gradient(scanned, stacked(params))
  close(one, two)
  close(stacked(grad), other)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("policy", ["full", "dots"])
def test_remat_changes_nothing(policy, scan):
  _, params = layers()
  params = stacked(params) if scan else params
  plain = output_and_gradient(transformer(scan=scan), params)
  remat = output_and_gradient(transformer(scan=scan, remat=policy), params)
  close(plain, remat)


def test_stochastic_depth_drops_whole_examples():
  x, params = layers()
  module = transformer(stochastic_depth=0.9)
  run = lambda key: module.apply(  # noqa: E731
    {"params": params}, x, None, False, rngs={"dropout": key}
  )
  keys = jax.random.split(KEY, 200)
  out = jax.jit(lambda keys: jax.lax.map(run, keys))(keys)
  plain = module.apply({"params": params}, x, None, True)
  assert np.all(np.isfinite(out))
  different = np.abs(out - plain).max(axis=(2, 3)) > 1e-4
  assert different.mean() > 0.9


@pytest.mark.parametrize("classifier", ["token", "gap"])
def test_image_towers_see_each_frame_by_itself(classifier):
  tower = ImageTower(patch=4, classifier=classifier, **LAYERS)
  frames = jax.random.normal(KEY, (B, 3, 8, 8, 3))
  params = drawn(tower, frames, True)
  run = jax.jit(lambda x: tower.apply(params, x, True))
  out = run(frames)
  assert out.shape == (B, 3, D)
  changed = run(frames.at[0, 1].set(0.0))
  same = np.isclose(out, changed, atol=1e-6).all(axis=-1)
  np.testing.assert_array_equal(same, [[True, False, True], [True] * 3])
  alike = run(jnp.broadcast_to(frames[:, :1], frames.shape))
  spread = np.abs(alike - alike[:, :1]).max()
  # Only a class embedding tells equal frames apart.
  assert (spread > 1e-3) == (classifier == "token")
