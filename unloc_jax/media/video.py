"""Decodes a video: the frames shown at regular times, one in memory at a time.

Rotation, mirroring, pixel shape, variable frame rate, start offset and edit
lists are honoured.
"""

import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from unloc_jax.media.clock import Clock, Ticks
from unloc_jax.media.container import opened, video_stream
from unloc_jax.media.display import Display
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.integrity import Integrity

# Nothing a benchmark holds is longer; broken files claim to be.
_MAX_SECONDS = 24 * 3600
# Annotations take the length from the container, sound and all; where the
# picture ends less than this before, its last frame is held.
_HOLD_SECONDS = 1
# Formats that say how long they are, so that a cut can be told to have cost
# pictures or not.
_TIMED = ("avi", "matroska,webm")

Shown = Iterator[tuple[float, np.ndarray]]


class FrameStream:
  """The frames of a video shown at 0, 1/rate, 2/rate, ... seconds.

  Iterating yields (timestamp, image): seconds from the start of the video,
  uint8 [H, W, 3] RGB. Position i shows the latest frame whose time is at most
  i / rate, the first frame before that; a frame shown at several positions is
  the *same array* each time. There are max(1, ceil(duration * rate)) of them.
  Iterate once. Raises VideoError, possibly only at the end: a truncated file
  is told by where it ends.

  Attributes:
    duration: Seconds until the last frame ends; known after iteration.
    frame_count: Positions yielded so far.
    damaged: Seconds without a wholly decoded frame; known after iteration.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    rate: float,
    short_side: int,
    *,
    threads: int = 0,
    max_damaged: float = 0.01,
    need_duration: bool = True,
    hold_until: float = 0.0,
  ):
    """Names the video; nothing is opened before iteration.

    Args:
      path: Where the video is, on any file system.
      rate: Frames per second to yield.
      short_side: Shorter side to shrink to, in pixels; 0 keeps the size.
      threads: Decoding threads; 0 is as many as there are cores.
      max_damaged: Share of the length that may be damaged.
      need_duration: Refuse a file that declares no duration, for it cannot be
        told from a truncated one.
      hold_until: Seconds up to which the last frame is held, should the
        picture end less than a second earlier.
    """
    if not rate > 0:
      raise ValueError(f"rate: {rate} frames per second; give a positive one")
    self._path = os.fspath(path)
    self._rate = Fraction(str(rate)).limit_denominator(1_000_000)
    self._short_side = short_side
    self._threads = threads
    self._max_damaged = max_damaged
    self._need_duration = need_duration
    self._hold_until = Fraction(hold_until)
    self.duration = self.damaged = 0.0
    self.frame_count = 0

  def __iter__(self) -> Shown:
    try:
      with opened(self._path) as (container, whole):
        yield from self._decode(container, whole)
    except av.FFmpegError as error:
      raise VideoError(Reason.UNDECODABLE, str(error)) from error

  def _decode(
    self, container: av.container.InputContainer, whole: bool | None
  ) -> Shown:
    name = container.format.name
    if whole is False and name not in _TIMED:
      raise VideoError(
        Reason.TRUNCATED, "the container ends in a hole, or not at all"
      )
    stream = video_stream(container)
    stream.codec_context.thread_count = self._threads
    stream.thread_type = "AUTO"
    clock = Clock(container, stream)
    integrity = Integrity(container, stream, clock.ticks, whole)
    if integrity.promised is None and self._need_duration:
      raise VideoError(
        Reason.NO_DURATION, "cannot be told from a truncated file"
      )
    at_least = 1  # A video of no length still shows its frame once.
    if name == "avi" and whole:
      # Where all chunks are there, empty ones say that a picture is held.
      at_least = max(1, integrity.promised or 0)
    frames = _timed(container, stream, clock, integrity)
    display = Display(stream, self._short_side)
    yield from self._positions(frames, display, clock, at_least)
    if not self.frame_count:
      raise VideoError(Reason.NO_FRAMES, "no frame could be decoded")
    integrity.verdict(clock.end, self._max_damaged)
    self.damaged = clock.ticks.seconds(integrity.damaged)

  def _positions(
    self,
    frames: Iterator[tuple[int, av.VideoFrame]],
    display: Display,
    clock: Clock,
    at_least: int,
  ) -> Shown:
    """Yields what each position shows, while frames go by; times in ticks."""
    ticks = clock.ticks
    held: av.VideoFrame | None = None
    for appears, frame in frames:
      if held is not None:
        yield from self._until(appears, held, display, ticks)
      held = frame
    if held is not None:
      end = max(clock.end, at_least)
      wanted = ticks.of_seconds(self._hold_until)
      if wanted <= clock.end + ticks.of_seconds(_HOLD_SECONDS):
        end = max(end, wanted)
      yield from self._until(end, held, display, ticks)
      self.duration = ticks.seconds(end)

  def _until(
    self, end: int, frame: av.VideoFrame, display: Display, ticks: Ticks
  ) -> Shown:
    """Yields `frame` at every position before `end`, in ticks."""
    image: np.ndarray | None = None
    above, below = self._rate.numerator, self._rate.denominator
    # Position i is due where i / rate seconds are, without a rounding.
    while self.frame_count * below * ticks.per_second < end * above:
      if image is None:
        try:
          image = display.image(frame)
        except (av.FFmpegError, ValueError, MemoryError) as error:
          raise VideoError(
            Reason.UNDECODABLE, f"cannot convert a frame: {error}"
          ) from error
      timestamp = self.frame_count * below / above
      self.frame_count += 1
      yield timestamp, image


def _timed(
  container: av.container.InputContainer,
  stream: av.VideoStream,
  clock: Clock,
  integrity: Integrity,
) -> Iterator[tuple[int, av.VideoFrame]]:
  """Yields when each frame appears, in ticks, and the frame, past any damage.

  They come in the order shown.
  """
  seconds = clock.ticks.of_seconds
  limit, length = seconds(_MAX_SECONDS), integrity.promised
  if length is not None:
    # Writers count up to the last frame decoded, which is not the last shown.
    limit = min(limit, max(2 * length, length + seconds(60)))
  try:
    for packet in container.demux():
      integrity.packet(packet)
      if packet.stream_index != stream.index:
        continue
      try:
        frames = packet.decode()
      except av.FFmpegError:
        integrity.fault()
        continue
      for frame in frames:
        if not isinstance(frame, av.VideoFrame):
          continue
        appears = clock.appearance(frame)
        integrity.frame(frame, appears)
        if appears > limit:
          raise VideoError(
            Reason.UNDECODABLE,
            f"a frame is due {appears / limit:.1f} times past the end",
          )
        yield appears, frame
  except av.FFmpegError as error:
    raise VideoError(
      Reason.UNDECODABLE, f"reading stopped: {error.strerror}"
    ) from error
