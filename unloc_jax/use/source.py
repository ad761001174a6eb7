"""The videos that a model expects; nothing here needs JAX."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Source:
  """The videos a model expects.

  Attributes:
    dataset: What it was trained on.
    extract: "frames" or "features".
    frame_rate: Frames per second that are looked at.
    short_side: Short side those are brought to, pixels; 0 = none.
    jpeg_quality: Of the compression they go through, as in training.
    normalisation: What is done to pixels or features before the model.
    embedding_width: Channels of features; None for frames.
    tower_hash: The tower features have to be of; None for frames.
  """

  dataset: str
  extract: str
  frame_rate: float
  short_side: int
  jpeg_quality: int
  normalisation: str
  embedding_width: int | None
  tower_hash: str | None
