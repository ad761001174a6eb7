"""When each decoded frame appears, in exact ticks from the video's start.

A tick divides the time units of every stream of the file, and microseconds, so
that all times are integers: a frame due at 0.1 s is never late by a rounding
error, and a million packets cost little.
"""

import math
from fractions import Fraction

import av

MICROSECONDS = 1_000_000


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
  first frame.

  Attributes:
    ticks: The tick of the file.
    end: Time at which the latest frame stops being shown, in ticks.
  """

  def __init__(
    self, container: av.container.InputContainer, stream: av.VideoStream
  ):
    self.ticks = ticks = Ticks(container)
    self._unit = ticks.of(stream.index)
    # An AVI stores no presentation times; what a demuxer makes up for them is
    # out of order wherever there are B-frames. Its decoding times count the
    # frames, which is all the file knows.
    self._by_decoding_time = container.format.name == "avi"
    self._origin = None if self._by_decoding_time else ticks.start
    if self._origin is not None and stream.start_time is not None:
      # The container's start is the stream's own, rounded to microseconds.
      first = stream.start_time * self._unit
      if abs(first - self._origin) <= 2 * ticks.per_second // MICROSECONDS:
        self._origin = first
    rate = stream.average_rate or stream.guessed_rate or 25
    self._step = ticks.of_seconds(1 / Fraction(rate))
    self._last: int | None = None
    self.end = 0

  def appearance(self, frame: av.VideoFrame) -> int:
    """Returns when the next frame appears, in ticks; never goes back."""
    stamp = frame.dts if self._by_decoding_time else frame.pts
    if stamp is None:
      shown = 0 if self._last is None else self._last + self._step
    else:
      if self._origin is None:
        self._origin = stamp * self._unit
      shown = stamp * self._unit - self._origin
    if self._last is not None:
      if shown > self._last:
        self._step = shown - self._last
      shown = max(shown, self._last)
    self._last = shown
    self.end = shown + ((frame.duration or 0) * self._unit or self._step)
    return shown
