"""Sentence encoders made of BERT (Devlin et al., 2019; Reimers, 2019)."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from unloc_jax.models.towers.clip import TextTower
from unloc_jax.models.transformer import key_mask


class BertTower(TextTower):
  """BERT whose mean token, brought to length 1, stands for the text.

  As all-MiniLM-L6-v2 of sentence-transformers. All tokens of a text are scaled
  alike, so that their mean is of length 1.
  """

  epsilon: ClassVar[float] = 1e-12
  post_norm: ClassVar[bool] = True

  def _seen(self, ids: jax.Array) -> jax.Array:
    return key_mask(_real(ids))

  def _finish(self, tokens: jax.Array, ids: jax.Array) -> jax.Array:
    mean = self.pool(tokens.astype(jnp.float32), ids)
    square = jnp.sum(mean * mean, axis=-1, keepdims=True)
    scale = jax.lax.rsqrt(square + 1e-12)[..., None, :]
    return tokens * scale.astype(tokens.dtype)

  @staticmethod
  def pool(tokens: jax.Array, ids: jax.Array) -> jax.Array:
    """Tokens [..., L, D] -> the mean of those that are no padding, [..., D]."""
    real = _real(ids).astype(tokens.dtype)
    count = jnp.maximum(jnp.sum(real, axis=-1, keepdims=True), 1)
    return jnp.einsum("...ld,...l->...d", tokens, real / count)


def _real(ids: jax.Array) -> jax.Array:
  """Which of ids [..., L] are text; a text may say "[PAD]", which is 0."""
  return jnp.cumsum(ids[..., ::-1], axis=-1)[..., ::-1] > 0
