"""Heads that read relevance and displacement off every pyramid point."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.feature_pyramid import NORM_EPSILON, Conv
from unloc_jax.models.fusion import PAIR_AXES
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.transformer import rematerialised
from unloc_jax.parallel.sharding import constrain


class Layer(nn.Module):
  """LayerNorm, convolution, ReLU."""

  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
    """[..., P, D] -> the same; `nn.scan` expects a pair."""
    norm = LayerNorm(epsilon=NORM_EPSILON, dtype=self.dtype, name="norm")
    conv = Conv(x.shape[-1], dtype=self.dtype, name="conv")
    return constrain(nn.relu(conv(norm(x))), *PAIR_AXES), None


class Branch(nn.Module):
  """n x (LayerNorm -> convolution -> ReLU), then a linear map.

  With no layers it is the linear head of segmentation and classification.

  Attributes:
    num_layers: n.
    outputs: Values per point.
    bias: Initial bias of the linear map.
    scan: One traced body for all layers; parameters are stacked.
    dtype: Of the layers; the linear map is float32.
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
        rematerialised(Layer, "dots", static_argnums=(), in_scan=True),
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


class RelevanceHead(nn.Module):
  """Relevance logit of every point.

  Attributes:
    num_layers: Convolutions before the linear map.
    shared_across_levels: One set of weights for all levels.
    bias: Initial bias of the logit.
    scan: One traced body for the convolutions of a branch.
    dtype: Of computation.
  """

  num_layers: int
  shared_across_levels: bool
  bias: float
  scan: bool = False
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, levels: list[jax.Array]) -> jax.Array:
    """Levels [..., T / 2^v, D] -> logits float32 [..., P]."""
    branches = _branches(self, len(levels), outputs=1)
    logits = [
      branch(level) for branch, level in zip(branches, levels, strict=True)
    ]
    return jnp.concatenate(logits, axis=-2)[..., 0]


class DisplacementHead(nn.Module):
  """Distances of every point to start and end, >= 0, in strides.

  Attributes:
    num_layers: Convolutions before the linear map.
    shared_across_levels: One set of weights for all levels, and a learned
      scale and shift of each level's output.
    bias: Initial bias of the linear map.
    scan: One traced body for the convolutions of a branch.
    dtype: Of computation.
  """

  num_layers: int
  shared_across_levels: bool
  bias: float
  scan: bool = False
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, levels: list[jax.Array]) -> jax.Array:
    """Levels [..., T / 2^v, D] -> float32 [..., P, 2]."""
    branches = _branches(self, len(levels), outputs=2)
    out = []
    for level, (branch, x) in enumerate(zip(branches, levels, strict=True)):
      distance = branch(x)
      if self.shared_across_levels:
        scale = self.param(f"scale_{level}", nn.initializers.ones_init(), (1,))
        shift = self.param(f"shift_{level}", nn.initializers.zeros_init(), (1,))
        distance = distance * scale + shift
      out.append(nn.relu(distance))
    return jnp.concatenate(out, axis=-2)


def _branches(head, num_levels: int, outputs: int) -> list[Branch]:
  """The branch of each level: one and the same, or one each."""
  make = lambda name: Branch(  # noqa: E731
    head.num_layers, outputs, head.bias, head.scan, head.dtype, name=name
  )
  if head.shared_across_levels:
    return [make("shared")] * num_levels
  return [make(f"level_{level}") for level in range(num_levels)]
