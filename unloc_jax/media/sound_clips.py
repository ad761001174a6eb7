"""Cuts moments out of a recording without pictures."""

import os
import pathlib
from typing import Any

import av

from unloc_jax import files
from unloc_jax.media.clips import SOUND_RATES
from unloc_jax.media.container import opened, video_stream
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.sound import frames_of

ENDING = "m4a"


def is_sound(path: str | os.PathLike[str]) -> bool:
  """Whether a file holds sound and no pictures."""
  try:
    with opened(os.fspath(path)) as (container, _):
      video_stream(container)
  except VideoError as error:
    return error.reason is Reason.NO_VIDEO_STREAM
  except av.FFmpegError:
    return False
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
  try:
    with (
      files.replacing(out) as beside,
      opened(name) as (source, _),
      av.open(str(beside), "w", format="mp4") as target,
    ):
      track = source.streams.audio[0]
      rate = min(SOUND_RATES, key=lambda known: abs(known - track.rate))
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
  except (av.FFmpegError, IndexError) as error:
    text = getattr(error, "strerror", None) or str(error)
    raise VideoError(Reason.UNDECODABLE, f"{name}: {text}") from error
