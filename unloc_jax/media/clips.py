"""Cuts moments out of a video file, picture and sound, as they are shown."""

import os
import pathlib
from collections.abc import Iterator

import av
import numpy as np

from unloc_jax.media.display import Display
from unloc_jax.media.errors import VideoError
from unloc_jax.media.video import pixel_aspect, video_stream

_SOUND = "aac"
_PICTURE = "libx264"


def cut_clip(
  path: str | os.PathLike[str], out: pathlib.Path, start: float, end: float
) -> None:
  """Writes the part of a video between two times as an mp4.

  It is encoded anew, so that it begins exactly at `start`, and not at the
  nearest frame a copy could begin with; upright and with square pixels,
  whatever the file's display matrix. Written beside, then renamed.

  Args:
    path: The video.
    out: File to write.
    start: Seconds since the start of the video.
    end: Seconds.

  Raises:
    ValueError: The part holds no frame, or the video cannot be read.
  """
  beside = out.with_name(out.name + ".tmp")
  out.parent.mkdir(parents=True, exist_ok=True)
  try:
    with (
      _opened(path) as source,
      av.open(str(beside), "w", format="mp4") as target,
    ):
      origin = (source.start_time or 0) / av.time_base
      source.seek(max(0, round((origin + start) * av.time_base)))
      count = _copy(source, target, _shape(path), origin + start, origin + end)
  except (av.FFmpegError, VideoError) as error:
    beside.unlink(missing_ok=True)
    raise ValueError(f"{os.fspath(path)}: cannot be cut ({error})") from error
  if not count:
    beside.unlink(missing_ok=True)
    raise ValueError(
      f"{os.fspath(path)}: no frame is shown from {start:.2f} to {end:.2f} s"
    )
  beside.rename(out)


def _opened(path: str | os.PathLike[str]) -> av.container.InputContainer:
  # A playlist would make libav open whatever files it names.
  return av.open(
    f"file:{os.fspath(path)}", options={"protocol_whitelist": "file"}
  )


def _shape(path: str | os.PathLike[str]) -> tuple[int, int]:
  """Height and width of the pictures of a clip, even."""
  with _opened(path) as source:
    video = video_stream(source)
    for frame in _frames(source, [video], float("inf")):
      assert isinstance(frame, av.VideoFrame)
      return _even(Display(0).image(frame, pixel_aspect(video))).shape[:2]
  raise ValueError(f"{os.fspath(path)}: cannot be cut (it shows nothing)")


def _even(image: np.ndarray) -> np.ndarray:
  """libx264 takes whole pairs of pixels: repeats the last of an odd side."""
  height, width = image.shape[:2]
  padding = [(0, height % 2), (0, width % 2), (0, 0)]
  return np.ascontiguousarray(np.pad(image, padding, mode="edge"))


def _copy(
  source, target, shape: tuple[int, int], start: float, end: float
) -> int:
  """Encodes what is shown and heard in [start, end); counts the pictures."""
  video = video_stream(source)
  picture = target.add_stream(_PICTURE, rate=video.average_rate or 25)
  picture.height, picture.width = shape
  picture.pix_fmt = "yuv420p"
  picture.time_base = picture.codec_context.time_base = video.time_base
  streams = [video]
  sound = None
  if source.streams.audio:
    streams.append(source.streams.audio[0])
    sound = target.add_stream(_SOUND, rate=streams[1].rate)
  display, aspect = Display(0), pixel_aspect(video)
  count = 0
  for frame in _frames(source, streams, end):
    if frame.time is None or not start <= frame.time < end:
      continue
    assert frame.pts is not None
    assert frame.time_base is not None
    shift = round(start / frame.time_base)
    if isinstance(frame, av.VideoFrame):
      count += 1
      shown = av.VideoFrame.from_ndarray(
        _even(display.image(frame, aspect)), format="rgb24"
      )
      shown.pts, shown.time_base = frame.pts - shift, frame.time_base
      target.mux(picture.encode(shown))
    elif sound is not None:
      frame.pts -= shift
      target.mux(sound.encode(frame))
  for stream in filter(None, (picture, sound)):
    # A clip of no frame never began to encode.
    if count:
      target.mux(stream.encode(None))
  return count


def _frames(source, streams, end: float) -> Iterator[av.frame.Frame]:
  """Frames of the streams as they come, until all are past `end`."""
  over = set()
  for packet in source.demux(streams):
    try:
      frames = packet.decode()
    except av.FFmpegError:
      continue  # What is damaged is left out.
    for frame in frames:
      if frame.time is not None and frame.time >= end:
        over.add(packet.stream_index)
      yield frame
    if len(over) == len(streams):
      return
