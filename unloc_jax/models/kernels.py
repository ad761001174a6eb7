"""How attention is computed, and the kernels of libraries that do it.

cuDNN's (GPU) and JAX's flash attention (TPU) never hold the score matrix. A
mask of keys would cost them a matrix as large; here it is one channel more of
queries and keys, whose product puts masked keys out of sight.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from unloc_jax.models import blocks
from unloc_jax.parallel import sharding

Array = jax.Array

# Lengths below are faster plain: a kernel starts for every sequence and head.
_SHORTEST = {"gpu": 128, "tpu": 512}
# The TPU kernel takes multiples of a block; padding may cost so many times
# the work (513 positions are padded to 640, those below to more).
_TPU_BLOCK, _MOST_PADDING = 128, 1.6
_CHANNELS = 8  # Head widths are multiples of it.
_HIDDEN = -30000.0  # A finite score in bfloat16 whose weight is 0.


def choose(
  query: Array, key: Array, mask: Array | None, axes: tuple[str, ...]
) -> str:
  """Names "whole", "blocks", "gpu" or "tpu", by sizes and devices.

  Arguments are as of `blocks.sums`.
  """
  platform = sharding.platform().replace("cuda", "gpu")
  length, keys = query.shape[-3], key.shape[-3]
  of_keys = mask is None or mask.shape[-2] == 1
  if (
    not blocks.is_plain()
    and query.shape == key.shape
    and isinstance(length, int)
    and of_keys
    and query.dtype == jnp.bfloat16
    and length >= _SHORTEST.get(platform, length + 1)
  ):
    padded = -(-length // _TPU_BLOCK) * _TPU_BLOCK
    if platform == "tpu" and padded**2 <= _MOST_PADDING * keys**2:
      return "tpu"
    # Without a GPU, as in plans, there is no cuDNN to compile for.
    if platform == jax.default_backend() == "gpu":
      return "gpu"
  return "whole" if blocks.fits_whole(query, key, axes) else "blocks"


def attend(
  kernel: Callable[[Array, Array, Array], Array],
  query: Array,
  key: Array,
  value: Array,
  mask: Array | None,
  axes: tuple[str, ...] = (),
) -> Array:
  """Attention of a kernel of KERNELS, [..., S, H, d]; as `blocks.sums`."""
  lead, width = query.shape[:-3], query.shape[-1]
  if mask is None:
    mask = jnp.ones((1, key.shape[-3]), bool)
  mask = jnp.broadcast_to(mask, (*lead, 1, key.shape[-3]))

  def of_device(query: Array, key: Array, value: Array, mask: Array) -> Array:
    shape = query.shape
    hidden = jnp.where(mask, 0.0, _HIDDEN).astype(key.dtype)
    hidden = jnp.broadcast_to(
      jnp.swapaxes(hidden, -1, -2)[..., None], (*key.shape[:-1], 1)
    )
    wide = (
      jnp.concatenate([query, jnp.ones_like(hidden)], axis=-1),
      jnp.concatenate([key, hidden], axis=-1),
      value,
    )
    channels = -(-(width + 1) // _CHANNELS) * _CHANNELS
    folded = []
    for x in wide:
      x = x.reshape(math.prod(shape[:-3]), *x.shape[-3:])
      more = channels - x.shape[-1]
      folded.append(jnp.pad(x, [(0, 0), (0, 0), (0, 0), (0, more)]))
    return kernel(*folded)[..., :width].reshape(shape)

  heads = (*axes, None, "heads")
  out: Array = sharding.each_device(
    of_device, (heads, heads, heads, axes), heads, query, key, value, mask
  )
  return out


def _gpu(query: Array, key: Array, value: Array) -> Array:
  return jax.nn.dot_product_attention(
    query, key, value, scale=1.0, implementation="cudnn"
  )


def _tpu(query: Array, key: Array, value: Array) -> Array:
  """Pads positions with keys that are out of sight: their mask is a channel."""
  from jax.experimental.pallas.ops.tpu import flash_attention

  length = query.shape[1]
  more = -length % _TPU_BLOCK
  padded = [
    jnp.pad(jnp.swapaxes(x, 1, 2), [(0, 0), (0, 0), (0, more), (0, 0)])
    for x in (query, key, value)
  ]
  row = jnp.broadcast_to(
    jnp.arange(length + more) >= length, (query.shape[0], length + more)
  ).astype(jnp.int32)
  found = flash_attention.flash_attention(
    *padded, segment_ids=flash_attention.SegmentIds(row, row)
  )
  return jnp.swapaxes(found[:, :, :length], 1, 2)


KERNELS = {"gpu": _gpu, "tpu": _tpu}
