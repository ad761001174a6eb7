"""Feature pyramids over the frame tokens (spec section "Video-text fusion")."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm

NORM_EPSILON = 1e-6
_KERNEL = 3


def shifted(x: jax.Array, stride: int) -> list[jax.Array]:
  """The three inputs of a kernel-3 convolution along time, SAME padding.

  Stride 2 on an even length pads on the right only, as Flax does.

  Args:
    x: [..., T, D].
    stride: 1 or 2.

  Returns:
    Per tap, [..., T / stride, D].
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


class SimplePyramid(nn.Module):
  """Each level from the one below it, after its LayerNorm, as in ViTDet."""

  num_levels: int
  init_kernel: str = "lecun_normal"
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, tokens: jax.Array) -> list[jax.Array]:
    """Frame tokens [..., T, D] -> levels [..., T / 2^v, D]."""
    levels = []
    for level in range(self.num_levels):
      conv = DepthwiseConv(
        stride=1 if level == 0 else 2,
        init_kernel=self.init_kernel,
        dtype=self.dtype,
        name=f"conv_{level}",
      )
      norm = LayerNorm(
        epsilon=NORM_EPSILON, dtype=self.dtype, name=f"norm_{level}"
      )
      tokens = norm(conv(tokens))
      levels.append(tokens)
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
    out = []
    for level, tokens in enumerate(merged):
      conv = DepthwiseConv(
        init_kernel=self.init_kernel, dtype=self.dtype, name=f"conv_{level}"
      )
      norm = LayerNorm(
        epsilon=NORM_EPSILON, dtype=self.dtype, name=f"norm_{level}"
      )
      out.append(norm(conv(tokens)))
    return out


class Downsample(nn.Module):
  """Halves the frame tokens between two blocks of an FPN.

  Attributes:
    strategy: One of DOWNSAMPLING.
    dtype: Of computation.
  """

  strategy: str
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, tokens: jax.Array) -> jax.Array:
    """[..., T, D] -> [..., T / 2, D]."""
    if self.strategy == "strided_conv":
      return Conv(tokens.shape[-1], stride=2, dtype=self.dtype, name="conv")(
        tokens
      )
    if self.strategy == "strided_depthwise_conv":
      return DepthwiseConv(stride=2, dtype=self.dtype, name="conv")(tokens)
    even, odd = tokens[..., ::2, :], tokens[..., 1::2, :]
    if self.strategy == "max_pool":
      return jnp.maximum(even, odd)
    if self.strategy == "avg_pool":
      return (even + odd) / 2
    return even


DOWNSAMPLING = (
  "max_pool",
  "avg_pool",
  "subsample",
  "strided_conv",
  "strided_depthwise_conv",
)
