"""Self-attention, over a sequence or over its parts.

Parts are a tuple of arrays whose leading axes broadcast: projections and sums
over keys that many sequences share are computed once.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models import blocks, kernels
from unloc_jax.models.rotary import Grid, rotate
from unloc_jax.parallel.sharding import constrain

Dtype = Any
Initializer = Callable[..., jax.Array]
# A sequence, or its parts.
Sequence: TypeAlias = jax.Array | tuple[jax.Array, ...]

DEFAULT_INIT = nn.initializers.lecun_normal()


class MultiHeadAttention(nn.Module):
  """Bidirectional or masked multi-head self-attention with biases.

  Attributes are of `Block`; `dropout` is of weights. The softmax is float32.
  Parts are not turned by `rotary`.
  """

  num_heads: int
  dropout: float = 0.0
  kernel_init: Initializer = DEFAULT_INIT
  dtype: Dtype = jnp.float32
  axes: tuple[str, ...] = ()
  rotary: Grid | None = None

  @nn.compact
  def __call__(
    self, x: Sequence, mask: Sequence | None, deterministic: bool
  ) -> jax.Array:
    """Attends within x [..., S, D]; mask [..., 1 | S, S], True = may look.

    Of parts, each has the mask of its keys, and no weights are dropped.
    """
    parts = x if isinstance(x, tuple) else (x,)
    width = parts[0].shape[-1]
    head_dim = width // self.num_heads

    def heads(name: str) -> tuple[jax.Array, ...]:
      dense = nn.DenseGeneral(
        (self.num_heads, head_dim),
        kernel_init=self.kernel_init,
        dtype=self.dtype,
        name=name,
      )
      return tuple(
        constrain(dense(part), *self.axes, None, "heads") for part in parts
      )

    query = tuple(part * head_dim**-0.5 for part in heads("query"))
    key, value = heads("key"), heads("value")
    if self.rotary is not None:
      query = (rotate(query[0], self.rotary),)
      key = (rotate(key[0], self.rotary),)
    if isinstance(mask, tuple):
      attended = [attend(q, key, value, mask, self.axes) for q in query]
      out = join(tuple(attended), axis=-3)
    else:
      out = self._of_one(query[0], key[0], value[0], mask, deterministic)
    return nn.DenseGeneral(
      width,
      axis=(-2, -1),
      kernel_init=self.kernel_init,
      dtype=self.dtype,
      name="out",
    )(out)

  def _of_one(
    self,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    deterministic: bool,
  ) -> jax.Array:
    """Attention of one sequence [..., S, H, d]; weights are dropped whole."""
    dropped = self.dropout > 0 and not deterministic
    kind = kernels.choose(query, key, mask, self.axes)
    if dropped or kind == "whole":
      weights = jax.nn.softmax(_scores(query, key, mask)).astype(self.dtype)
      weights = nn.Dropout(self.dropout)(weights, deterministic)
      return jnp.einsum("...hqk,...khd->...qhd", weights, value)
    if kind == "blocks":
      return attend(query, (key,), (value,), (mask,), self.axes)
    kernel = kernels.KERNELS[kind]
    return kernels.attend(kernel, query, key, value, mask, self.axes)


def _scores(
  query: jax.Array, key: jax.Array, mask: jax.Array | None
) -> jax.Array:
  """float32 [..., H, S, K] of query [..., S, H, d] and key [..., K, H, d]."""
  logits = jnp.einsum("...qhd,...khd->...hqk", query, key)
  logits = logits.astype(jnp.float32)
  if mask is None:
    return logits
  return jnp.where(mask[..., None, :, :], logits, blocks.MASKED)


def attend(
  query: jax.Array,
  key: tuple[jax.Array, ...],
  value: tuple[jax.Array, ...],
  mask: tuple[jax.Array | None, ...],
  axes: tuple[str, ...] = (),
) -> jax.Array:
  """Softmax attention over keys in parts, whose leading axes broadcast.

  Each part is summed by itself, weighed against its own largest score, and
  the sums are then weighed against each other (Milakov and Gimelshein, 2018).
  Query, scaled, and result are [..., S, H, d]; of a part, key and value are
  [..., K, H, d], the mask is [..., 1 | S, K].
  """
  parts = zip(key, value, mask, strict=True)
  found = [_sums(query, *part, axes) for part in parts]
  sums, totals, largest = zip(*found, strict=True)
  top = functools.reduce(jnp.maximum, largest)
  scales = [jnp.exp(part - top) for part in largest]
  total = sum(map(operator.mul, scales, totals), jnp.zeros_like(top))
  shares = [(scale / total).astype(query.dtype) for scale in scales]
  out = sum(map(operator.mul, shares, sums), jnp.zeros((), query.dtype))
  return jnp.swapaxes(out, -3, -2)


def _sums(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  mask: jax.Array | None,
  axes: tuple[str, ...],
) -> blocks.Sums:
  """As `blocks.sums`, however it is computed."""
  if not blocks.fits_whole(query, key, axes):
    return blocks.sums(query, key, value, mask, axes)
  logits = _scores(query, key, mask)
  largest = jnp.max(logits, axis=-1, keepdims=True)
  weights = jnp.exp(logits - largest)
  total = jnp.sum(weights, axis=-1, keepdims=True)
  sums = jnp.einsum("...hqk,...khd->...hqd", weights.astype(value.dtype), value)
  return sums, total, largest


def join(parts: Sequence, axis: int) -> jax.Array:
  """One array of parts along `axis` (< 0); leading axes are broadcast."""
  if not isinstance(parts, tuple):
    return parts
  shape = jnp.broadcast_shapes(*(part.shape[:axis] for part in parts))
  return jnp.concatenate(
    [jnp.broadcast_to(part, shape + part.shape[axis:]) for part in parts], axis
  )
