"""Feature pyramids over the frame tokens (spec section "Video-text fusion")."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm

_KERNEL = 3


def shifted(x: jax.Array, stride: int) -> list[jax.Array]:
  """The three inputs of a kernel-3 convolution along time, SAME padding.

  X [..., T, D] -> per tap [..., T / stride, D]. Stride 2 on an even length pads
  on the right only, as Flax does.
  """
  length = x.shape[-2]
  out = -(-length // stride)
  total = max((out - 1) * stride + _KERNEL - length, 0)
  before = total // 2
  padding = [(0, 0)] * (x.ndim - 2) + [(before, total - before), (0, 0)]
  padded = jnp.pad(x, padding)
  stop = (out - 1) * stride + 1
  return [padded[..., k : k + stop : stride, :] for k in range(_KERNEL)]


def near_identity(
  key: jax.Array, shape: tuple[int, ...], dtype: Dtype = jnp.float32
) -> jax.Array:
  """Depthwise kernels [3, 1, D] that start by passing their input on.

  Heads shared across levels then read every level alike from the first step;
  random taps flip the sign of half the channels from level to level.
  """
  kernel = 0.1 * jax.random.normal(key, shape, dtype)
  return kernel.at[shape[0] // 2].add(1.0)


# How depthwise kernels start: as in the reference, or near the identity.
INITIALIZERS = {
  "lecun_normal": nn.initializers.lecun_normal(),
  "identity": near_identity,
}


class DepthwiseConv(nn.Module):
  """Depthwise convolution, kernel 3, as shifted multiply-adds.

  XLA:CPU takes minutes to compile a grouped convolution with its gradient.
  """

  stride: int = 1
  init_kernel: str = "lecun_normal"
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[..., T, D] -> [..., T / stride, D]."""
    width = x.shape[-1]
    kernel = self.param(
      "kernel", INITIALIZERS[self.init_kernel], (_KERNEL, 1, width)
    ).astype(self.dtype)
    bias = self.param("bias", nn.initializers.zeros_init(), (width,))
    taps = shifted(x.astype(self.dtype), self.stride)
    out = sum(tap * kernel[k, 0] for k, tap in enumerate(taps))
    return out + bias.astype(self.dtype)


class Conv(nn.Module):
  """Dense convolution along time, kernel 3, as one matrix product."""

  features: int
  stride: int = 1
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[..., T, D] -> [..., T / stride, features]."""
    kernel = self.param(
      "kernel",
      nn.initializers.lecun_normal(),
      (_KERNEL, x.shape[-1], self.features),
    ).astype(self.dtype)
    bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
    taps = jnp.stack(shifted(x.astype(self.dtype), self.stride), axis=-2)
    out = jnp.einsum("...kd,kdf->...f", taps, kernel)
    return out + bias.astype(self.dtype)


def _convolved(
  pyramid: "SimplePyramid | TopDown", level: int, x: jax.Array, stride: int = 1
) -> jax.Array:
  """A level after its convolution and LayerNorm, [..., T / stride, D]."""
  conv = DepthwiseConv(
    stride, pyramid.init_kernel, pyramid.dtype, name=f"conv_{level}"
  )
  return LayerNorm(dtype=pyramid.dtype, name=f"norm_{level}")(conv(x))


class SimplePyramid(nn.Module):
  """Each level from the one below it, after its LayerNorm, as in ViTDet."""

  num_levels: int
  init_kernel: str = "lecun_normal"
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, tokens: jax.Array) -> list[jax.Array]:
    """Frame tokens [..., T, D] -> levels [..., T / 2^v, D]."""
    levels = [_convolved(self, 0, tokens)]
    for level in range(1, self.num_levels):
      levels.append(_convolved(self, level, levels[-1], stride=2))
    return levels


class TopDown(nn.Module):
  """Top-down half of an FPN (Lin et al., 2017) over given levels."""

  init_kernel: str = "lecun_normal"
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, levels: list[jax.Array]) -> list[jax.Array]:
    """Levels [..., T / 2^v, D], finest first -> the same shapes."""
    merged = list(levels)
    for level in reversed(range(len(levels) - 1)):
      coarser = jnp.repeat(merged[level + 1], 2, axis=-2)
      merged[level] = merged[level] + coarser
    return [_convolved(self, level, x) for level, x in enumerate(merged)]


# Halve frame tokens [..., T, D] without parameters.
POOLING: dict[str, Callable[[jax.Array], jax.Array]] = {
  "max_pool": lambda x: jnp.maximum(x[..., ::2, :], x[..., 1::2, :]),
  "avg_pool": lambda x: (x[..., ::2, :] + x[..., 1::2, :]) / 2,
  "subsample": lambda x: x[..., ::2, :],
}


class Downsample(nn.Module):
  """Halves the frame tokens between two blocks of an FPN."""

  strategy: str
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, tokens: jax.Array) -> jax.Array:
    """[..., T, D] -> [..., T / 2, D]."""
    if self.strategy in POOLING:
      return POOLING[self.strategy](tokens)
    if self.strategy == "strided_conv":
      return Conv(tokens.shape[-1], 2, self.dtype, name="conv")(tokens)
    return DepthwiseConv(stride=2, dtype=self.dtype, name="conv")(tokens)
