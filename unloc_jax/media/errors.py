"""Why a video could not be used, as a closed list of reasons."""

import enum


class Reason(enum.StrEnum):
  """What is wrong with a video; the value is what reports print."""

  MISSING = "missing"
  EMPTY = "empty file"
  NOT_A_FILE = "not a regular file"
  NOT_A_VIDEO = "not a video"
  NO_VIDEO_STREAM = "no video stream"
  NO_FRAMES = "no frames"
  NO_SOUND = "no sound"
  TRUNCATED = "truncated"
  DAMAGED = "damaged"
  UNDECODABLE = "undecodable"
  CRASHED = "crashed the decoder"
  STALLED = "stalled the decoder"
  TOO_LARGE = "too large"
  OUTSIDE = "outside the video folder"
  TOO_LONG = "too long"
  TOO_SHORT = "shorter than its segments"
  FEATURES = "bad features"


class VideoError(ValueError):
  """A video that cannot be used: the class of the fault, a line on it."""

  def __init__(self, reason: Reason, detail: str = ""):
    # Workers send these back: an exception pickles by its arguments.
    self.reason, self.detail = reason, " ".join(detail.split())
    super().__init__(reason, self.detail)

  def __str__(self) -> str:
    return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)
