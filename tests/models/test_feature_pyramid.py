"""Convolutions, pooling and top-down paths against flax's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.drawn import drawn
from unloc_jax.models.feature_pyramid import (
  POOLING,
  Conv,
  DepthwiseConv,
  Downsample,
  TopDown,
)
from unloc_jax.models.fusion import Fusion, sinusoidal_positions

KEY = jax.random.key(0)
D = 6


@pytest.mark.parametrize("length", [8, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions_as_flax(length, stride, depthwise):
  x = jax.random.normal(KEY, (2, 3, length, D))
  ours = DepthwiseConv(stride) if depthwise else Conv(D, stride)
  theirs = nn.Conv(
    D, (3,), (stride,), feature_group_count=D if depthwise else 1
  )
  params = drawn(theirs, x)
  params["params"]["bias"] = jnp.arange(D, dtype=jnp.float32)
  np.testing.assert_allclose(
    ours.apply(params, x), theirs.apply(params, x), rtol=1e-5, atol=1e-5
  )


def test_downsampling():
  x = jax.random.normal(KEY, (2, 8, D))
  run = lambda strategy: Downsample(strategy).apply({}, x)  # noqa: E731
  window = {"window_shape": (2,), "strides": (2,)}
  np.testing.assert_allclose(run("max_pool"), nn.max_pool(x, **window))
  np.testing.assert_allclose(
    run("avg_pool"), nn.avg_pool(x, **window), rtol=1e-5
  )
  np.testing.assert_array_equal(run("subsample"), x[:, ::2])
  for strategy in ("strided_conv", "strided_depthwise_conv", *POOLING):
    module = Downsample(strategy)
    shape = jax.eval_shape(lambda m=module: m.init_with_output(KEY, x))[0].shape
    assert shape == (2, 4, D)


def test_top_down_adds_the_nearest_coarser_points():
  levels = [jax.random.normal(KEY, (1, n, D)) for n in (8, 4, 2)]
  module = TopDown()
  params = module.init(KEY, levels)
  # Convolutions that do nothing leave the sums before the norms.
  for v in range(3):
    kernel = jnp.zeros((3, 1, D)).at[1].set(1.0)
    params["params"][f"conv_{v}"]["kernel"] = kernel
  out = module.apply(params, levels)
  middle = levels[1] + jax.image.resize(levels[2], (1, 4, D), "nearest")
  finest = levels[0] + jax.image.resize(middle, (1, 8, D), "nearest")
  norm = nn.LayerNorm(epsilon=1e-6, use_bias=False, use_scale=False)
  for ours, sums in zip(out, (finest, middle, levels[2]), strict=True):
    np.testing.assert_allclose(ours, norm.apply({}, sums), atol=1e-5)


def test_position_code():
  code = sinusoidal_positions(5, D)
  for position in range(5):
    for k in range(0, D, 2):
      angle = position * 10000 ** (-k / D)
      np.testing.assert_allclose(
        code[position, k : k + 2], [np.sin(angle), np.cos(angle)], atol=1e-6
      )


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"kind": "transformer"}, "has one level, not 3"),
    ({"kind": "fpn", "num_layers": 2}, "at least as many layers"),
    ({"kind": "fpn", "scan": True}, "scan off"),
  ],
)
def test_impossible_fusions_are_one_error(changes, message):
  values = {
    "kind": "fpn",
    "num_levels": 3,
    "num_layers": 4,
    "num_heads": 2,
    "mlp_dim": 8,
    **changes,
  }
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(
      Fusion(**values).init,
      KEY,
      jnp.zeros((1, 8, D)),
      jnp.ones((1, 8), bool),
      jnp.zeros((1, 1, 1, D)),
      jnp.ones((1, 1, 1), bool),
      True,
    )
