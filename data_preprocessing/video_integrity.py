"""Is this the whole video? Compares what was decoded with what was promised.

libav decodes a truncated file to its premature end without an error, and
conceals damage. Nothing here stops early; `verdict` is asked at the end.
"""

from fractions import Fraction

import av

from data_preprocessing.video_errors import Reason, VideoError

_MICROSECOND = Fraction(1, 1_000_000)
# A file that ends earlier than it says by less than this is whole: muxers
# round, and cutters leave a frame or two behind.
_SLACK_SECONDS = Fraction(1, 5)
# Containers put less than this between packets, and lost packets leave a gap
# in time as well.
_HOLE_BYTES = 256
_HOLE_SECONDS = Fraction(1, 10)
# Share of the frames an AVI's header may promise too many: writers that drop
# frames count the empty chunks.
_AVI_SLACK = 0.01


class Integrity:
  """Watches packets and frames of one video stream go by.

  Attributes:
    damaged: Seconds of the video during which no wholly decoded frame is
      there to be shown.
  """

  def __init__(self, container: av.container.InputContainer,
               stream: av.VideoStream):
    self._format = container.format.name
    self._stream = stream
    self._start = (container.start_time or 0) * _MICROSECOND
    self._promised_frames = stream.frames
    self._promised_end = promised_end(container, stream)
    self._packets = 0
    self._file_place: int | None = None
    self._hole = False
    self._packet_end: Fraction | None = None
    self._fault = False
    self._last_good = Fraction(0)
    self._last_packet: Fraction | None = None
    self._widest_gap = Fraction(0)
    self.damaged = Fraction(0)

  def packet(self, packet: av.Packet) -> None:
    """Counts a packet of any stream."""
    if packet.pts is not None and packet.time_base is not None:
      start = packet.pts * Fraction(packet.time_base)
      end = start + (packet.duration or 0) * Fraction(packet.time_base)
      if self._packet_end is None or end > self._packet_end:
        self._packet_end = end
    if packet.size:
      self._look_for_hole(packet)
    if packet.stream_index != self._stream.index or not packet.size:
      return
    self._packets += 1
    if packet.is_corrupt:
      self._fault = True
    if packet.pts is not None:
      if self._last_packet is not None:
        gap = start - self._last_packet
        if self._hole and gap > max(_HOLE_SECONDS, 2 * self._widest_gap):
          self._fault = True
        else:
          self._widest_gap = max(self._widest_gap, gap)
      self._last_packet = start
      self._hole = False

  def _look_for_hole(self, packet: av.Packet) -> None:
    """Notes bytes between packets that belong to none.

    A Matroska demuxer silently goes on at the next cluster that it finds.
    """
    if packet.pos is None or not self._format.startswith("matroska"):
      return
    if self._file_place is not None:
      self._hole |= packet.pos - self._file_place > _HOLE_BYTES
    self._file_place = packet.pos + packet.size

  def fault(self) -> None:
    """Notes that the decoder refused a packet."""
    self._fault = True

  def frame(self, frame: av.VideoFrame, appears: Fraction) -> None:
    """Notes a decoded frame and when it appears, in seconds."""
    if frame.is_corrupt:
      self._fault = True
      return
    if self._fault:
      self.damaged += max(Fraction(0), appears - self._last_good)
      self._fault = False
    self._last_good = appears

  def verdict(self, end: Fraction, max_damaged: float) -> None:
    """Raises VideoError unless the video was decoded whole.

    Args:
      end: When the last decoded frame stops being shown, in seconds.
      max_damaged: Share of the length that may be damaged.
    """
    lacking = self._promised_frames - self._packets
    if self._format == "avi":
      lacking -= int(_AVI_SLACK * self._promised_frames)
    if lacking > 0:
      raise VideoError(
          Reason.TRUNCATED,
          f"holds {self._packets} of {self._promised_frames} frames, "
          f"{float(end):.2f} s",
      )
    self._check_end(end)
    if self._fault:
      self.damaged += max(Fraction(0), end - self._last_good)
    if self.damaged > max_damaged * float(end):
      raise VideoError(
          Reason.DAMAGED,
          f"{float(self.damaged):.2f} s of {float(end):.2f} s cannot be"
          " decoded whole",
      )

  def _check_end(self, end: Fraction) -> None:
    """Raises VideoError where the file stops before its declared end."""
    if self._promised_end is None:
      return
    length, whole_file = self._promised_end
    reached = end
    if whole_file and self._packet_end is not None:
      # Sound may run on after the picture; both count against the file's end.
      reached = max(end, self._packet_end - self._start)
    slack = max(_SLACK_SECONDS, self._widest_gap * Fraction(3, 2))
    if reached + slack < length:
      raise VideoError(
          Reason.TRUNCATED,
          f"{float(reached):.2f} s decoded of {float(length):.2f} s declared",
      )


def promised_end(
    container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[Fraction, bool] | None:
  """Returns the declared length in seconds, or None where there is none.

  The second value says that the length is that of the file, the longest of
  its streams, and not of the video stream itself.
  """
  start = (container.start_time or 0) * _MICROSECOND
  if stream.duration is not None and stream.time_base is not None:
    first = (stream.start_time or 0) * Fraction(stream.time_base)
    length = stream.duration * Fraction(stream.time_base)
    return first + length - start, False
  tag = _tagged_duration(stream.metadata)
  if tag is not None:
    return tag - start, False
  if container.duration is None:
    return None
  length = container.duration * _MICROSECOND
  if container.format.name.startswith("matroska"):
    # Matroska declares where the file ends, not how long it lasts.
    length -= start
  return length, True


def _tagged_duration(metadata: dict[str, str]) -> Fraction | None:
  """Reads the HH:MM:SS.n tag by which Matroska gives a track's end."""
  if "DURATION" not in metadata:
    return None
  text = metadata["DURATION"]
  try:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
  except ValueError:
    return None
