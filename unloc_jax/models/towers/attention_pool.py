"""Many tokens -> one, by a learned question (Lee et al., 2019)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.transformer import Mlp


class AttentionPool(nn.Module):
  """A probe attends to all tokens; an MLP with a residual follows.

  The softmax is float32; `epsilon` is of the LayerNorm before the MLP.
  """

  num_heads: int
  mlp_dim: int
  activation: str
  epsilon: float
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, tokens: jax.Array) -> jax.Array:
    """Tokens [..., N, D] -> [..., D]."""
    shape = (*tokens.shape[:-2], 1, tokens.shape[-1])
    probe = self.param("probe", nn.initializers.normal(0.02), shape[-1:])
    attention = nn.MultiHeadDotProductAttention(
      self.num_heads,
      dtype=self.dtype,
      force_fp32_for_softmax=True,
      name="attention",
    )
    probe = jnp.broadcast_to(probe.astype(self.dtype), shape)
    pooled = attention(probe, tokens)
    normed = LayerNorm(self.epsilon, self.dtype, name="norm")(pooled)
    mlp = Mlp(self.mlp_dim, self.activation, dtype=self.dtype, name="mlp")
    out: jax.Array = (pooled + mlp(normed, True))[..., 0, :]
    return out
