"""What a build is told of how videos become examples."""

import dataclasses

from data_preprocessing import schema
from unloc_jax.data.manifest import Source


class BuildError(ValueError):
  """A build cannot go on; the message says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Settings(Source):
  """How videos are turned into examples, and what these then are."""

  extract: str = schema.FRAMES
  frame_rate: float = 10.0
  short_side: int = 256
  jpeg_quality: int = 90
  normalisation: str = "none"
  embedding_width: int | None = None
  tower_hash: str | None = None
  max_damaged: float = 0.01  # Share of a video that may be undecodable
  # Folder of the tower that makes features; "" to import them
  checkpoint: str = ""
  sound: str = ""  # Extractor of the sound; "" stores none
  texts: str = ""  # Features of the queries' texts; "" stores none
  text_hash: str | None = None  # Of their names and sizes; None for none

  @property
  def decodes(self) -> bool:
    """Whether videos are decoded, not features of others imported."""
    return self.extract == schema.FRAMES or bool(self.checkpoint)

  def __post_init__(self) -> None:
    for name, good, rule in (
      ("frame_rate", 0 < self.frame_rate <= 1000, "above 0, at most 1000"),
      ("short_side", self.short_side >= 0, "pixels, or 0"),
      ("jpeg_quality", 1 <= self.jpeg_quality <= 95, "from 1 to 95"),
      ("max_damaged", 0 <= self.max_damaged <= 1, "a share, 0 to 1"),
    ):
      if not good:
        raise BuildError(f"--{name} {getattr(self, name)}: {rule}")
