"""Cuts moments out of a video file, picture and sound, as they are shown."""

import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np

from unloc_jax import files
from unloc_jax.media.container import opened, video_stream
from unloc_jax.media.display import Display
from unloc_jax.media.errors import VideoError


def cut_clip(
  path: str | os.PathLike[str], out: pathlib.Path, start: float, end: float
) -> None:
  """Writes the part of a video from `start` to `end` seconds as an mp4.

  It is encoded anew, so that it begins exactly at `start`, and not at the
  nearest frame a copy could begin with; upright and with square pixels,
  whatever the file's display matrix. Raises ValueError where the part holds
  no frame, or the video cannot be read.
  """
  name = os.fspath(path)
  try:
    with (
      files.replacing(out) as beside,
      opened(name) as (source, _),
      av.open(str(beside), "w", format="mp4") as target,
    ):
      shape = _shape(name)
      origin = (source.start_time or 0) / av.time_base
      source.seek(max(0, round((origin + start) * av.time_base)))
      if not _copy(source, target, shape, origin + start, origin + end):
        raise ValueError(
          f"{name}: no frame is shown from {start:.2f} to {end:.2f} s"
        )
  except (av.FFmpegError, VideoError) as error:
    text = getattr(error, "strerror", None) or str(error)
    raise ValueError(f"{name}: cannot be cut ({text})") from error


def _shape(path: str) -> tuple[int, ...]:
  """Height and width of the pictures of a clip, even."""
  with opened(path) as (source, _):
    video = video_stream(source)
    for frame in _frames(source, [video], math.inf):
      return _even(Display(video, 0).image(frame)).shape[:2]
  raise ValueError(f"{path}: cannot be cut (it shows nothing)")


def _even(image: np.ndarray) -> np.ndarray:
  """libx264 takes whole pairs of pixels: repeats the last of an odd side."""
  height, width = image.shape[:2]
  padding = [(0, height % 2), (0, width % 2), (0, 0)]
  return np.ascontiguousarray(np.pad(image, padding, mode="edge"))


def _copy(
  source: av.container.InputContainer,
  target: av.container.OutputContainer,
  shape: tuple[int, ...],
  start: float,
  end: float,
) -> int:
  """Encodes what is shown and heard in [start, end); counts the pictures."""
  video = video_stream(source)
  picture: Any = target.add_stream("libx264", rate=video.average_rate or 25)
  picture.height, picture.width = shape
  picture.pix_fmt = "yuv420p"
  picture.time_base = picture.codec_context.time_base = video.time_base
  streams: list[Any] = [video, *source.streams.audio[:1]]
  encoders = [picture]  # In the clip, for each stream of the video.
  encoders += [target.add_stream("aac", rate=s.rate) for s in streams[1:]]
  display = Display(video, 0)
  count = 0
  for frame in _frames(source, streams, end):
    if frame.time is None or not start <= frame.time < end:
      continue
    moment = frame.pts - round(start / frame.time_base)
    if isinstance(frame, av.VideoFrame):
      count += 1
      image = _even(display.image(frame))
      shown = av.VideoFrame.from_ndarray(image, format="rgb24")
      shown.pts, shown.time_base = moment, frame.time_base
      target.mux(picture.encode(shown))
    else:
      frame.pts = moment
      target.mux(encoders[1].encode(frame))
  # A clip of no frame never began to encode.
  for encoder in encoders if count else ():
    target.mux(encoder.encode(None))
  return count


def _frames(
  source: av.container.InputContainer, streams: Sequence[Any], end: float
) -> Iterator[Any]:
  """Frames of the streams as they come, until all are past `end`."""
  over: set[int] = set()
  for packet in source.demux(streams):
    try:
      frames: list[Any] = list(packet.decode())
    except av.FFmpegError:
      continue  # What is damaged is left out.
    for frame in frames:
      if frame.time is not None and frame.time >= end:
        over.add(packet.stream_index)
      yield frame
    if len(over) == len(streams):
      return
