"""What a build is told of how videos become examples."""

import dataclasses

from data_preprocessing import schema


class BuildError(ValueError):
  """A build cannot go on; the message says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Settings:
  """How videos are turned into examples."""

  dataset: str  # Name of the benchmark
  extract: str = schema.FRAMES  # FRAMES, FEATURES or SOUND alone
  frame_rate: float = 10.0  # Stored positions per second
  # Of stored frames, in pixels; smaller videos are not enlarged, 0 keeps every
  # size
  short_side: int = 256
  jpeg_quality: int = 90  # 1 to 95
  max_damaged: float = 0.01  # Share of a video that may be undecodable
  normalisation: str = "none"  # What was done to imported features
  # Folder of the tower that makes features; "" to import them
  checkpoint: str = ""
  tower_hash: str = ""  # Which tower made the features; "" for frames
  embedding_width: int = 0  # Channels of the features; 0 for frames
  sound: str = ""  # Extractor of the sound; "" stores none
  sound_width: int = 0  # Channels of a row of sound; 0 for none
  sound_hash: str = ""  # Which extractor made it; "" for none
  texts: str = ""  # Features of the queries' texts; "" stores none
  text_width: int = 0  # Channels of a token of them; 0 for none
  text_hash: str = ""  # Of their names and sizes; "" for none

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
