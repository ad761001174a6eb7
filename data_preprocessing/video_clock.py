"""When each decoded frame appears, in exact seconds from the video's start."""

from fractions import Fraction

import av

_MICROSECOND = Fraction(1, 1_000_000)


class Clock:
  """Gives decoded frames, in the order shown, their times of appearance.

  Time 0 is where a player starts: the start the container declares, else the
  first frame. All arithmetic is exact, so that a frame due at 0.1 s is never
  late by a rounding error.

  Attributes:
    end: Time at which the latest frame stops being shown, in seconds.
  """

  def __init__(self, container: av.container.InputContainer,
               stream: av.VideoStream):
    self._base = Fraction(stream.time_base or _MICROSECOND)
    # An AVI stores no presentation times; what a demuxer makes up for them is
    # out of order wherever there are B-frames. Its decoding times count the
    # frames, which is all the file knows.
    self._by_decoding_time = container.format.name == "avi"
    self._origin = None if self._by_decoding_time else _origin(
        container, stream, self._base)
    rate = stream.average_rate or stream.guessed_rate
    self._step = 1 / Fraction(rate) if rate else Fraction(1, 25)
    self._last: Fraction | None = None
    self.end = Fraction(0)

  def appearance(self, frame: av.VideoFrame) -> Fraction:
    """Returns when the next frame appears, in seconds; never goes back."""
    stamp = frame.dts if self._by_decoding_time else frame.pts
    if stamp is None:
      shown = Fraction(0) if self._last is None else self._last + self._step
    else:
      if self._origin is None:
        self._origin = stamp * self._base
      shown = stamp * self._base - self._origin
    if self._last is not None:
      shown = max(shown, self._last)
      if shown > self._last:
        self._step = shown - self._last
    self._last = shown
    lasts = (frame.duration or 0) * self._base
    self.end = shown + (lasts if lasts > 0 else self._step)
    return shown


def _origin(container: av.container.InputContainer, stream: av.VideoStream,
            base: Fraction) -> Fraction | None:
  """Returns the stream time, in seconds, that a player calls 0."""
  if container.start_time is None:
    return None
  start = container.start_time * _MICROSECOND
  if stream.start_time is not None:
    exact = stream.start_time * base
    # The container's start is the stream's own, rounded to microseconds.
    if abs(exact - start) <= 2 * _MICROSECOND:
      return exact
  return start
