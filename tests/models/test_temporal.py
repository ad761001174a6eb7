"""The stem: what is padding stays apart; kept tokens go through it too."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tests.models.drawn import drawn
from unloc_jax.models.fusion import Fusion
from unloc_jax.models.heads import RelevanceHead
from unloc_jax.models.towers.clip import ImageTower
from unloc_jax.models.towers.streams import Encoder
from unloc_jax.models.towers.temporal import TemporalStem
from unloc_jax.models.unloc import UnLoc


def test_padding_changes_nothing():
  stem = TemporalStem(
    num_layers=2, width=8, kernel=5, dropout=0.5, noise=0.3, channel_dropout=0.5
  )
  rows = np.random.default_rng(0).normal(size=(1, 12, 6)).astype(np.float32)
  params = drawn(stem, rows, True)
  short = stem.apply(params, rows, True)
  padded = jnp.pad(rows, [(0, 0), (0, 7), (0, 0)])
  long = stem.apply(params, padded, True)
  np.testing.assert_allclose(long[:, :12], short, atol=1e-5)
  assert not np.any(long[:, 12:])
  rngs = {"dropout": jax.random.key(1)}
  disturbed = stem.apply(params, rows, False, rngs=rngs)
  assert not np.allclose(disturbed, short, atol=1e-2)


def test_kept_frame_tokens_go_through_the_same_stem():
  sizes = {"patch": 4, "width": 8, "num_layers": 1, "num_heads": 2}
  tower = functools.partial(ImageTower, **sizes, per_frame_class=False)
  stem = functools.partial(TemporalStem, num_layers=1, width=6, kernel=3)

  def model(stream, make):
    return UnLoc(
      encoders=(Encoder(stream, "image", make, frozen=True, stem=stem),),
      text_tower=None,
      fusion=Fusion("none", 1, 0, 1, 1),
      relevance_head=RelevanceHead(0, True, 0.0),
      displacement_head=None,
      width=6,
    )

  shape = (1, 5, 8, 8, 3)
  frames = np.random.default_rng(0).integers(1, 255, shape, np.uint8)
  frames[:, 3:] = 0  # Padding.
  ours = model("frames", tower)
  variables = drawn(ours, {"frames": frames}, method=UnLoc.encode_video)
  tokens = ours.apply(variables, {"frames": frames}, method=UnLoc.encode_video)
  short = {"frames": frames[:, :3]}
  alone = ours.apply(variables, short, method=UnLoc.encode_video)
  np.testing.assert_allclose(tokens[:, :3], alone, atol=1e-5)
  kept = ours.apply(variables, "frames", frames, method=UnLoc.encode_stream)
  rows = {"embeddings": kept}
  again = model("embeddings", None).apply(
    variables, rows, method=UnLoc.encode_video
  )
  np.testing.assert_allclose(again, tokens, atol=1e-5)
  moved = variables["params"].copy()
  moved["image_stem"] = jax.tree.map(lambda x: x + 1, moved["image_stem"])
  other = ours.apply(
    {"params": moved}, {"frames": frames}, method=UnLoc.encode_video
  )
  assert not np.allclose(other, tokens, atol=1e-2)
