"""SigLIP 2's towers (Tschannen et al., 2025)."""

from typing import ClassVar

import flax.linen as nn
import jax

from unloc_jax.models.towers.clip import ImageTower, Pixels, TextTower

HALF = Pixels((0.5,) * 3, (0.5,) * 3)


class SiglipImageTower(ImageTower):
  """A ViT without class embedding, its tokens pooled by attention.

  A frame of 384 pixels has 27 x 27 patches of 14, as in so400m/14-384.
  """

  epsilon: ClassVar[float] = 1e-6
  pixels: ClassVar[Pixels] = HALF
  whole_patches: ClassVar[bool] = False
  has_patch_bias: ClassVar[bool] = True
  has_norm_pre: ClassVar[bool] = False


class SiglipTextTower(TextTower):
  """Every token sees all others, padding too; the last stands for the text.

  Texts have to be of all `max_tokens` tokens, as in training.

  Attributes:
    head_width: Of the tokens it gives; 0 = width.
  """

  head_width: int = 0

  epsilon: ClassVar[float] = 1e-6

  def _seen(self, ids: jax.Array) -> None:
    del ids

  def _finish(self, tokens: jax.Array, ids: jax.Array) -> jax.Array:
    del ids
    head = nn.Dense(
      self.head_width or self.width, dtype=self.dtype, name="projection"
    )
    return head(self.norm("norm_final")(tokens))

  @staticmethod
  def pool(tokens: jax.Array, ids: jax.Array) -> jax.Array:
    """Tokens [..., L, D] -> the last one's, [..., D]."""
    del ids
    return tokens[..., -1, :]
