"""How a decoded frame is to be shown: pixel shape, size, rotation, mirror."""

import struct
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from unloc_jax.media.errors import Reason, VideoError


class Display:
  """Turns decoded frames of one video into the images a viewer sees."""

  def __init__(self, stream: av.VideoStream, short_side: int):
    coded = stream.codec_context.sample_aspect_ratio
    self._aspect = float(coded or stream.sample_aspect_ratio or 1)
    self._short_side = short_side
    self._size: tuple[int, int] | None = None
    # One scaler for the whole video: a new one per frame costs more than the
    # scaling itself.
    self._scaler = VideoReformatter()

  def image(self, frame: av.VideoFrame) -> np.ndarray:
    """Returns uint8 [H, W, 3] RGB, upright, of one size all video long.

    Raises VideoError where it cannot be made.
    """
    if self._size is None:
      self._size = shown_size(
        frame.width, frame.height, self._aspect, self._short_side
      )
    width, height = self._size
    try:
      # Handing a small frame to threads takes longer than scaling it.
      scaled = self._scaler.reformat(
        frame, width=width, height=height, format="rgb24", threads=1
      )
      return _upright(scaled.to_ndarray(), frame)
    except (av.FFmpegError, ValueError, MemoryError) as error:
      raise VideoError(
        Reason.UNDECODABLE, f"cannot convert a frame: {error}"
      ) from error


def shown_size(
  width: int, height: int, aspect: float, short_side: int
) -> tuple[int, int]:
  """Returns the (width, height) at which to store a frame, before turning.

  The aspect is the width of a pixel over its height. The shorter side becomes
  `short_side` pixels; a smaller video is not enlarged, 0 keeps every size.
  """
  wide, high = width * max(aspect, 1.0), height / min(aspect, 1.0)
  shrink = min(1.0, short_side / min(wide, high)) if short_side > 0 else 1.0
  return max(1, round(wide * shrink)), max(1, round(high * shrink))


def _upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
  """Lays an image down as the display matrix of its container says."""
  side: Any = frame.side_data.get("DISPLAYMATRIX")
  if side is None:
    return np.ascontiguousarray(image)
  a, b, _, c, d, *_ = struct.unpack("<9i", bytes(side))
  if a * d - b * c < 0:
    # av_display_rotation_get, and so frame.rotation, knows nothing of mirrors:
    # take the mirror off the first row, then read the turn from what is left.
    a, b = -a, -b
    image = image[:, ::-1]
  # A point (x, y) is shown at (a x + c y, b x + d y), y pointing down.
  quarters = round(np.degrees(np.arctan2(-b, a)) / 90)
  return np.ascontiguousarray(np.rot90(image, quarters))
