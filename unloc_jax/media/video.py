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
from unloc_jax.media.container import (
  opened,
  pixel_aspect,
  start_seconds,
  video_stream,
)
from unloc_jax.media.display import Display
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.integrity import Integrity, Promise, promised_end

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
    self.duration = 0.0
    self.damaged = 0.0
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
    promise = promised_end(container, stream)
    if promise is None and self._need_duration:
      raise VideoError(
        Reason.NO_DURATION, "cannot be told from a truncated file"
      )
    ticks = Ticks(container)
    clock = Clock(container, stream, ticks)
    integrity = Integrity(container, stream, ticks, promise, whole)
    start = start_seconds(container)
    frames = _timed(
      _decoded(container, stream, integrity),
      clock,
      integrity,
      ticks.of_seconds(_limit(promise, start)),
    )
    # Where all chunks are there, empty ones say that a picture is held.
    at_least = (
      promise.length(start) if promise and name == "avi" and whole else 0
    )
    display = Display(pixel_aspect(stream), self._short_side)
    yield from self._positions(
      frames, display, clock, max(1, ticks.of_seconds(at_least))
    )
    if not self.frame_count:
      raise VideoError(Reason.NO_FRAMES, "no frame could be decoded")
    integrity.verdict(clock.end, self._max_damaged)
    self.damaged = ticks.seconds(integrity.damaged)

  def _positions(
    self,
    frames: Iterator[tuple[int, av.VideoFrame]],
    display: Display,
    clock: Clock,
    at_least: int,
  ) -> Shown:
    """Yields what each position shows, while frames go by; times in ticks."""
    held: av.VideoFrame | None = None
    for appears, frame in frames:
      if held is not None:
        yield from self._until(appears, held, display, clock.ticks)
      held = frame
    if held is not None:
      # A video of no length still shows its frame once.
      end = max(clock.end, at_least)
      wanted = clock.ticks.of_seconds(self._hold_until)
      if wanted <= clock.end + clock.ticks.of_seconds(_HOLD_SECONDS):
        end = max(end, wanted)
      yield from self._until(end, held, display, clock.ticks)
      self.duration = clock.ticks.seconds(end)

  def _until(
    self, end: int, frame: av.VideoFrame, display: Display, ticks: Ticks
  ) -> Shown:
    """Yields `frame` at every position before `end`, in ticks."""
    image: np.ndarray | None = None
    # Position i is due where i / rate seconds are, without a rounding.
    due = ticks.per_second * self._rate.denominator
    while self.frame_count * due < end * self._rate.numerator:
      if image is None:
        image = _image(display, frame)
      timestamp = (
        self.frame_count * self._rate.denominator / self._rate.numerator
      )
      self.frame_count += 1
      yield timestamp, image


def _image(display: Display, frame: av.VideoFrame) -> np.ndarray:
  try:
    return display.image(frame)
  except (av.FFmpegError, ValueError, MemoryError) as error:
    raise VideoError(
      Reason.UNDECODABLE, f"cannot convert a frame: {error}"
    ) from error


def _timed(
  frames: Iterator[av.VideoFrame],
  clock: Clock,
  integrity: Integrity,
  limit: int,
) -> Iterator[tuple[int, av.VideoFrame]]:
  """Yields when each frame appears, in ticks, and the frame."""
  for frame in frames:
    appears = clock.appearance(frame)
    integrity.frame(frame, appears)
    if appears > limit:
      raise VideoError(
        Reason.UNDECODABLE,
        f"a frame is due {appears / limit:.1f} times past the end",
      )
    yield appears, frame


def _decoded(
  container: av.container.InputContainer,
  stream: av.VideoStream,
  integrity: Integrity,
) -> Iterator[av.VideoFrame]:
  """Yields the frames of a stream in the order shown, past any damage."""
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
        if isinstance(frame, av.VideoFrame):
          yield frame
  except av.FFmpegError as error:
    raise VideoError(
      Reason.UNDECODABLE, f"reading stopped: {error.strerror}"
    ) from error


def _limit(promise: Promise | None, start: Fraction) -> Fraction:
  """Returns the time in seconds past which no frame may appear."""
  if promise is None:
    return Fraction(_MAX_SECONDS)
  length = promise.length(start)
  # Writers count up to the last frame decoded, which is not the last shown.
  return min(Fraction(_MAX_SECONDS), max(length * 2, length + 60))
