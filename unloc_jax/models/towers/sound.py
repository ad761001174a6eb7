"""Towers of sound: rows of an extractor, or a log-mel spectrogram, -> tokens.

Rows are at the positions of the sampling clock; see
`unloc_jax.media.extractors`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.match import log_scores

_BANDS = 64
# log(0.001), that of silence, becomes 0.
_SILENCE, _RANGE = -6.9, 4.0


class ScoreTower(nn.Module):
  """Scores of classes, mean embedding and bands -> tokens [B, T, width]."""

  width: int
  names: int  # Scores that a row begins with
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, rows: jax.Array, deterministic: bool) -> jax.Array:
    """Rows [B, T, names + E + 64] -> tokens."""
    del deterministic
    parts = jnp.split(rows, [self.names, rows.shape[-1] - _BANDS], axis=-1)
    scores, mean, bands = parts
    bands = (bands - _SILENCE) / _RANGE
    heard = jnp.concatenate([log_scores(scores), mean, bands], axis=-1)
    dense = nn.Dense(self.width, dtype=self.dtype, name="embed")
    return nn.gelu(dense(heard.astype(self.dtype)))


class LogMelTower(nn.Module):
  """A small convolutional network over time, trained from scratch."""

  width: int
  num_layers: int
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, rows: jax.Array, deterministic: bool) -> jax.Array:
    """Log-mel frames [B, T, F * 64] of every position -> [B, T, width]."""
    del deterministic
    count, length = rows.shape[:2]
    frames = rows.reshape(count, -1, _BANDS)
    per_position = frames.shape[1] // length
    # A position of 25 frames is 5 steps of 50 ms.
    stride = 5 if per_position % 5 == 0 else 1
    x = ((frames - _SILENCE) / _RANGE).astype(self.dtype)
    for i in range(self.num_layers):
      conv = nn.Conv(
        self.width,
        (2 * stride - 1 if i == 0 else 5,),
        strides=(stride if i == 0 else 1,),
        padding="SAME",
        dtype=self.dtype,
        name=f"conv_{i}",
      )
      made = nn.gelu(conv(x))
      x = made if i == 0 else x + made
      x = LayerNorm(dtype=self.dtype, name=f"norm_{i}")(x)
    x = x.reshape(count, length, -1, self.width)
    return jnp.concatenate([x.mean(axis=2), x.max(axis=2)], axis=-1)
