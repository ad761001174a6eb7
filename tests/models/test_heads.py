"""Heads: what must not change what they read off a pyramid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.weights.folder import unstack

D = 8
LEVELS = [
  jax.random.normal(jax.random.key(n), (2, points, D))
  for n, points in enumerate((8, 4))
]


@pytest.mark.parametrize("head", [RelevanceHead, DisplacementHead])
@pytest.mark.parametrize("shared", [True, False])
def test_scanned_layers_change_nothing(head, shared):
  def output_and_gradient(scan, flat):
    module = head(3, shared, 0.5, scan=scan)

    def run(flat):
      params = traverse_util.unflatten_dict(flat, sep="/")
      out = module.apply({"params": params}, LEVELS)
      return jnp.sum(jnp.sin(out)), out

    (_, out), gradient = jax.jit(jax.value_and_grad(run, has_aux=True))(flat)
    return out, gradient

  module = head(3, shared, 0.5, scan=True)
  params = jax.jit(module.init)(jax.random.key(9), LEVELS)["params"]
  stacked = traverse_util.flatten_dict(params, sep="/")
  apart = unstack(stacked)
  branches = 1 if shared else len(LEVELS)
  assert sum("/layer_2/conv/kernel" in name for name in apart) == branches
  kernel = next(v for k, v in stacked.items() if k.endswith("conv/kernel"))
  assert not np.allclose(kernel[0], kernel[1])  # Layers begin apart.

  scanned, by_stacked = output_and_gradient(True, stacked)
  plain, by_apart = output_and_gradient(False, apart)
  np.testing.assert_allclose(scanned, plain, rtol=1e-5, atol=1e-5)
  by_stacked = unstack(by_stacked)
  assert by_stacked.keys() == by_apart.keys()
  for name, value in by_apart.items():
    np.testing.assert_allclose(by_stacked[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scan", [True, False])
def test_no_layers_are_a_linear_head(scan):
  module = RelevanceHead(0, True, 0.5, scan=scan)
  variables = module.init(jax.random.key(0), LEVELS)
  output = variables["params"]["shared"].pop("output")
  assert not variables["params"]["shared"]
  assert output["kernel"].shape == (D, 1)
