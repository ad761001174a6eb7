"""Convolutions along time over frame tokens or precomputed embeddings.

What image towers make frame by frame knows nothing of the frames around it,
and a small transformer learns neighbourhood slowly from a few dozen videos.
Localization heads on frozen features begin the same way (ActionFormer, 2022,
section 3.2).
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm


class TemporalStem(nn.Module):
  """Embeddings, normalised, through residual convolutions.

  Attributes are `config.model.stem`.
  """

  num_layers: int
  width: int
  kernel: int
  dropout: float = 0.0
  noise: float = 0.0
  channel_dropout: float = 0.0
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, rows: jax.Array, deterministic: bool) -> jax.Array:
    """Embeddings [B, T, D_in], zeros where padding -> tokens [B, T, width]."""
    norm = functools.partial(LayerNorm, dtype=self.dtype)
    real = jnp.any(rows != 0, axis=-1, keepdims=True)
    x = norm(name="norm")(rows)
    if not deterministic:
      x = self._disturbed(x)
    x = nn.Dense(self.width, dtype=self.dtype, name="project")(x)
    for layer in range(self.num_layers):
      seen = jnp.where(real, norm(name=f"norm_{layer}")(x), 0)
      conv = nn.Conv(
        self.width, (self.kernel,), dtype=self.dtype, name=f"conv_{layer}"
      )
      added = nn.relu(conv(seen))
      x = x + nn.Dropout(self.dropout)(added, deterministic)
    return jnp.where(real, x, 0)

  def _disturbed(self, x: jax.Array) -> jax.Array:
    if self.noise:
      noise = jax.random.normal(self.make_rng("dropout"), x.shape, x.dtype)
      x = x + self.noise * noise
    hidden = nn.Dropout(self.channel_dropout, broadcast_dims=(1,))
    return hidden(x, deterministic=False)
