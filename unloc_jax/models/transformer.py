"""The transformer that all towers and the fusion are made of.

Parameters are float32; `dtype` is what is computed in. With `scan` the layers
share one traced body and their parameters carry a leading layer axis.

A block also takes its sequence in parts, a tuple of arrays whose leading axes
broadcast: what it computes of frames that many texts share, it computes once.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import (
  DEFAULT_INIT,
  Dtype,
  Initializer,
  MultiHeadAttention,
  Sequence,
  join,
)
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.rotary import Grid
from unloc_jax.parallel import sharding
from unloc_jax.parallel.sharding import constrain

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  # CLIP's approximation of GELU.
  "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
  "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
  "gelu": functools.partial(jax.nn.gelu, approximate=False),
}


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def activate(name: str, x: jax.Array) -> jax.Array:
  """One of ACTIVATIONS, of which the gradient keeps only the input."""
  return ACTIVATIONS[name](x)


def _backward(name: str, x: jax.Array, by_out: jax.Array) -> tuple[jax.Array]:
  if sharding.platform() == "cpu":
    # Its compiler ignores barriers, and would keep what it computed forward
    # of this x; it cannot know that a factor is 1.
    x = x * (1 + 0 * by_out.ravel()[0])
  _, gradient = jax.vjp(ACTIVATIONS[name], x)
  return gradient(by_out)


activate.defvjp(lambda name, x: (activate(name, x), x), _backward)

# What a rematerialised block keeps for the backward pass.
REMAT_POLICIES: dict[str, Any] = {
  "full": None,
  "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


class Mlp(nn.Module):
  """Two linear maps around an activation, D -> hidden -> D."""

  hidden: int
  activation: str
  dropout: float = 0.0
  kernel_init: Initializer = DEFAULT_INIT
  dtype: Dtype = jnp.float32
  axes: tuple[str, ...] = ()

  @nn.compact
  def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
    dense = functools.partial(
      nn.Dense, kernel_init=self.kernel_init, dtype=self.dtype
    )
    hidden = constrain(
      dense(self.hidden, name="up")(x), *self.axes, None, "hidden"
    )

    def down(mlp: nn.Module, hidden: jax.Array) -> jax.Array:
      activated = activate(self.activation, hidden)
      activated = nn.Dropout(self.dropout)(activated, deterministic)
      return dense(x.shape[-1], name="down")(activated)

    # Of the widest array only the activation's input is kept.
    out = nn.remat(down)(self, hidden)
    return nn.Dropout(self.dropout)(out, deterministic)


class Options(nn.Module):
  """What a block is built with.

  Attributes:
    activation: Key of ACTIVATIONS.
    post_norm: LayerNorms after the residuals instead of before the branches.
    rotary: Grid whose places attention knows by rotation.
    dropout: Rate on branches and in MLPs.
    attention_dropout: Rate on attention weights.
    axes: Logical axes of the input before S and D, by which a mesh splits
      it; see `sharding`.
  """

  num_heads: int
  mlp_dim: int
  activation: str
  norm_epsilon: float = 1e-6
  post_norm: bool = False
  rotary: Grid | None = None
  dropout: float = 0.0
  attention_dropout: float = 0.0
  kernel_init: Initializer = DEFAULT_INIT
  dtype: Dtype = jnp.float32
  axes: tuple[str, ...] = ()


class Block(Options):
  """LayerNorm, attention, LayerNorm, MLP, each pair with a residual."""

  @nn.compact
  def __call__(
    self,
    x: Sequence,
    drop_path: jax.Array | float | None,
    mask: Sequence | None,
    deterministic: bool,
  ) -> tuple[jax.Array, None]:
    """X [..., S, D] -> the same, joined; `nn.scan` expects a pair."""
    norm = functools.partial(
      LayerNorm, epsilon=self.norm_epsilon, dtype=self.dtype
    )
    attention = MultiHeadAttention(
      self.num_heads,
      self.attention_dropout,
      self.kernel_init,
      self.dtype,
      self.axes,
      self.rotary,
      name="attention",
    )
    norm_1, norm_2 = norm(name="norm_1"), norm(name="norm_2")
    normed = x if self.post_norm else jax.tree.map(norm_1, x)
    attended = attention(normed, mask, deterministic)
    attended = nn.Dropout(self.dropout)(attended, deterministic)
    attended = self._stochastic_depth(attended, drop_path, deterministic)
    tokens = constrain(join(x, axis=-2) + attended, *self.axes)
    tokens = norm_1(tokens) if self.post_norm else tokens
    mlp = Mlp(
      self.mlp_dim,
      self.activation,
      self.dropout,
      self.kernel_init,
      self.dtype,
      self.axes,
      name="mlp",
    )
    out = mlp(tokens if self.post_norm else norm_2(tokens), deterministic)
    tokens = tokens + self._stochastic_depth(out, drop_path, deterministic)
    tokens = norm_2(tokens) if self.post_norm else tokens
    return constrain(tokens, *self.axes), None

  def _stochastic_depth(
    self, x: jax.Array, rate: Any, deterministic: bool
  ) -> jax.Array:
    """Drops the branch of whole examples (all axes but the last two)."""
    if deterministic or rate is None:
      return x
    keep = jax.random.bernoulli(
      self.make_rng("dropout"), 1 - rate, (*x.shape[:-2], 1, 1)
    )
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


class Transformer(Options, kw_only=True):
  """A stack of blocks.

  Attributes:
    stochastic_depth: Rate of the last block; grows linearly from 0.
    remat: Key of REMAT_POLICIES, or "none".
    scan: One traced body for all layers; parameters are stacked.
  """

  num_layers: int
  stochastic_depth: float = 0.0
  remat: str = "none"
  scan: bool = False

  def setup(self) -> None:
    block = Block
    if self.remat != "none":
      block = nn.remat(
        Block,
        # Unscanned, the compiler would find that it has computed all before.
        prevent_cse=not self.scan,
        static_argnums=(4,),
        policy=REMAT_POLICIES[self.remat],
      )
    options = {
      name: getattr(self, name)
      for name in Options.__annotations__
      if name not in ("name", "parent")  # Flax's own.
    }
    self._block = functools.partial(block, **options)
    if self.scan:
      scanned = nn.scan(
        block,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=(0, nn.broadcast, nn.broadcast),
        length=self.num_layers,
      )
      self.layers = scanned(**options, name="layers")
    else:
      self.blocks = [
        self._block(name=f"layer_{i}") for i in range(self.num_layers)
      ]

  def _drop_path(self, layer: int) -> float | None:
    """Rate of a block, None = 0."""
    return self.stochastic_depth * layer / max(self.num_layers - 1, 1) or None

  def __call__(
    self, x: Sequence, mask: Sequence | None, deterministic: bool
  ) -> jax.Array:
    """Runs all blocks over x [..., S, D] with mask [..., 1 | S, S]."""
    layers = range(self.num_layers)
    if not self.scan:
      for layer in layers:
        x = self.run_block(layer, x, mask, deterministic)
        mask = mask if mask is None else join(mask, axis=-1)
      return join(x, axis=-2)
    if isinstance(x, tuple):
      return self._scan_after_first(x, mask, deterministic)
    rates = None
    if self.stochastic_depth:
      rates = jnp.array([self._drop_path(layer) or 0.0 for layer in layers])
    tokens, _ = self.layers(x, rates, mask, deterministic)
    return tokens

  def _scan_after_first(
    self, x: Sequence, mask: Any, deterministic: bool
  ) -> jax.Array:
    """Scanned blocks over parts: the first by itself, as its output is whole.

    Nothing may be random.
    """
    stacked = self.layers.variables["params"]
    block = self._block(parent=None)

    def run(tokens: Sequence, mask: Any, layer: jax.Array | int) -> jax.Array:
      params = jax.tree.map(lambda leaf: leaf[layer], stacked)
      out, _ = block.apply(
        {"params": params}, tokens, None, mask, deterministic
      )
      return out

    tokens, whole = run(x, mask, 0), join(mask, axis=-1)
    tokens, _ = jax.lax.scan(
      lambda tokens, layer: (run(tokens, whole, layer), None),
      tokens,
      jnp.arange(1, self.num_layers),
    )
    return tokens

  def run_block(
    self,
    layer: int,
    x: Sequence,
    mask: Sequence | None,
    deterministic: bool,
  ) -> jax.Array:
    """Runs one block by itself; not with `scan`."""
    rate = self._drop_path(layer)
    tokens, _ = self.blocks[layer](x, rate, mask, deterministic)
    return tokens


def key_mask(valid: jax.Array) -> jax.Array:
  """Valid positions [..., S] -> attention mask [..., 1, S] on the keys."""
  return valid[..., None, :]
