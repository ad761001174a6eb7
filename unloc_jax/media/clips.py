"""Cuts moments out of a video, as they are shown, or out of a recording."""

import contextlib
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

from unloc_jax import files
from unloc_jax.media.clock import Clock
from unloc_jax.media.container import opened, video_stream
from unloc_jax.media.display import Display
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.pool import beat
from unloc_jax.media.sound import frames_of

SOUND_ENDING = "m4a"

# Decoding begins at the last key frame that is this much before the moment.
_LEAD_SECONDS = 1
# Sound lies in the file at most this many times that behind its picture.
_BEHIND = 10
# Packets that wait for such a frame, before they are decoded for nothing.
_WAITING = 1000
# Packets within which a track of sound is heard, if ever.
_TRIED = 20
# Fine enough for the times of pictures at every usual frame rate.
_PER_SECOND = 90_000
_SOUND_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)


def cut_clip(
  path: str | os.PathLike[str], out: pathlib.Path, start: float, end: float
) -> None:
  """Writes the part of a video from `start` to `end` seconds as an mp4.

  It shows the frames that appear in that time, else the one that is shown all
  the while, with the first track of sound that can be decoded. It is encoded
  anew, upright and with square pixels, whatever the file's display matrix.
  Raises VideoError where nothing is shown, or it cannot be read.
  """
  name = os.fspath(path)
  try:
    shape, heard = _shape(name), _audible(name)
    with (
      files.replacing(out) as beside,
      opened(name) as (source, _),
      av.open(str(beside), "w", format="mp4") as target,
    ):
      video = video_stream(source)
      sound = [s for s in source.streams.audio if s.index == heard]
      clip = _Clip(target, Display(video, 0), shape, video.average_rate, *sound)
      if not _copy(Clock(source, video), [video, *sound], clip, start, end):
        raise VideoError(
          Reason.NO_FRAMES,
          f"{name}: no frame is shown from {start:.2f} to {end:.2f} s",
        )
      clip.finish()
  except VideoError as error:
    if error.reason == Reason.NO_FRAMES:
      raise
    what = f"{name}: cannot be cut ({error})"
    raise VideoError(error.reason, what) from error


def is_sound(path: str | os.PathLike[str]) -> bool:
  """Whether a file holds sound and no pictures."""
  try:
    with opened(os.fspath(path)) as (container, _):
      video_stream(container)
  except VideoError as error:
    return error.reason is Reason.NO_VIDEO_STREAM
  return False


def cut_sound(
  path: str | os.PathLike[str], out: pathlib.Path, start: float, end: float
) -> None:
  """Writes the part of a recording from `start` to `end` seconds as AAC.

  It begins and ends with a whole frame of the recording's codec, some
  hundredths of a second. Raises VideoError where nothing is heard in it, or it
  cannot be read.
  """
  name, count = os.fspath(path), 0
  with (
    files.replacing(out) as beside,
    opened(name) as (source, _),
    av.open(str(beside), "w", format="mp4") as target,
  ):
    if not source.streams.audio:
      raise VideoError(Reason.NO_SOUND, f"{name}: it has no sound track")
    track = source.streams.audio[0]
    rate = min(_SOUND_RATES, key=lambda known: abs(known - track.rate))
    encoder: Any = target.add_stream("aac", rate=rate)
    origin = (source.start_time or 0) / av.time_base
    source.seek(max(0, round((origin + start) * av.time_base)))
    for frame in frames_of(source, track):
      if frame.time is None or frame.pts is None or frame.time_base is None:
        continue
      if frame.time - origin >= end:
        break
      if frame.time - origin + frame.samples / frame.sample_rate > start:
        moment = round((frame.time - origin - start) / frame.time_base)
        frame.pts = max(moment, 0)
        target.mux(encoder.encode(frame))
        count += 1
    # A clip of no frame never began to encode.
    target.mux(encoder.encode(None) if count else [])
    if not count:
      raise VideoError(
        Reason.NO_SOUND,
        f"{name}: nothing is heard from {start:.2f} to {end:.2f} s",
      )


def _shape(path: str) -> tuple[int, ...]:
  """Height and width of the pictures of a clip, even."""
  with opened(path) as (source, _):
    video = video_stream(source)
    for packet in source.demux(video):
      with contextlib.suppress(av.FFmpegError):
        for frame in packet.decode():
          assert isinstance(frame, av.VideoFrame)
          return _even(Display(video, 0).image(frame)).shape[:2]
  raise VideoError(Reason.NO_FRAMES, f"{path}: cannot be cut")


def _audible(path: str) -> int | None:
  """Index of the first stream of sound that can be decoded."""
  with opened(path) as (source, _):
    indices = [s.index for s in source.streams.audio if s.codec_context]
  for index in indices:
    with opened(path) as (source, _):
      packets = source.demux(source.streams[index])
      for packet in itertools.islice(packets, _TRIED):
        with contextlib.suppress(av.FFmpegError, ValueError):
          for frame in packet.decode():
            assert isinstance(frame, av.AudioFrame)
            av.AudioResampler("fltp", "stereo", 48000).resample(frame)
            return index
  return None


def _even(image: np.ndarray) -> np.ndarray:
  """libx264 takes whole pairs of pixels: repeats the last of an odd side."""
  height, width = image.shape[:2]
  padding = [(0, height % 2), (0, width % 2), (0, 0)]
  return np.ascontiguousarray(np.pad(image, padding, mode="edge"))


class _Clip:
  """An mp4 in the making; times are in seconds from its start."""

  def __init__(
    self,
    target: av.container.OutputContainer,
    display: Display,
    shape: tuple[int, ...],
    rate: Fraction | None,
    sound: av.AudioStream | None = None,
  ):
    self._target, self._display = target, display
    rate = min(max(rate or Fraction(25), Fraction(1)), Fraction(240))
    # Out of order, an mp4 tells how long the last picture stored is shown, not
    # the last one shown.
    in_order = {"bf": "0"}
    self._picture: Any = target.add_stream("libx264", rate, in_order)
    self._picture.height, self._picture.width = shape
    self._picture.pix_fmt = "yuv420p"
    self._base = Fraction(1, _PER_SECOND)
    self._picture.time_base = self._picture.codec_context.time_base = self._base
    self._next = 0  # Earliest time that is free for a picture.
    self._lasts: dict[int, int] = {}  # Time of a picture -> its duration.
    self._sound: Any = None
    if sound is not None:
      known = sound.rate in _SOUND_RATES
      self._rate = sound.rate if known else _SOUND_RATES[-1]
      self._layout = "mono" if sound.channels == 1 else "stereo"
      self._sound = target.add_stream(
        "aac", rate=self._rate, layout=self._layout
      )
      self._resample()

  def _resample(self) -> None:
    self._resampler = av.AudioResampler("fltp", self._layout, self._rate)

  def show(self, frame: av.VideoFrame, at: Fraction, to: Fraction) -> None:
    """Adds a picture that is shown from one time to another."""
    image = _even(self._display.image(frame))
    shown = av.VideoFrame.from_ndarray(image, format="rgb24")
    shown.pts = max(self._next, round(at * _PER_SECOND))
    self._lasts[shown.pts] = max(1, round(to * _PER_SECOND) - shown.pts)
    shown.time_base = self._base
    self._next = shown.pts + 1
    self._write(shown)

  def _write(self, shown: av.VideoFrame | None) -> None:
    for packet in self._picture.encode(shown):
      # The encoder forgets how long a picture is to be shown.
      packet.duration = self._lasts.pop(packet.pts, 0)
      self._target.mux(packet)

  def hear(self, frame: av.AudioFrame, at: Fraction) -> None:
    """Adds sound; what cannot be made into the clip's is left out."""
    frame.pts = round(at * frame.sample_rate)
    frame.time_base = Fraction(1, frame.sample_rate)
    try:
      made = self._resampler.resample(frame)
    except ValueError:  # It is of another kind from now on.
      self._resample()
      made = self._resampler.resample(frame)
    for part in made:
      self._target.mux(self._sound.encode(part))

  def finish(self) -> None:
    """Writes what the encoders hold back."""
    self._write(None)
    if self._sound is not None:
      self._target.mux(self._sound.encode(None))


def _copy(
  clock: Clock, streams: Sequence[Any], clip: _Clip, start: float, end: float
) -> bool:
  """Puts what is shown and heard in [start, end) in; is anything shown?"""
  ticks = clock.ticks
  first, last = (ticks.of_seconds(Fraction(x)) for x in (start, end))

  def place(moment: int) -> Fraction:
    return Fraction(moment - first, ticks.per_second)

  held: av.VideoFrame | None = None
  at, is_shown = 0, False
  for appears, frame in _frames(clock, streams, first, last):
    if isinstance(frame, av.AudioFrame):
      if first <= appears < last:
        clip.hear(frame, place(appears))
    elif held is None or appears < last:
      if held is not None and at >= first:
        clip.show(held, place(at), place(appears))
        is_shown = True
      held, at = frame, appears
  # A picture that came before the moment may stay through all of it.
  stays = not is_shown and first < last and clock.end > first
  if held is None or not (first <= at < last or stays):
    return False
  clip.show(held, place(max(first, at)), place(min(last, clock.end)))
  return True


def _frames(
  clock: Clock, streams: Sequence[Any], first: int, last: int
) -> Iterator[tuple[int, Any]]:
  """Yields when frames of picture and sound appear, in ticks, and the frames.

  Many before `first` and after `last` are left out, and what is damaged. From
  the start on the file is read, not all decoded: only so are times certain.
  """
  video, over, is_begun = streams[0], False, False
  held: list[Any] = []
  for packet in clock.packets(streams):
    beat()
    time = clock.time(packet, packet.stream.index)
    # Until a frame has been decoded, the clock is not set.
    lead = clock.ticks.of_seconds(_LEAD_SECONDS)
    is_early = is_begun and time is not None and time < first - lead
    if packet.stream.index == video.index:
      if is_early and packet.is_keyframe:
        video.codec_context.flush_buffers()
        held.clear()
      held.append(packet)
      if is_early and len(held) < _WAITING:
        continue
      for waiting in () if over else held:
        with contextlib.suppress(av.FFmpegError):
          for frame in clock.decode(waiting):
            appears, is_begun = clock.appearance(frame), True
            over |= appears >= last
            yield appears, frame
      held.clear()
    elif not is_early:
      with contextlib.suppress(av.FFmpegError):
        for sound in packet.decode():
          yield clock.time(sound, packet.stream.index) or 0, sound
    is_behind = time is not None and time > last + _BEHIND * lead
    if over and (len(streams) == 1 or is_behind):
      return
