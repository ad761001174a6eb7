"""Exact numbers of parameters of every size and fusion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.models.fusion import Fusion
from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.models.towers.streams import Encoder
from unloc_jax.models.unloc import UnLoc

# patch, width, layers, text width, D, parameters of CLIP less its temperature
# (as its authors publish the models).
SIZES = {
  "B/32": (32, 768, 12, 512, 512, 151_277_312),
  "B/16": (16, 768, 12, 512, 512, 149_620_736),
  "L/14": (14, 1024, 24, 768, 768, 427_616_512),
}
LEVELS, LAYERS, FRAMES = 4, 6, 32


def model(size, kind, downsampling="max_pool", shared=True, classifier="token"):
  patch, width, layers, text_width, dim, _ = SIZES[size]
  levels = 1 if kind == "transformer" else LEVELS
  head = {"num_layers": 3, "shared_across_levels": shared, "bias": 0.0}

  def tower(kind, width, layers, **options):
    sizes = {"width": width, "num_layers": layers, "num_heads": width // 64}
    return kind(**sizes, **options, scan=True)

  image = tower(ImageTower, width, layers, patch=patch, classifier=classifier)
  words = {"vocab_size": 49408, "max_tokens": 77}
  return UnLoc(
    encoders=(Encoder("frames", "image", lambda: image),),
    text_tower=tower(TextTower, text_width, 12, **words),
    fusion=Fusion(kind, levels, LAYERS, dim // 64, 4 * dim, downsampling),
    relevance_head=RelevanceHead(**head),
    displacement_head=DisplacementHead(**head),
    width=dim,
  )


def counts(module):
  """Parameters of every top module."""
  frames = jax.ShapeDtypeStruct((1, FRAMES, 224, 224, 3), jnp.uint8)
  ids = jax.ShapeDtypeStruct((2, 8), jnp.int32)
  mask = jax.ShapeDtypeStruct((1, FRAMES), jnp.bool_)
  tree = jax.eval_shape(
    module.init, jax.random.key(0), {"frames": frames}, {"frames": mask}, ids
  )
  return {
    name: sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(part))
    for name, part in tree["params"].items()
  }


def fusion_count(dim, kind, downsampling="max_pool"):
  attention = 4 * (dim * dim + dim)
  mlp = dim * 4 * dim + 4 * dim + 4 * dim * dim + dim
  count = LAYERS * (attention + mlp + 2 * 2 * dim)
  if kind == "transformer":
    return count + 2 * dim
  count += LEVELS * (3 * dim + dim + 2 * dim)
  if kind == "fpn" and downsampling == "strided_conv":
    count += (LEVELS - 1) * (3 * dim * dim + dim)
  if kind == "fpn" and downsampling == "strided_depthwise_conv":
    count += (LEVELS - 1) * (3 * dim + dim)
  return count


def head_counts(dim, levels, shared):
  branch = 3 * (2 * dim + 3 * dim * dim + dim)
  copies = 1 if shared else levels
  relevance = copies * (branch + dim + 1)
  displacement = copies * (branch + 2 * dim + 2)
  return relevance, displacement + (2 * levels if shared else 0)


@pytest.mark.parametrize("size", SIZES)
def test_towers_are_clip(size):
  _, width, _, _, _, published = SIZES[size]
  found = counts(model(size, "simple_pyramid"))
  parts = ("image_tower", "image_projection", "text_tower", "text_projection")
  # One class embedding for every frame instead of one.
  extra = (FRAMES - 1) * width
  assert sum(found[name] for name in parts) == published + extra


def test_gap_has_no_class_embedding():
  token = counts(model("B/16", "simple_pyramid"))["image_tower"]
  gap = counts(model("B/16", "simple_pyramid", classifier="gap"))
  assert token - gap["image_tower"] == (FRAMES + 1) * 768


@pytest.mark.parametrize(
  ("size", "kind", "downsampling"),
  [
    ("B/16", "transformer", "max_pool"),
    ("B/16", "simple_pyramid", "max_pool"),
    ("B/16", "late", "max_pool"),
    ("B/16", "fpn", "max_pool"),
    ("B/16", "fpn", "avg_pool"),
    ("B/16", "fpn", "subsample"),
    ("B/16", "fpn", "strided_conv"),
    ("B/16", "fpn", "strided_depthwise_conv"),
    ("L/14", "simple_pyramid", "max_pool"),
    ("L/14", "fpn", "strided_conv"),
  ],
)
def test_fusion_and_heads(size, kind, downsampling):
  dim = SIZES[size][4]
  shared = downsampling != "max_pool"
  found = counts(model(size, kind, downsampling, shared))
  assert found["fusion"] == fusion_count(dim, kind, downsampling)
  levels = 1 if kind == "transformer" else LEVELS
  relevance, displacement = head_counts(dim, levels, shared)
  assert found["displacement_head"] == displacement
  if kind == "late":
    assert "relevance_head" not in found
    assert found["log_scale"] == found["relevance_bias"] == 1
  else:
    assert found["relevance_head"] == relevance
