"""How a decoded frame is to be shown: pixel shape, size, rotation, mirror."""

import dataclasses
import struct
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

_MATRIX_BYTES = 36


@dataclasses.dataclass(frozen=True)
class Turn:
  """One of the eight ways to lay an image down.

  Attributes:
    quarter_turns: Counter-clockwise quarter turns, 0 to 3.
    mirrored: Whether left and right are swapped before turning.
  """

  quarter_turns: int = 0
  mirrored: bool = False

  def apply(self, image: np.ndarray) -> np.ndarray:
    """Returns uint8 [H, W, 3] as shown, contiguous."""
    if self.mirrored:
      image = image[:, ::-1]
    return np.ascontiguousarray(np.rot90(image, self.quarter_turns))


def turn_of(frame: av.VideoFrame) -> Turn:
  """Reads the display matrix a container attached to a frame."""
  side: Any = frame.side_data.get("DISPLAYMATRIX")
  data = b"" if side is None else bytes(side)
  if len(data) != _MATRIX_BYTES:
    return Turn(quarter_turns=round(frame.rotation / 90) % 4)
  a, b, _, c, d, *_ = struct.unpack("<9i", data)
  if a * d - b * c < 0:
    # av_display_rotation_get, and so frame.rotation, knows nothing of mirrors:
    # take the mirror off the first row, then read the turn from what is left.
    a, b = -a, -b
    mirrored = True
  else:
    mirrored = False
  # A point (x, y) is shown at (a x + c y, b x + d y), y pointing down.
  angle = np.degrees(np.arctan2(-b, a))
  return Turn(quarter_turns=round(angle / 90) % 4, mirrored=mirrored)


def shown_size(
  width: int, height: int, aspect: float, short_side: int
) -> tuple[int, int]:
  """Returns the (width, height) at which to store a frame, before turning.

  Args:
    width: Coded width in pixels.
    height: Coded height in pixels.
    aspect: Width of a pixel over its height.
    short_side: The shorter side to store, in pixels. A smaller video is not
      enlarged; 0 keeps every size.
  """
  wide, high = float(width), float(height)
  if aspect > 1:
    wide *= aspect
  else:
    high /= aspect
  shrink = 1.0
  if short_side > 0:
    shrink = min(1.0, short_side / min(wide, high))
  return max(1, round(wide * shrink)), max(1, round(high * shrink))


class Display:
  """Turns decoded frames of one video into the images a viewer sees.

  Attributes:
    short_side: See `shown_size`.
  """

  def __init__(self, short_side: int):
    self.short_side = short_side
    self._size: tuple[int, int] | None = None
    # One scaler for the whole video: a new one per frame costs more than the
    # scaling itself.
    self._scaler = VideoReformatter()

  def image(self, frame: av.VideoFrame, aspect: float) -> np.ndarray:
    """Returns uint8 [H, W, 3] RGB, upright, of one size all video long."""
    if self._size is None:
      self._size = shown_size(
        frame.width, frame.height, aspect, self.short_side
      )
    width, height = self._size
    scaled = self._scaler.reformat(
      frame, width=width, height=height, format="rgb24"
    )
    return turn_of(frame).apply(scaled.to_ndarray())
