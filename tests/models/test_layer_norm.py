"""Our LayerNorm beside Flax's: the same values, the same gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.models.layer_norm import LayerNorm

EPSILON = 1e-5
SHAPE = (2, 3, 16)


def variables(key):
  scale, bias = jax.random.normal(key, (2, SHAPE[-1]))
  return {"params": {"scale": scale, "bias": bias}}


@pytest.mark.parametrize(
  ("offset", "dtype", "tolerance"),
  [
    (0.0, jnp.float32, 2e-5),
    (30.0, jnp.float32, 1e-3),
    (0.0, jnp.bfloat16, 2e-2),
  ],
)
def test_values_and_gradients(offset, dtype, tolerance):
  x = (offset + jax.random.normal(jax.random.key(0), SHAPE)).astype(dtype)
  params = variables(jax.random.key(1))
  weights = jax.random.normal(jax.random.key(2), SHAPE)

  def loss(norm, params, x):
    out = norm.apply(params, x)
    return jnp.sum(weights * out.astype(jnp.float32)), out

  ours, theirs = (
    jax.value_and_grad(loss, argnums=(1, 2), has_aux=True)(norm, params, x)
    for norm in (LayerNorm(EPSILON, dtype), nn.LayerNorm(EPSILON, dtype=dtype))
  )

  def alike(a, b):
    assert a.dtype == b.dtype
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

  jax.tree.map(alike, ours, theirs)
  assert ours[0][1].dtype == dtype


def test_a_constant_row_is_its_bias():
  params = variables(jax.random.key(1))
  x = jnp.full(SHAPE, 3.0)
  out = LayerNorm(EPSILON).apply(params, x)
  np.testing.assert_array_equal(
    out, jnp.broadcast_to(params["params"]["bias"], SHAPE)
  )


def test_parameters_start_as_those_of_flax():
  x = jnp.ones(SHAPE)
  ours, theirs = (
    norm.init(jax.random.key(0), x)
    for norm in (LayerNorm(EPSILON), nn.LayerNorm())
  )
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)
