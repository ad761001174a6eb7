"""CLIP's image and text towers (Radford et al., 2021) as UnLoc uses them."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.transformer import Transformer
from unloc_jax.parallel.sharding import constrain

NORM_EPSILON = 1e-5
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


def normalise_pixels(frames: jax.Array) -> jax.Array:
  """uint8 RGB [..., 3] -> float32, zero mean and unit variance as in CLIP."""
  frames = frames.astype(jnp.float32) / 255.0
  return (frames - jnp.array(PIXEL_MEAN)) / jnp.array(PIXEL_STD)


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


class ImageTower(nn.Module):
  """CLIP ViT applied to every frame by itself (spec section "Image tower").

  Attributes are `config.model.image_tower`.
  """

  patch: int
  width: int
  num_layers: int
  num_heads: int
  classifier: str = "token"
  per_frame_class: bool = True
  stochastic_depth: float = 0.0
  remat: str = "none"
  scan: bool = False
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, frames: jax.Array, deterministic: bool) -> jax.Array:
    """Frames [B, T, H, W, 3] -> frame tokens [B, T, width].

    Frames are uint8, or floats that `normalise_pixels` gave.
    """
    axes = ("batch", "frames")
    if frames.dtype == jnp.uint8:
      frames = normalise_pixels(frames)
    frames = constrain(frames, *axes)
    patches = patchify(frames.astype(self.dtype), self.patch)
    embed = nn.Dense(
      self.width, use_bias=False, dtype=self.dtype, name="patch_embedding"
    )
    tokens = embed(patches)  # [B, T, patches, width]
    if self.classifier == "token":
      tokens = self._prepend_class_embedding(tokens)
    position = self.param(
      "position_embedding",
      nn.initializers.normal(self.width**-0.5),
      tokens.shape[-2:],
    )
    tokens = tokens + position.astype(self.dtype)
    norm_pre = LayerNorm(NORM_EPSILON, self.dtype, name="norm_pre")
    encoder = Transformer(
      num_layers=self.num_layers,
      num_heads=self.num_heads,
      mlp_dim=4 * self.width,
      activation="quick_gelu",
      norm_epsilon=NORM_EPSILON,
      stochastic_depth=self.stochastic_depth,
      remat=self.remat,
      scan=self.scan,
      dtype=self.dtype,
      axes=axes,
      name="encoder",
    )
    tokens = encoder(constrain(norm_pre(tokens), *axes), None, deterministic)
    # Only the tokens that are used are normalised: same result, less work.
    if self.classifier == "token":
      tokens = tokens[..., :1, :]
    norm_post = LayerNorm(NORM_EPSILON, self.dtype, name="norm_post")
    return jnp.mean(norm_post(tokens), axis=-2)

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


class TextTower(nn.Module):
  """CLIP's causal text transformer (spec section "Text tower").

  Attributes are `config.model.text_tower`; texts shorter than `max_tokens` use
  the first positions.
  """

  vocab_size: int
  max_tokens: int
  width: int
  num_layers: int
  num_heads: int
  remat: str = "none"
  scan: bool = False
  dtype: Dtype = jnp.float32

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
    axes = ("batch", "texts")[2 - (ids.ndim - 1) :]
    ids = constrain(ids, *axes)
    # The table is gathered, as every matrix is, and not what is looked up.
    table = constrain(embed.embedding, None).astype(self.dtype)
    tokens = jnp.take(table, ids, axis=0)
    tokens = tokens + position[:length].astype(self.dtype)
    tokens = constrain(tokens, *axes)
    real = ids > 0
    mask = jnp.tril(jnp.ones((length, length), bool))
    mask = mask & real[..., None, :] & real[..., :, None]
    encoder = Transformer(
      num_layers=self.num_layers,
      num_heads=self.num_heads,
      mlp_dim=4 * self.width,
      activation="quick_gelu",
      norm_epsilon=NORM_EPSILON,
      remat=self.remat,
      scan=self.scan,
      dtype=self.dtype,
      axes=axes,
      name="encoder",
    )
    tokens = encoder(tokens, mask, deterministic)
    return LayerNorm(NORM_EPSILON, self.dtype, name="norm_final")(tokens)


def end_tokens(tokens: jax.Array, ids: jax.Array) -> jax.Array:
  """Text tokens [..., L, D] -> the end token's, [..., D]: the largest id."""
  end = jnp.argmax(ids, axis=-1)
  return jnp.take_along_axis(tokens, end[..., None, None], axis=-2)[..., 0, :]
