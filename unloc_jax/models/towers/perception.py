"""Perception Encoder Core's image tower (Bolya et al., 2025).

Its text tower is CLIP's, with exact GELU.
"""

from typing import ClassVar

from unloc_jax.models.rotary import Grid
from unloc_jax.models.towers.clip import ImageTower, Pixels
from unloc_jax.models.towers.siglip import HALF


class PerceptionImageTower(ImageTower):
  """CLIP's ViT that knows places by rotation too and is pooled by attention.

  Attributes:
    class_token: Whether a class embedding is among the tokens.
  """

  class_token: bool = True

  pixels: ClassVar[Pixels] = HALF

  @property
  def has_class(self) -> bool:
    """Whether a class embedding is the first token."""
    return self.class_token

  @property
  def pool_sizes(self) -> tuple[int, int]:
    """Heads and hidden width of `AttentionPool`, the same in all sizes."""
    return 8, 4 * self.width

  def rotary(self, rows: int, columns: int) -> Grid:
    """The grid of patches, after the class embedding."""
    return Grid(rows, columns, int(self.class_token))
