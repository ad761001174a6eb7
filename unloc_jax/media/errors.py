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
  NO_DURATION = "no duration"
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


class VideoError(Exception):
  """A video that cannot be used.

  Attributes:
    reason: The class of the fault.
    detail: One line that says more.
  """

  def __init__(self, reason: Reason, detail: str = ""):
    self.reason = reason
    self.detail = " ".join(detail.split())
    super().__init__(f"{reason}: {self.detail}" if self.detail else str(reason))

  def __reduce__(self) -> tuple[object, ...]:
    # Exceptions pickle by their message alone; workers send these back.
    return (VideoError, (self.reason, self.detail))
