"""In place of a text tower: tokens that others made of the texts."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm


class GivenTokens(nn.Module):
  """Tokens, normalised: whatever their scale, the projection sees the same."""

  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, rows: jax.Array, deterministic: bool) -> jax.Array:
    """Rows [..., L, E] -> tokens [..., L, E]."""
    del deterministic
    return LayerNorm(dtype=self.dtype, name="norm")(rows)

  @staticmethod
  def real(rows: jax.Array) -> jax.Array:
    """Which rows [..., L, E] are tokens, bool [..., L]; padding is zeros."""
    return jnp.any(rows != 0, axis=-1)

  @staticmethod
  def pool(tokens: jax.Array, rows: jax.Array) -> jax.Array:
    """Tokens [..., L, D] -> the last one's, [..., D], as CLIP's pooler."""
    count = jnp.sum(GivenTokens.real(rows), axis=-1)[..., None, None]
    end = jnp.maximum(count - 1, 0)
    return jnp.take_along_axis(tokens, end, axis=-2)[..., 0, :]
