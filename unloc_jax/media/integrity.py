"""Is this the whole video? Compares what was decoded with what was promised.

libav decodes a truncated file to its premature end without an error, and
conceals damage. Nothing here stops early; `verdict` is asked at the end.
"""

from fractions import Fraction
from typing import Any

import av

from unloc_jax.media.clock import MICROSECONDS, Clock, Ticks
from unloc_jax.media.container import tagged_seconds
from unloc_jax.media.errors import Reason, VideoError

# A file that ends earlier than it says by less than this is whole: muxers
# round, and cutters leave a frame or two behind.
_SLACK_SECONDS = Fraction(1, 5)
# Where a file is known to be cut, only rounding is forgiven.
_ROUNDING_SECONDS = Fraction(1, 100)
# Containers put less than this between packets, and lost packets leave a gap
# in time as well.
_HOLE_BYTES = 256
_HOLE_SECONDS = Fraction(1, 10)
# Where files were joined, packets near the seam are marked although whole.
_SEAM_SECONDS = Fraction(1, 2)
# Packets that a decoder may take without giving a frame.
_MOST_WAITING = 64
# Packets of other pictures between two of one in a transport stream.
_MOST_OTHERS = 25
# Packets may end that much later than their frames.
_TAIL_SECONDS = 1
# Bytes, and share of a transport stream, behind the last packet.
_MOST_LEFT, _SHARE_LEFT = 1 << 13, 0.1
# Share of the chunks an AVI's header may promise too many.
_AVI_SLACK = 0.01


class Integrity:
  """Watches packets and frames of one video stream go by.

  Attributes:
    promised: Length that the file declares, in ticks; None if it does not.
    damaged: Ticks of the video during which no wholly decoded frame is there
      to be shown; known after `verdict`.
    fault: Whether something is damaged since the last frame.
    begins_late: Whether its first packets need others that are not there.
  """

  def __init__(
    self,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    ticks: Ticks,
    whole: bool | None,
  ):
    """Is told whether the file goes on to its container's end, where known.

    Then nothing is forgiven, or nothing is counted.
    """
    name = container.format.name
    self._is_avi, self._is_matroska = name == "avi", name.startswith("matroska")
    self._is_cut = whole is False
    # With its index an AVI is what it is, whatever its header promises.
    self._is_indexed = whole is True and self._is_avi
    self._is_ts = name == "mpegts"
    self._size, self._read = container.size, 0  # Bytes.
    # Packets of other pictures since the last of these, now and at most.
    self._others = self._most_others = 0
    self._index = stream.index
    self._ticks = ticks
    self._promised_frames = stream.frames
    length, self._of_all_streams = _promised(container, stream)
    self.promised = None if length is None else ticks.of_seconds(length)
    # In ticks: of all streams, and of the video alone.
    self._start: int | None = None
    self._end: int | None = None
    self._last_packet: int | None = None
    self._widest_gap = 0
    self._packets = self._chunks = 0
    self._place: int | None = None  # Byte at which the last packet ends.
    self._hole = self.fault = self._has_begun = False
    self._last_good = self.damaged = 0
    self._lacks: list[tuple[int, int]] = []  # Damage from, to.
    self._waiting = 0  # Packets since the last frame.
    self.begins_late = False

  def packet(self, packet: "av.Packet[Any]") -> None:
    """Counts a packet of any stream."""
    begin: int | None = None
    if packet.pts is not None:
      unit = self._ticks.of(packet.stream.index)
      begin = packet.pts * unit
      end = begin + (packet.duration or 0) * unit
      self._start = begin if self._start is None else min(self._start, begin)
      self._end = end if self._end is None else max(self._end, end)
    if not packet.size:
      return
    self._read = max(self._read, packet.pos or 0)
    is_ours = packet.stream.index == self._index
    is_picture = packet.stream.type == "video"
    self._others = 0 if is_ours else self._others + is_picture
    self._most_others = max(self._most_others, self._others)
    if self._is_matroska and packet.pos is not None:
      # A demuxer silently goes on at the next cluster that it finds.
      if self._place is not None:
        self._hole |= packet.pos - self._place > _HOLE_BYTES
      self._place = packet.pos + packet.size
    if not is_ours:
      return
    self._packets += 1
    # An AVI's decoding times count its chunks, empty ones included.
    self._chunks = max(self._packets, 1 + (packet.dts or 0))
    if not self._has_begun:
      self.begins_late |= not packet.is_keyframe
      self._has_begun, self.fault = packet.is_keyframe, False
    self._waiting += not packet.is_discard
    self.fault |= packet.is_corrupt or self._waiting > _MOST_WAITING
    if begin is not None:
      if self._last_packet is not None:
        self._gap(begin - self._last_packet)
      self._last_packet = begin
      self._hole = False

  def _gap(self, gap: int) -> None:
    """Tells a gap in time that a hole in the file made from any other."""
    wide = max(self._ticks.of_seconds(_HOLE_SECONDS), 2 * self._widest_gap)
    if self._hole and gap > wide:
      self.fault = True
    else:
      self._widest_gap = max(self._widest_gap, gap)

  def frame(self, frame: av.VideoFrame, appears: int) -> None:
    """Notes a decoded frame and when it appears, in ticks."""
    self.fault |= frame.is_corrupt
    self._waiting = 0
    if frame.is_corrupt:
      return
    self._mend(appears)
    self._last_good = appears

  def _mend(self, end: int) -> None:
    # What is cut out of a stream may not begin with a whole frame.
    is_start = self.begins_late and not self._last_good
    if self.fault and end > self._last_good and not is_start:
      self._lacks.append((self._last_good, end))
    self.fault = False

  def verdict(self, clock: Clock, max_damaged: float) -> None:
    """Raises VideoError unless the video was decoded whole.

    A share of it may be damaged.
    """
    end, seams = clock.end, clock.seams
    # Of joined films the declared length is that of a part.
    if not self._is_indexed and not seams:
      self._check_count(end)
      self._check_end(end)
    self._check_tail()
    tail = self._ticks.of_seconds(_TAIL_SECONDS)
    if clock.packets_end > end + tail:
      # What packets say beyond that is part of the damage.
      self.fault, end = True, min(clock.packets_end, 2 * end + 60 * tail)
    self._mend(end)
    near = self._ticks.of_seconds(_SEAM_SECONDS)
    short = self._ticks.of_seconds(_HOLE_SECONDS)
    self.damaged = sum(
      to - start
      for start, to in self._lacks
      if to - start > short or all(abs(to - seam) > near for seam in seams)
    )
    if self.damaged > max_damaged * end:
      seconds = self._ticks.seconds
      raise VideoError(
        Reason.DAMAGED,
        f"{seconds(self.damaged):.2f} s of {seconds(end):.2f} s cannot be"
        " decoded whole",
      )

  def _check_tail(self) -> None:
    """Raises VideoError where streams that begin midway hold what is left."""
    left = self._size - self._read
    is_left = left > max(_MOST_LEFT, _SHARE_LEFT * self._size)
    if self._is_ts and (is_left or self._most_others > _MOST_OTHERS):
      raise VideoError(
        Reason.UNDECODABLE,
        "a film of other streams was joined to it; join them anew, or cut it",
      )

  def _check_count(self, end: int) -> None:
    """Raises VideoError where frames are missing that the header counts."""
    lacking = self._promised_frames - self._packets
    if self._is_avi:
      lacking = self._promised_frames - self._chunks
      if not self._is_cut:
        lacking -= int(_AVI_SLACK * self._promised_frames)
    if lacking > 0:
      raise VideoError(
        Reason.TRUNCATED,
        f"holds {self._packets} of {self._promised_frames} frames, "
        f"{self._ticks.seconds(end):.2f} s",
      )

  def _check_end(self, end: int) -> None:
    """Raises VideoError where the file stops before its declared end."""
    if self.promised is None:
      return
    declared, start = self.promised, self._ticks.start
    if start is None:
      # A file of a few frames may be too short for libav to find its start.
      start = self._start or 0
      declared -= start if self._is_matroska else 0
    if self._of_all_streams and self._end is not None:
      # Sound may run on after the picture; both count against the file's end.
      end = max(end, self._end - start)
    slack = self._ticks.of_seconds(_ROUNDING_SECONDS)
    if not self._is_cut:
      usual = self._ticks.of_seconds(_SLACK_SECONDS)
      slack = max(usual, self._widest_gap * 3 // 2)
    if end + slack < declared:
      seconds = self._ticks.seconds
      raise VideoError(
        Reason.TRUNCATED,
        f"{seconds(end):.2f} s decoded of {seconds(declared):.2f} s declared",
      )


def _promised(
  container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[Fraction | None, bool]:
  """Declared seconds, and whether the longest stream's, not the video's."""
  start = Fraction(container.start_time or 0, MICROSECONDS)
  # Matroska declares where a track or the file ends, not how long it is.
  is_matroska = container.format.name.startswith("matroska")
  if is_matroska:
    tag = tagged_seconds(stream.metadata)
    if tag is not None:
      return tag - start, False
  elif stream.duration is not None and stream.time_base is not None:
    end = (stream.start_time or 0) + stream.duration
    return end * Fraction(stream.time_base) - start, False
  if container.duration is None:
    return None, True
  length = Fraction(container.duration, MICROSECONDS)
  return length - start if is_matroska else length, True
