"""Video-text fusion: a transformer over tokens of a video and a text together.

Spec section "Video-text fusion" (paper section 3.1). Every pair of a video and
a text is one sequence; which pairs there are is only a matter of shapes.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax.models.attention import Dtype, join
from unloc_jax.models.feature_pyramid import Downsample, SimplePyramid, TopDown
from unloc_jax.models.layer_norm import LayerNorm
from unloc_jax.models.transformer import Transformer, key_mask
from unloc_jax.parallel.sharding import constrain

# Kinds that leave the text out; the caller compares points and texts.
TEXTLESS = ("late", "none")
# Every pair of a video and a text is a sequence, and a mesh splits pairs.
PAIR_AXES = ("batch", "queries")


def sinusoidal_positions(length: int, width: int) -> np.ndarray:
  """Fixed position code, float32 [length, width]: even sin, odd cos."""
  position = np.arange(length, dtype=np.float32)[:, None]
  frequency = np.exp(
    -np.arange(0, width, 2, dtype=np.float32) * (np.log(10000.0) / width)
  )
  code = np.zeros((length, width), np.float32)
  code[:, 0::2] = np.sin(position * frequency)
  code[:, 1::2] = np.cos(position * frequency)[:, : width // 2]
  return code


class Fusion(nn.Module):
  """Fuses frame tokens with texts and builds the feature pyramid.

  Attributes are `config.model.fusion`, and V levels. Kind "none" hands the
  frame tokens on as they are, to pretrain the towers on single frames.

  Raises:
    ValueError: A kind cannot have so many levels.
  """

  kind: str
  num_levels: int
  num_layers: int
  num_heads: int
  mlp_dim: int
  downsampling: str = "max_pool"
  pyramid_init: str = "lecun_normal"
  dropout: float = 0.0
  attention_dropout: float = 0.0
  stochastic_depth: float = 0.0
  remat: str = "none"
  scan: bool = False
  dtype: Dtype = jnp.float32

  def setup(self) -> None:
    self._check()
    if self.kind == "none":
      return
    self.encoder = Transformer(
      num_layers=self.num_layers,
      num_heads=self.num_heads,
      mlp_dim=self.mlp_dim,
      activation="gelu_tanh",
      dropout=self.dropout,
      attention_dropout=self.attention_dropout,
      stochastic_depth=self.stochastic_depth,
      remat=self.remat,
      scan=self.scan,
      kernel_init=nn.initializers.xavier_uniform(),
      dtype=self.dtype,
      axes=PAIR_AXES,
    )
    self.input_dropout = nn.Dropout(self.dropout)
    if self.kind == "transformer":
      self.norm = LayerNorm(dtype=self.dtype)
    elif self.kind == "fpn":
      self.downsample = [
        Downsample(self.downsampling, self.dtype)
        for _ in range(self.num_levels - 1)
      ]
      self.pyramid: nn.Module = TopDown(self.pyramid_init, self.dtype)
    else:
      self.pyramid = SimplePyramid(
        self.num_levels, self.pyramid_init, self.dtype
      )

  def _check(self) -> None:
    if self.kind in ("transformer", "none") and self.num_levels != 1:
      raise ValueError(
        f"fusion.kind {self.kind} has one level, not {self.num_levels}"
      )
    if self.kind == "fpn" and (self.num_layers < self.num_levels or self.scan):
      raise ValueError(
        "fusion.kind fpn needs scan off and at least as many layers as "
        f"levels; it has {self.num_layers} and {self.num_levels}"
      )

  def __call__(
    self,
    video: jax.Array,
    video_mask: jax.Array,
    text: jax.Array,
    text_mask: jax.Array,
    deterministic: bool,
    num_frames: int,
  ) -> tuple[list[jax.Array], jax.Array]:
    """Fuses every video with its texts.

    Args:
      video: Tokens [B, 1, S, D], or [B, Q, S, D] where they depend on the
        text: T of frames, then those of other streams.
      video_mask: bool [B, S].
      text: Text part [B | 1, Q, L', D]; 1 = every video has the same texts.
      text_mask: bool [B | 1, Q, L'].
      deterministic: No dropout.
      num_frames: T.

    Returns:
      Pyramid levels [B, Q, T / 2^v, D], finest first, and the fused text part
      [B, Q, L', D]. For TEXTLESS kinds Q is 1 and the text part is `text`.
    """
    if self.kind == "none":
      return [video[..., :num_frames, :]], text
    parts, masks = [video], [video_mask[:, None]]
    if self.kind not in TEXTLESS:
      parts, masks = [video, text], [*masks, text_mask]
    tokens, mask = self._sequences(parts, masks, deterministic)
    if self.kind == "fpn":
      levels, rest = self._fpn(tokens, mask, num_frames, deterministic)
    else:
      fused = self.encoder(tokens, mask, deterministic)
      if self.kind == "transformer":
        fused = self.norm(fused)
      fused, rest = jnp.split(fused, [num_frames], axis=-2)
      levels = [fused] if self.kind == "transformer" else self.pyramid(fused)
    if self.kind in TEXTLESS:
      return levels, text
    return levels, rest[..., video.shape[-2] - num_frames :, :]

  def _sequences(
    self,
    parts: Sequence[jax.Array],
    masks: Sequence[jax.Array],
    deterministic: bool,
  ) -> tuple[Any, Any]:
    """Tokens of all pairs, with position codes, and masks on the keys.

    In parts, where the first block can compute once for all texts what it
    computes of videos alone.
    """
    sizes = [part.shape[-2] for part in parts]
    code = sinusoidal_positions(sum(sizes), parts[0].shape[-1])
    codes = np.split(code, np.cumsum(sizes)[:-1])
    tokens = tuple(
      (part + own).astype(self.dtype)
      for part, own in zip(parts, codes, strict=True)
    )
    mask = tuple(map(key_mask, masks))
    num_queries = parts[-1].shape[1]
    # What is dropped of a frame differs from text to text.
    dropped = self.dropout or self.attention_dropout
    random = dropped or (self.scan and self.stochastic_depth)
    alone = random and not deterministic
    if num_queries != 1 and not alone and not self.is_initializing():
      return tokens, mask
    joined = constrain(join(tokens, axis=-2), *PAIR_AXES)
    return self.input_dropout(joined, deterministic), join(mask, axis=-1)

  def _fpn(
    self, tokens: Any, mask: Any, num_frames: int, deterministic: bool
  ) -> tuple[list[jax.Array], jax.Array]:
    """Takes the outputs of the last V blocks, halving T between them."""
    levels = []
    first = self.num_layers - self.num_levels
    for layer in range(self.num_layers):
      tokens = self.encoder.run_block(layer, tokens, mask, deterministic)
      mask = join(mask, axis=-1)
      if layer < first:
        continue
      frames, rest = jnp.split(tokens, [num_frames], axis=-2)
      levels.append(frames)
      if layer < self.num_layers - 1:
        frames = self.downsample[layer - first](frames)
        tokens = jnp.concatenate([frames, rest], axis=-2)
        frame_mask, rest_mask = jnp.split(mask, [num_frames], axis=-1)
        mask = jnp.concatenate([frame_mask[..., ::2], rest_mask], axis=-1)
        num_frames //= 2
    return self.pyramid(levels), rest
