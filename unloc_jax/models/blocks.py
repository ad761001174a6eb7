"""Attention of long sequences: exact, and never the whole score matrix.

Scores are made for a block of sequences and queries at a time and made again
for the gradient (Rabe and Staats, 2021; Dao et al., 2022), so that memory is
linear in the number of keys and, on a CPU, a block stays in the cache.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from unloc_jax.parallel import sharding

Array = jax.Array
# Sums over keys, of values and of weights, and the largest score.
Sums = tuple[Array, Array, Array]

MASKED = -1e9

# Scores of a block. On a CPU it stays in the cache of a core or two; elsewhere
# it is large enough to keep the device busy.
_BLOCK, _LARGE_BLOCK = 2**18, 2**26
# Whole score matrices of up to so many blocks are faster.
_WHOLE = 16


_plain = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """Within it, attention that is traced is written plainly, to be counted."""
  token = _plain.set(True)
  try:
    yield
  finally:
    _plain.reset(token)


def is_plain() -> bool:
  """Whether `plain` is in effect."""
  return _plain.get()


def _block() -> int:
  return _BLOCK if sharding.platform() == "cpu" else _LARGE_BLOCK


def fits_whole(query: Array, key: Array, axes: tuple[str, ...]) -> bool:
  """Whether attention holds its whole score matrix; arguments as of `sums`."""
  lead = jnp.broadcast_shapes(query.shape[:-3], key.shape[:-3])
  sizes = (*lead, query.shape[-2], query.shape[-3], key.shape[-3])
  if is_plain() or not all(isinstance(n, int) for n in sizes):
    return True  # An export leaves them open: they are not known to be large.
  of_device = sharding.piece((*axes, "heads"), sizes)
  return math.prod(of_device) <= _WHOLE * _block()


def sums(
  query: Array,
  key: Array,
  value: Array,
  mask: Array | None,
  axes: tuple[str, ...] = (),
) -> Sums:
  """Sums over keys, each weight being exp(score - the largest).

  Args:
    query: Scaled, [..., S, H, d].
    key: [..., K, H, d].
    value: [..., K, H, d].
    mask: bool [..., 1 | S, K], False = not looked at.
    axes: Logical axes of the leading axes; see `sharding`.

  Returns:
    Of values [..., H, S, d]; of weights, and the largest score, float32
    [..., H, S, 1]. The gradient takes the last for a constant, which it is to
    all that does not depend on its choice.
  """
  lead = jnp.broadcast_shapes(query.shape[:-3], key.shape[:-3])
  if mask is None:
    mask = jnp.ones((1, key.shape[-3]), bool)
  arrays = tuple(
    jnp.broadcast_to(x, (*lead, *x.shape[-3:]))
    for x in (
      *(jnp.swapaxes(x, -3, -2) for x in (query, key, value)),
      mask[..., None, :, :],
    )
  )
  heads = (*axes, "heads")
  return sharding.each_device(
    _of_device, (heads, heads, heads, axes), heads, *arrays
  )


def _of_device(query: Array, key: Array, value: Array, mask: Array) -> Sums:
  """As `sums`, of arrays with the same leading axes, heads before S and K."""
  *lead, heads, length, _ = query.shape
  rows, keys = math.prod(lead), key.shape[-2]
  wanted = max(1, _block() // (heads * length * keys))
  at_once = max(n for n in range(1, min(rows, wanted) + 1) if rows % n == 0)
  fitting = max(1, _block() // (at_once * heads * keys))
  count = -(-length // min(fitting, length))

  def stacked(x: Array) -> Array:
    return x.reshape(rows // at_once, at_once, *x.shape[-3:])

  arrays = tuple(map(stacked, (query, key, value, mask)))
  found: Sums = jax.lax.map(lambda row: _sums(*row, count), arrays)
  return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[-3:]), found)


def _scores(query: Array, key: Array, mask: Array) -> Array:
  """float32 [R, H, S, K] of query [R, H, S, d] and key [R, H, K, d]."""
  found = jnp.einsum("...qd,...kd->...qk", query, key).astype(jnp.float32)
  return jnp.where(mask, found, MASKED)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _sums(
  query: Array, key: Array, value: Array, mask: Array, count: int
) -> Sums:
  """As `_of_device`, of so many blocks of queries one after another."""

  def block(part: tuple[Array, Array]) -> Sums:
    logits = _scores(part[0], key, part[1])
    largest = jnp.max(logits, axis=-1, keepdims=True)
    weights = jnp.exp(logits - largest)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return weights.astype(value.dtype) @ value, total, largest

  found: Sums = jax.lax.map(block, (_cut(query, count), _cut(mask, count)))
  return jax.tree.map(lambda x: _joined(x, query.shape[-2]), found)


def _forward(
  query: Array, key: Array, value: Array, mask: Array, count: int
) -> tuple[Sums, tuple[Array, ...]]:
  found = _sums(query, key, value, mask, count)
  return found, (query, key, value, mask, found[2])


def _backward(
  count: int, kept: tuple[Array, ...], by_sums: Sums
) -> tuple[Array, Array, Array, None]:
  query, key, value, mask, largest = kept

  def block(
    found: tuple[Array, Array], part: tuple[Array, ...]
  ) -> tuple[tuple[Array, Array], Array]:
    q, m, top, by_values, by_total = part
    weights = jnp.exp(_scores(q, key, m) - top)
    by_weights = jnp.einsum("...qd,...kd->...qk", by_values, value) + by_total
    by_logits = jnp.where(m, weights * by_weights, 0.0).astype(q.dtype)
    weights = weights.astype(q.dtype)
    # Channels before keys: the matrices of scores are read as they lie.
    by_key = jnp.einsum("...qd,...qk->...dk", q, by_logits)
    by_value = jnp.einsum("...qd,...qk->...dk", by_values, weights)
    return (found[0] + by_key, found[1] + by_value), by_logits @ key

  parts = (query, mask, largest, by_sums[0], by_sums[1])
  nothing = jnp.zeros(jnp.swapaxes(key, -1, -2).shape, jnp.float32)
  (by_key, by_value), by_query = jax.lax.scan(
    block, (nothing, nothing), tuple(_cut(x, count) for x in parts)
  )
  return (
    _joined(by_query, query.shape[-2]),
    jnp.swapaxes(by_key, -1, -2).astype(key.dtype),
    jnp.swapaxes(by_value, -1, -2).astype(value.dtype),
    None,
  )


_sums.defvjp(_forward, _backward)


def _cut(x: Array, count: int) -> Array:
  """[R, H, S, d] -> blocks [count, R, H, S / count, d], padded with zeros."""
  length = x.shape[-2]
  if length == 1:  # A mask that is the same for all queries.
    return jnp.broadcast_to(x, (count, *x.shape))
  size = -(-length // count)
  x = jnp.pad(x, [(0, 0), (0, 0), (0, size * count - length), (0, 0)])
  return jnp.moveaxis(x.reshape(*x.shape[:2], count, size, x.shape[-1]), 2, 0)


def _joined(blocks: Array, length: int) -> Array:
  """Undoes `_cut`."""
  x = jnp.moveaxis(blocks, 0, 2)
  return x.reshape(*x.shape[:2], -1, x.shape[-1])[:, :, :length]
