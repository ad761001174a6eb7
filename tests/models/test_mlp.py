"""The MLP keeps the input of its activation, and nothing else as wide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.models.transformer import ACTIVATIONS, Transformer, activate

KEY = jax.random.key(0)
WIDE = 512


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_gradient_is_the_same(name):
  x = jax.random.normal(KEY, (64,)) * 3

  def both(function):
    def total(x):
      return jnp.sum(jnp.sin(function(x)))

    return jax.jit(jax.value_and_grad(total))(x)

  plain = both(ACTIVATIONS[name])
  for ours, theirs in zip(
    both(lambda x: activate(name, x)), plain, strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("scan", "kept"), [(False, 2), (True, 1)])
def test_a_layer_keeps_so_many_wide_arrays(scan, kept):
  """Unscanned, a CPU's compiler finds that it has the activated array, too."""
  rows = 64

  def temporaries(layers):
    module = Transformer(
      num_layers=layers,
      num_heads=1,
      mlp_dim=WIDE,
      activation="gelu_tanh",
      scan=scan,
    )
    x = jax.ShapeDtypeStruct((1, rows, 8), jnp.float32)
    variables = jax.eval_shape(lambda x: module.init(KEY, x, None, True), x)

    def loss(variables, x):
      return jnp.sum(module.apply(variables, x, None, True) ** 2)

    compiled = jax.jit(jax.grad(loss)).lower(variables, x).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  narrow = 4 * rows * (2 * rows + 16 * 8)  # Of attention, and the tokens.
  more = (temporaries(6) - temporaries(3)) / 3
  assert more <= kept * 4 * rows * WIDE + narrow
