"""Cuts moments out of a video file, picture and sound."""

import os
import pathlib
from collections.abc import Iterator

import av

_SOUND = "aac"
_PICTURE = "libx264"


def cut_clip(
  path: str | os.PathLike[str], out: pathlib.Path, start: float, end: float
) -> None:
  """Writes the part of a video between two times as an mp4.

  It is encoded anew, so that it begins exactly at `start`, and not at the
  nearest frame a copy could begin with. Written beside, then renamed.

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
    # A playlist would make libav open whatever files it names.
    with av.open(
      f"file:{os.fspath(path)}", options={"protocol_whitelist": "file"}
    ) as source:
      origin = (source.start_time or 0) / av.time_base
      source.seek(max(0, round((origin + start) * av.time_base)))
      with av.open(str(beside), "w", format="mp4") as target:
        count = _copy(source, target, origin + start, origin + end)
  except av.FFmpegError as error:
    beside.unlink(missing_ok=True)
    raise ValueError(f"{os.fspath(path)}: cannot be cut ({error})") from error
  if not count:
    beside.unlink(missing_ok=True)
    raise ValueError(
      f"{os.fspath(path)}: no frame is shown from {start:.2f} to {end:.2f} s"
    )
  beside.rename(out)


def _copy(source, target, start: float, end: float) -> int:
  """Encodes what is shown and heard in [start, end); counts the pictures."""
  video = source.streams.video[0]
  picture = target.add_stream(_PICTURE, rate=video.average_rate or 25)
  # libx264 takes whole pairs of pixels.
  picture.width = video.codec_context.width // 2 * 2
  picture.height = video.codec_context.height // 2 * 2
  picture.pix_fmt = "yuv420p"
  picture.time_base = picture.codec_context.time_base = video.time_base
  streams = [video]
  sound = None
  if source.streams.audio:
    streams.append(source.streams.audio[0])
    sound = target.add_stream(_SOUND, rate=streams[1].rate)
  count = 0
  for frame in _frames(source, streams, end):
    if frame.time is None or not start <= frame.time < end:
      continue
    assert frame.pts is not None
    assert frame.time_base is not None
    frame.pts -= round(start / frame.time_base)
    if isinstance(frame, av.VideoFrame):
      count += 1
      frame.pict_type = av.video.frame.PictureType.NONE
      shown = frame.reformat(picture.width, picture.height, "yuv420p")
      target.mux(picture.encode(shown))
    elif sound is not None:
      target.mux(sound.encode(frame))
  for stream in filter(None, (picture, sound)):
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
