"""How well what is heard agrees with a sentence, by named classes.

An extractor of sound scores C named classes; a sentence has a cosine with each
of their names. What is heard of the classes that a sentence is near to says
something of the sentence, whatever was trained on: no weight here belongs to a
class.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype

# Inverse temperatures of the softmax over names: the nearest, and many.
_SHARPEST, _WIDEST = 60.0, 10.0
# Scores are sigmoids; of a distant sound they are small, and still far above
# those of what is not there.
_FLOOR = 1e-3


def log_scores(scores: jax.Array) -> jax.Array:
  """Scores 0 to 1 -> their logarithm, 0 to 1."""
  return 1 - jnp.log(scores + _FLOOR) / jnp.log(_FLOOR)


class Match(nn.Module):
  """Agreement of B recordings and Q sentences -> tokens to add, [B, Q, S, D].

  Attributes are D and `config.model.match`: C classes that rows and sentences
  begin with, K temperatures at which a sentence picks among them.
  """

  width: int
  names: int
  num_scales: int
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, rows: jax.Array, mask: jax.Array, texts: jax.Array
  ) -> jax.Array:
    """Compares rows [B, S, C + E] with sentences [B | 1, Q, C + E].

    A row is C scores and the mean embedding of their names, where `mask`
    [B, S]; a sentence C cosines and its embedding.
    """
    rows, texts = rows.astype(jnp.float32), texts.astype(jnp.float32)
    scores, mean = jnp.split(rows, [self.names], axis=-1)
    cosines, text = jnp.split(texts, [self.names], axis=-1)
    logs = jnp.geomspace(_WIDEST, _SHARPEST, self.num_scales)
    sharpness = jnp.exp(self.param("sharpness", lambda key: jnp.log(logs)))
    shares = jax.nn.softmax(cosines[..., None, :] * sharpness[:, None], axis=-1)
    shape = (rows.shape[0], *shares.shape[1:])
    shares = jnp.broadcast_to(shares, shape)

    def heard(of: jax.Array) -> jax.Array:
      return jnp.einsum("bsc,bqkc->bqsk", of, shares)

    said = heard(log_scores(scores))
    weights = mask / jnp.maximum(jnp.sum(mask, axis=-1, keepdims=True), 1)
    quiet = jnp.einsum("bqsk,bs->bqk", said, weights)[..., None, :]
    text = jnp.broadcast_to(text, (shape[0], *text.shape[1:]))
    agree = jnp.einsum("bse,bqe->bqs", unit(mean), unit(text))[..., None]
    channels = [heard(scores), said, said - quiet, agree]
    features = jnp.concatenate(channels, axis=-1).astype(self.dtype)
    hidden = nn.gelu(
      nn.Dense(self.width, dtype=self.dtype, name="in")(features)
    )
    return nn.Dense(self.width, dtype=self.dtype, name="out")(hidden)


def unit(x: jax.Array, epsilon: float = 1e-6) -> jax.Array:
  """Vectors [..., D] of unit length, those of no length as they are."""
  return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + epsilon)
