"""CLIP's image and text towers (Radford et al., 2021) as UnLoc uses them."""

import typing
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.rotary import Grid
from unloc_jax.models.towers.attention_pool import AttentionPool
from unloc_jax.models.transformer import Transformer
from unloc_jax.parallel.sharding import constrain


class Pixels(typing.NamedTuple):
  """Mean and standard deviation of RGB in [0, 1] in a tower's training."""

  mean: tuple[float, float, float]
  std: tuple[float, float, float]

  def normalise(self, frames: jax.Array) -> jax.Array:
    """uint8 RGB [..., 3] -> float32, about zero mean and unit variance."""
    frames = frames.astype(jnp.float32) / 255.0
    return (frames - jnp.array(self.mean)) / jnp.array(self.std)


PIXELS = Pixels(
  (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
)


def patchify(frames: jax.Array, patch: int) -> jax.Array:
  """[..., H, W, 3] -> [..., patches, p * p * 3] by row, column, channel.

  Raises:
    ValueError: The patch size does not divide height and width.
  """
  *batch, height, width, channels = frames.shape
  if height % patch or width % patch:
    raise ValueError(
      f"frames of {height}x{width} cannot be cut into patches of {patch}"
    )
  rows, columns = height // patch, width // patch
  grid = frames.reshape(*batch, rows, patch, columns, patch, channels)
  grid = jnp.swapaxes(grid, -4, -3)
  return grid.reshape(*batch, rows * columns, patch * patch * channels)


class Tower(nn.Module, kw_only=True):
  """What is alike in towers of pixels and of texts.

  Attributes are of `config.model.image_tower` or `text_tower`; kinds vary:

  Attributes:
    epsilon: Of the LayerNorms.
    post_norm: LayerNorms before the first block and after each residual.
  """

  width: int
  num_layers: int
  num_heads: int
  remat: str = "none"
  scan: bool = False
  dtype: Dtype = jnp.float32
  activation: str = "quick_gelu"
  mlp_dim: int = 0

  epsilon: ClassVar[float] = 1e-5
  post_norm: ClassVar[bool] = False

  def norm(self, name: str) -> LayerNorm:
    """A LayerNorm of this kind of tower."""
    return LayerNorm(self.epsilon, self.dtype, name=name)

  def encode(
    self,
    tokens: jax.Array,
    mask: jax.Array | None,
    deterministic: bool,
    axes: tuple[str, ...],
    **options: Any,
  ) -> jax.Array:
    """Runs all blocks over tokens [*axes, N, width]."""
    encoder = Transformer(
      num_layers=self.num_layers,
      num_heads=self.num_heads,
      mlp_dim=self.mlp_dim or 4 * self.width,
      activation=self.activation,
      norm_epsilon=self.epsilon,
      post_norm=self.post_norm,
      remat=self.remat,
      scan=self.scan,
      dtype=self.dtype,
      axes=axes,
      name="encoder",
      **options,
    )
    return encoder(constrain(tokens, *axes), mask, deterministic)


class ImageTower(Tower, kw_only=True):
  """CLIP ViT applied to every frame by itself (spec section "Image tower").

  Towers of other kinds vary it:

  Attributes:
    pixels: How uint8 frames are normalised.
    whole_patches: Whether a frame has to be one of whole patches; else what
      is over at its right and bottom is not seen.
    has_patch_bias: Of the patch embedding.
    has_norm_pre: Whether tokens are normalised before the first block.
  """

  patch: int
  classifier: str = "token"
  per_frame_class: bool = True
  stochastic_depth: float = 0.0

  pixels: ClassVar[Pixels] = PIXELS
  whole_patches: ClassVar[bool] = True
  has_patch_bias: ClassVar[bool] = False
  has_norm_pre: ClassVar[bool] = True

  @property
  def has_class(self) -> bool:
    """Whether a class embedding is the first token."""
    return self.classifier == "token"

  @property
  def pool_sizes(self) -> tuple[int, int]:
    """Heads and hidden width of `AttentionPool`."""
    return self.num_heads, self.mlp_dim or 4 * self.width

  def rotary(self, rows: int, columns: int) -> Grid | None:
    """By which places attention turns; None where it does not."""
    del rows, columns
    return None

  @nn.compact
  def __call__(self, frames: jax.Array, deterministic: bool) -> jax.Array:
    """Frames [B, T, H, W, 3] -> frame tokens [B, T, width].

    Frames are uint8, or floats that `pixels.normalise` gave.
    """
    axes = ("batch", "frames")
    if frames.dtype == jnp.uint8:
      frames = self.pixels.normalise(frames)
    frames = constrain(frames, *axes)
    rows, columns = (side // self.patch for side in frames.shape[2:4])
    if not self.whole_patches:
      frames = frames[:, :, : rows * self.patch, : columns * self.patch]
    embed = nn.Dense(
      self.width,
      use_bias=self.has_patch_bias,
      dtype=self.dtype,
      name="patch_embedding",
    )
    # [B, T, patches, width]
    tokens = embed(patchify(frames.astype(self.dtype), self.patch))
    if self.has_class:
      tokens = self._prepend_class_embedding(tokens)
    position = self.param(
      "position_embedding",
      nn.initializers.normal(self.width**-0.5),
      tokens.shape[-2:],
    )
    tokens = tokens + position.astype(self.dtype)
    if self.has_norm_pre:
      tokens = self.norm("norm_pre")(tokens)
    tokens = self.encode(
      tokens,
      None,
      deterministic,
      axes,
      rotary=self.rotary(rows, columns),
      stochastic_depth=self.stochastic_depth,
    )
    # Only the tokens that are used are normalised: same result, less work.
    if self.classifier == "token":
      tokens = tokens[..., :1, :]
    return self._pool(self.norm("norm_post")(tokens))

  def _pool(self, tokens: jax.Array) -> jax.Array:
    """Tokens [B, T, N, width] that are used -> [B, T, width]."""
    if self.classifier != "attention":
      return jnp.mean(tokens, axis=-2)
    pool = AttentionPool(
      *self.pool_sizes,
      activation=self.activation,
      epsilon=self.epsilon,
      dtype=self.dtype,
      name="pool",
    )
    return pool(tokens)

  def _prepend_class_embedding(self, tokens: jax.Array) -> jax.Array:
    num_videos, num_frames = tokens.shape[:2]
    embedding = self.param(
      "class_embedding",
      nn.initializers.normal(self.width**-0.5),
      (num_frames if self.per_frame_class else 1, self.width),
    )
    embedding = jnp.broadcast_to(
      embedding[None, :, None].astype(self.dtype),
      (num_videos, num_frames, 1, self.width),
    )
    return jnp.concatenate([embedding, tokens], axis=-2)


class TextTower(Tower, kw_only=True):
  """CLIP's causal text transformer (spec section "Text tower").

  Texts shorter than `max_tokens` use the first positions. Towers of other
  kinds vary what a token sees, what is made of the last block's tokens, and
  which of them stands for the text.
  """

  vocab_size: int
  max_tokens: int

  @nn.compact
  def __call__(self, ids: jax.Array, deterministic: bool) -> jax.Array:
    """Token ids [..., L] -> text tokens [..., L, width], 0 is padding."""
    length = ids.shape[-1]
    embed = nn.Embed(
      self.vocab_size,
      self.width,
      embedding_init=nn.initializers.normal(0.02),
      dtype=self.dtype,
      name="token_embedding",
    )
    position = self.param(
      "position_embedding",
      nn.initializers.normal(0.01),
      (self.max_tokens, self.width),
    )
    axes = ("batch", "texts")[3 - ids.ndim :]
    ids = constrain(ids, *axes)
    # The table is gathered, as every matrix is, and not what is looked up.
    table = constrain(embed.embedding, None).astype(self.dtype)
    tokens = jnp.take(table, ids, axis=0)
    tokens = tokens + position[:length].astype(self.dtype)
    if self.post_norm:
      tokens = self.norm("norm_pre")(tokens)
    tokens = self.encode(tokens, self._seen(ids), deterministic, axes)
    return self._finish(tokens, ids)

  def _seen(self, ids: jax.Array) -> jax.Array | None:
    """Which tokens each token sees, bool [..., 1 | L, L]; None = all."""
    real = ids > 0
    mask = jnp.tril(jnp.ones((ids.shape[-1],) * 2, bool))
    return mask & real[..., None, :] & real[..., :, None]

  def _finish(self, tokens: jax.Array, ids: jax.Array) -> jax.Array:
    """Tokens of the last block -> what the tower gives."""
    del ids
    return self.norm("norm_final")(tokens)

  @staticmethod
  def real(ids: jax.Array) -> jax.Array:
    """Which of ids [..., L] fusion sees where all are fused, bool [..., L]."""
    return ids > 0

  @staticmethod
  def pool(tokens: jax.Array, ids: jax.Array) -> jax.Array:
    """The tower's tokens, or a linear map of them, -> the text's, [..., D].

    Of CLIP it is the end token's, which has the largest id.
    """
    end = jnp.argmax(ids, axis=-1)[..., None, None]
    return jnp.take_along_axis(tokens, end, axis=-2)[..., 0, :]
