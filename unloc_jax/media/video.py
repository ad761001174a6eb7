"""Decodes a video: the frames shown at regular times, one in memory at a time.

Rotation, mirroring, pixel shape, variable frame rate, start offset, edit lists
and clocks that start again are honoured.
"""

import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from unloc_jax.media.clock import Clock
from unloc_jax.media.container import opened, video_stream
from unloc_jax.media.display import Display
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.integrity import Integrity
from unloc_jax.media.pool import beat

# Nothing a benchmark holds is longer; broken files claim to be.
_MAX_SECONDS = 24 * 3600
# Annotations take the length from the container, sound and all; where the
# picture ends less than this before, its last frame is held.
_HOLD_SECONDS = 1
# Formats that say how long they are, so that a cut can be told to have cost
# pictures or not.
_TIMED = ("avi", "matroska,webm")

Shown = Iterator[tuple[float, np.ndarray]]
Times = Iterator[tuple[int, av.VideoFrame]]


class _DamageError(Exception):
  """The decoder met damage: what follows may depend on its threads."""


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
    remarks: What was made of what the file leaves open; known after iteration.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    rate: float,
    short_side: int,
    *,
    threads: int = 0,
    max_damaged: float = 0.01,
    max_seconds: float = _MAX_SECONDS,
    hold_until: float = 0.0,
  ):
    """Names the video; nothing is opened before iteration.

    Args:
      path: Where the video is, on any file system.
      rate: Frames per second to yield.
      short_side: Shorter side to shrink to, in pixels; 0 keeps the size.
      threads: Decoding threads; 0 is as many as there are cores.
      max_damaged: Share of the length that may be damaged.
      max_seconds: Length from which on it is refused; a day at most.
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
    self._max_seconds = Fraction(min(max_seconds, _MAX_SECONDS))
    self._hold_until = Fraction(hold_until)
    self.duration = self.damaged = 0.0
    self.frame_count = 0
    self.remarks: tuple[str, ...] = ()

  def __iter__(self) -> Shown:
    try:
      yield from self._decode(self._threads)
    except _DamageError:
      seen, self.frame_count = self.frame_count, 0
      for position, shown in enumerate(self._decode(threads=1)):
        if position >= seen:
          yield shown

  def _decode(self, threads: int) -> Shown:
    with opened(self._path) as (container, whole):
      name = container.format.name
      if whole is False and name not in _TIMED:
        raise VideoError(
          Reason.TRUNCATED, "the container ends in a hole, or not at all"
        )
      stream = video_stream(container)
      stream.codec_context.thread_count = threads
      stream.thread_type = "AUTO"
      clock = Clock(container, stream)
      integrity = Integrity(container, stream, clock.ticks, whole)
      if integrity.promised and not clock.may_leap:
        _check_time(integrity.promised, clock, integrity, self._max_seconds)
      yield from self._positions(
        _timed(stream, clock, integrity, self._max_seconds, threads != 1),
        Display(stream, self._short_side),
        clock,
        # Where all chunks are there, empty ones say that a picture is held.
        integrity.promised if name == "avi" and whole else None,
      )
      if not self.frame_count:
        raise VideoError(Reason.NO_FRAMES, "no frame could be decoded")
      integrity.verdict(clock, self._max_damaged)
    self.damaged = clock.ticks.seconds(integrity.damaged)
    self.remarks = _remarks(clock, integrity)

  def _positions(
    self, frames: Times, display: Display, clock: Clock, at_least: int | None
  ) -> Shown:
    """Yields what each position shows, while frames go by; times in ticks."""
    ticks = clock.ticks
    held: av.VideoFrame | None = None
    for appears, frame in frames:
      if held is not None:
        yield from self._until(appears, held, display, ticks.per_second)
      held = frame
    if held is not None:
      # A video of no length still shows its frame once.
      end = max(clock.end, at_least or 1)
      wanted = ticks.of_seconds(self._hold_until)
      if wanted <= clock.end + ticks.of_seconds(_HOLD_SECONDS):
        end = max(end, wanted)
      yield from self._until(end, held, display, ticks.per_second)
      self.duration = ticks.seconds(end)

  def _until(
    self, end: int, frame: av.VideoFrame, display: Display, per_second: int
  ) -> Shown:
    """Yields `frame` at every position before `end`, in ticks."""
    image: np.ndarray | None = None
    above, below = self._rate.numerator, self._rate.denominator
    # Position i is due where i / rate seconds are, without a rounding.
    while self.frame_count * below * per_second < end * above:
      if image is None:
        image = display.image(frame)
      timestamp = self.frame_count * below / above
      self.frame_count += 1
      yield timestamp, image


def _timed(
  stream: av.VideoStream,
  clock: Clock,
  integrity: Integrity,
  max_seconds: Fraction,
  is_threaded: bool,
) -> Times:
  """Yields when each frame appears, in ticks, and the frame, past any damage.

  In the order shown. Raises _DamageError at damage where `is_threaded`.
  """
  for packet in clock.packets():
    beat()  # Also while what was seen before is read again.
    integrity.packet(packet)
    if packet.stream.index != stream.index:
      continue
    frames: list[av.VideoFrame] = []
    try:
      frames = clock.decode(packet)
    except av.FFmpegError:
      integrity.fault = True
    if is_threaded and (integrity.fault or any(f.is_corrupt for f in frames)):
      raise _DamageError
    for frame in frames:
      appears = clock.appearance(frame)
      integrity.frame(frame, appears)
      _check_time(appears, clock, integrity, max_seconds)
      yield appears, frame
  if is_threaded and clock.packets_end > clock.end:
    raise _DamageError  # An error as a decoder ends costs all its threads hold.
  _check_time(clock.end, clock, integrity, max_seconds)


def _check_time(
  time: int, clock: Clock, integrity: Integrity, max_seconds: Fraction
) -> None:
  """Raises VideoError where a film is too long, or goes on past its end."""
  ticks, length = clock.ticks, integrity.promised
  told = f"{ticks.seconds(time):.0f} s"
  if time > ticks.of_seconds(max_seconds):
    raise VideoError(
      Reason.TOO_LONG, f"{told}, {float(max_seconds):g} s is the most"
    )
  # Writers count up to the last frame decoded, which is not the last shown. Of
  # joined films the declared length means nothing.
  if length is None or clock.may_leap:
    return
  if time > max(2 * length, length + ticks.of_seconds(60)):
    raise VideoError(
      Reason.UNDECODABLE,
      f"a frame is due at {told}, past its end at {ticks.seconds(length):.0f}",
    )


def _remarks(clock: Clock, integrity: Integrity) -> tuple[str, ...]:
  """What a user should know of how the file was read."""
  made = []
  if clock.seams:
    made.append(
      f"its clock starts again or leaps {len(clock.seams)} times; read as one"
      f" film of {clock.ticks.seconds(clock.end):.2f} s"
    )
  elif integrity.promised is None:
    made.append(
      "it states no duration, and cannot be told from a truncated file; read"
      f" to its end at {clock.ticks.seconds(clock.end):.2f} s"
    )
  if integrity.begins_late:
    made.append("it begins midway, at a frame that needs others before it")
  return tuple(made)
