"""Heads that read relevance and displacement off every pyramid point."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.feature_pyramid import Conv
from unloc_jax.models.fusion import PAIR_AXES
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.transformer import REMAT_POLICIES
from unloc_jax.parallel.sharding import constrain


class Layer(nn.Module):
  """LayerNorm, convolution, ReLU."""

  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
    """[..., P, D] -> the same; `nn.scan` expects a pair."""
    norm = LayerNorm(dtype=self.dtype, name="norm")
    conv = Conv(x.shape[-1], dtype=self.dtype, name="conv")
    return constrain(nn.relu(conv(norm(x))), *PAIR_AXES), None


class Branch(nn.Module):
  """n x (LayerNorm -> convolution -> ReLU), then a linear map.

  With no layers it is the linear head of segmentation and classification.
  The linear map, which starts with `bias`, is float32.
  """

  num_layers: int
  outputs: int
  bias: float
  scan: bool = False
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[..., P, D] -> float32 [..., P, outputs]."""
    if self.scan and self.num_layers:
      # Kept for the backward pass: the products, not the three inputs of each.
      layers = nn.scan(
        nn.remat(Layer, prevent_cse=False, policy=REMAT_POLICIES["dots"]),
        variable_axes={"params": 0},
        split_rngs={"params": True},
        length=self.num_layers,
      )
      x, _ = layers(self.dtype, name="layers")(x)
    else:
      for layer in range(self.num_layers):
        x, _ = Layer(self.dtype, name=f"layer_{layer}")(x)
    return nn.Dense(
      self.outputs,
      bias_init=nn.initializers.constant(self.bias),
      dtype=jnp.float32,
      name="output",
    )(x)


class Head(nn.Module):
  """What both heads are built with: `config.model.head`, and see `Branch`."""

  num_layers: int
  shared_across_levels: bool
  bias: float
  scan: bool = False
  dtype: Dtype = jnp.float32

  def branches(self, levels: list[jax.Array], outputs: int) -> list[jax.Array]:
    """Levels [..., T / 2^v, D] -> float32 [..., T / 2^v, outputs]."""
    make = functools.partial(
      Branch, self.num_layers, outputs, self.bias, self.scan, self.dtype
    )
    if self.shared_across_levels:
      shared = make(name="shared")
      return [shared(level) for level in levels]
    return [make(name=f"level_{i}")(x) for i, x in enumerate(levels)]


class RelevanceHead(Head):
  """Relevance logit of every point."""

  @nn.compact
  def __call__(self, levels: list[jax.Array]) -> jax.Array:
    """Levels [..., T / 2^v, D] -> logits float32 [..., P]."""
    return jnp.concatenate(self.branches(levels, outputs=1), axis=-2)[..., 0]


class DisplacementHead(Head):
  """Distances of every point to start and end, >= 0, in strides.

  Where weights are shared, each level's output has a learned scale and shift.
  """

  @nn.compact
  def __call__(self, levels: list[jax.Array]) -> jax.Array:
    """Levels [..., T / 2^v, D] -> float32 [..., P, 2]."""
    out = []
    for level, distance in enumerate(self.branches(levels, outputs=2)):
      if self.shared_across_levels:
        scale = self.param(f"scale_{level}", nn.initializers.ones_init(), (1,))
        shift = self.param(f"shift_{level}", nn.initializers.zeros_init(), (1,))
        distance = distance * scale + shift
      out.append(nn.relu(distance))
    return jnp.concatenate(out, axis=-2)
