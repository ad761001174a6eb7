"""When each decoded frame appears, in exact ticks from the video's start.

A tick divides the time units of every stream of the file, and microseconds, so
that all times are integers: a frame due at 0.1 s is never late by a rounding
error, and a million packets cost little.
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av

MICROSECONDS = 1_000_000
# As in ffmpeg: a clock that steps back by more starts again, and where clocks
# may leap (transport streams, discs, chained Ogg), one leaps that steps on by
# more. Elsewhere a frame may hold that long, and decoding times may be guessed
# wrong, by as many frames as a codec may put out of order.
_BACK_SECONDS = Fraction(1, 10)
_LEAP_SECONDS = 10
_REORDERED = 20


class Ticks:
  """The tick of one file.

  Attributes:
    per_second: Ticks in a second.
    start: When a player starts, on the file's own clock; None if undeclared.
  """

  def __init__(self, container: av.container.InputContainer):
    bases = {s.index: s.time_base for s in container.streams if s.time_base}
    self.per_second = math.lcm(
      MICROSECONDS, *(base.denominator for base in bases.values())
    )
    self._units = {
      index: base.numerator * self.per_second // base.denominator
      for index, base in bases.items()
    }
    self._microsecond = self.per_second // MICROSECONDS
    start = container.start_time
    self.start = None if start is None else start * self._microsecond

  def of(self, stream_index: int) -> int:
    """Returns the ticks in a unit of a stream's time stamps."""
    return self._units.get(stream_index, self._microsecond)

  def of_seconds(self, seconds: Fraction | int) -> int:
    """Returns seconds as ticks, rounded to the nearest."""
    return round(seconds * self.per_second)

  def seconds(self, ticks: int) -> float:
    """Returns ticks as seconds."""
    return ticks / self.per_second


class Clock:
  """Gives decoded frames, in the order shown, their times of appearance.

  Time 0 is where a player starts: the start the container declares, else the
  first frame. Neither sound that runs a codec in before time 0, nor a start
  after the first frame counts.

  Attributes:
    ticks: The tick of the file.
    may_leap: Whether its kind of file may be joined, or cut out of a stream.
  """

  def __init__(
    self, container: av.container.InputContainer, stream: av.VideoStream
  ):
    self.ticks = ticks = Ticks(container)
    self._container, self._stream = container, stream
    self._unit = ticks.of(stream.index)
    discontinuous: Any = av.format.Flags.ts_discont.value
    self.may_leap = bool(container.format.flags & discontinuous)
    # An AVI stores no presentation times; what a demuxer makes up for them is
    # out of order wherever there are B-frames. Its decoding times count the
    # frames, which is all the file knows.
    self._by_decoding_time = container.format.name == "avi"
    self._origin = None if self._by_decoding_time else ticks.start
    if self._origin is not None and stream.start_time is not None:
      # The container's start is the stream's own, rounded to microseconds.
      first = stream.start_time * self._unit
      near = 2 * ticks.per_second // MICROSECONDS
      if abs(first - self._origin) <= near:
        self._origin = first
      elif self._origin < 0 and not self.may_leap:
        self._origin = min(0, first)
    rate = stream.average_rate or stream.guessed_rate or 25
    self._step = ticks.of_seconds(1 / Fraction(rate))
    self._back = ticks.of_seconds(_BACK_SECONDS)
    if not self.may_leap:
      self._back = max(self._back, _REORDERED * self._step)
    self._last: int | None = None
    self._end = self._held = self._packets_end = 0
    self._seams: list[int] = []

  def packets(
    self, streams: Sequence[av.stream.Stream] = ()
  ) -> Iterator["av.Packet[Any]"]:
    """Yields packets (of all streams if none is named) on one clock.

    Where the clock of the file starts again or leaps, it goes on, as players
    do; a stream alone does not leap.
    """
    latest: int | None = None  # Decoding time of any stream, in ticks.
    leap = self.ticks.of_seconds(_LEAP_SECONDS)
    # By stream, in its own units: last decoding time, end shown, correction.
    last: dict[int, int] = {}
    ends: dict[int, int] = {}
    shifts: dict[int, int] = {}
    for packet in self._container.demux(*streams):
      index, shift = packet.stream.index, shifts.get(packet.stream.index, 0)
      unit, begin = self.ticks.of(index), packet.pts
      if packet.dts is not None:
        begin = packet.dts if begin is None else begin
        now, before = (packet.dts + shift) * unit, last.get(index)
        latest = now if latest is None else latest
        is_back = before is not None and now < before * unit - self._back
        if is_back or (self.may_leap and now > latest + leap):
          place = ends.get(index, latest // unit)
          shifts[index] = shift = place - begin
          if index == self._stream.index:
            self._seams.append(place * unit)
        last[index] = packet.dts = packet.dts + shift
        latest = max(latest, last[index] * unit)
      if packet.pts is not None:
        packet.pts += shift
      if begin is not None:
        end = begin + shift + (packet.duration or 0)
        ends[index] = max(end, ends.get(index, end))
        if index == self._stream.index and not packet.is_discard:
          last_end = (
            last.get(index, 0) if self._by_decoding_time else ends[index]
          )
          self._packets_end = last_end * unit
      yield packet

  def time(self, item: Any, stream_index: int) -> int | None:
    """Returns when a packet or a frame of sound begins, in ticks, if stated."""
    if self._by_decoding_time:
      stamp, origin = item.dts, 0  # Of its sound, these are the true times.
    else:
      stamp, origin = item.pts, self._origin or 0
    if stamp is None:
      return None
    start: int = stamp * self.ticks.of(stream_index) - origin
    return start

  def decode(self, packet: "av.Packet[Any]") -> list[av.VideoFrame]:
    """Decodes a packet of the picture. Raises FFmpegError."""
    stamp = packet.dts if self._by_decoding_time else packet.pts
    if packet.size or stamp is None:
      frames: list[Any] = packet.decode()
      return frames
    # An empty packet says that the last frame is still shown.
    end = (stamp + (packet.duration or 0)) * self._unit
    self._held = end - (self._origin or 0)
    return []

  @property
  def end(self) -> int:
    """Time at which the latest frame stops being shown, in ticks."""
    return max(self._end, self._held)

  @property
  def packets_end(self) -> int:
    """Time at which the latest packet of the picture ends, in ticks."""
    return self._packets_end - (self._origin or 0)

  @property
  def seams(self) -> list[int]:
    """Times at which the picture's clock starts again or leaps, in ticks."""
    return [place - (self._origin or 0) for place in self._seams]

  def appearance(self, frame: av.VideoFrame) -> int:
    """Returns when the next frame appears, in ticks; never goes back."""
    stamp = frame.dts if self._by_decoding_time else frame.pts
    if stamp is None:
      shown = 0 if self._last is None else self._last + self._step
    else:
      stamp *= self._unit
      if self._origin is None or (self._last is None and stamp < self._origin):
        self._origin = stamp
      shown = stamp - self._origin
    if self._last is not None:
      if shown > self._last:
        self._step = shown - self._last
      shown = max(shown, self._last)
    self._last = shown
    self._end = shown + ((frame.duration or 0) * self._unit or self._step)
    return shown
