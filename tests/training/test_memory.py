"""What a step keeps in memory, from the compiled programs."""

import jax
import jax.numpy as jnp
import pytest

from tests.training.conftest import feature_config
from unloc_jax.models.unloc import UnLoc
from unloc_jax.parallel import sharding
from unloc_jax.training import state


def temporary_bytes(function, *shapes) -> int:
  """Bytes that a program needs beside its arguments and results."""
  analysis = jax.jit(function).lower(*shapes).compile().memory_analysis()
  return analysis.temp_size_in_bytes


def text_bytes(config, num_classes: int, mesh) -> int:
  """Of a device, for the gradient of localization of so many classes."""
  parts = state.Parts.from_config(config)
  data, width = config.data, config.model.width
  params, video, texts = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=sharding.replicated(mesh)
    ),
    (
      state.param_shapes(parts),
      jax.ShapeDtypeStruct((2, data.num_frames, width), "f4"),
      jax.ShapeDtypeStruct((num_classes, width), "f4"),
    ),
  )
  pairs = jnp.zeros((2, data.max_segments), jnp.int32)

  def loss(params, video, texts):
    def run(model: UnLoc):
      encoded = model.encode_text(texts)
      return model.localize(
        video, jnp.ones(video.shape[:2], bool), encoded, pairs
      )

    with sharding.over(mesh):
      found = parts.model.apply(state.nest(params), method=run)
    return jnp.sum(found.relevance**2) + jnp.sum(found.displacement**2)

  return temporary_bytes(jax.grad(loss), params, video, texts)


@pytest.fixture
def class_config():
  """Localization from embeddings of frames and of classes."""
  config = feature_config("temporal_localization")
  config.model.text_tower.num_layers = 0
  config.data.num_frames, config.model.fusion.mlp_dim = 32, 64
  return config


@pytest.mark.heavy
def test_classes_that_do_not_divide_the_devices_are_shared(class_config):
  mesh = sharding.make_mesh(class_config.mesh, None, (2, 2))
  assert mesh.shape["fsdp"] == 4
  uneven, even = (text_bytes(class_config, n, mesh) for n in (15, 16))
  assert uneven <= 1.2 * even


@pytest.mark.heavy
def test_memory_stays_flat_as_classes_grow(class_config):
  config = class_config
  mesh = sharding.make_mesh(config.mesh, jax.devices()[:1])
  config.model.fusion.query_chunk = 8
  few, many = (text_bytes(config, n, mesh) for n in (16, 128))
  assert many < 1.15 * few + 128 * 4 * 2 * 100  # Its logits themselves.
  config.model.fusion.query_chunk = 0
  assert text_bytes(config, 128, mesh) > 4 * many
