"""A video file -> windows of the pixels that evaluation would see.

Frames go through what a built dataset does to them: the same rate, size and
JPEG compression, then the same crop.
"""

import dataclasses
import io
import os
from collections.abc import Callable, Iterator

import ml_collections
import numpy as np
from PIL import Image

from unloc_jax.data.manifest import Source
from unloc_jax.media import resizing
from unloc_jax.use import windows

Advance = Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Clip:
  """What the model is shown of a window.

  Attributes:
    inputs: uint8 [T, H, W, 3] frames, or float32 [T, D] embeddings.
    frame_mask: bool [T].
    start: Seconds since the start of the video.
    duration: Seconds.
    frame_count: N, frames it was sampled from.
  """

  inputs: np.ndarray
  frame_mask: np.ndarray
  start: float
  duration: float
  frame_count: int


def read_clips(
  path: str | os.PathLike[str],
  source: Source,
  data: ml_collections.ConfigDict,
  window_seconds: float,
  advance: Advance = lambda seconds: None,
) -> Iterator[Clip]:
  """Windows of a video file; no more than one is held at a time.

  Args:
    path: The video.
    source: How frames are extracted.
    data: `config.data`: how they are sampled and cropped.
    window_seconds: Length of a window.
    advance: Told the seconds read so far, now and then.

  Raises:
    ValueError: It is not a video that can be read; the message says why.
  """
  # Reading videos is an extra; all else works without.
  from unloc_jax.media.errors import Reason, VideoError
  from unloc_jax.media.jpeg import jpegs
  from unloc_jax.media.video import FrameStream

  stream = FrameStream(path, source.frame_rate, source.short_side)
  length = windows.length_in_frames(window_seconds, source.frame_rate)

  def told(frames: Iterator[bytes]) -> Iterator[bytes]:
    for frame in frames:
      advance(stream.frame_count / source.frame_rate)
      yield frame

  frames = told(jpegs(stream, source.jpeg_quality))
  try:
    for window in windows.cut(frames, length):
      start = window.first / source.frame_rate
      end = window.first + len(window.frames)
      end_seconds = (
        stream.duration if window.is_last else end / source.frame_rate
      )
      index, mask = _sample(len(window.frames), source, data)
      pixels = _pixels(window.frames, index, data)
      yield Clip(pixels, mask, start, end_seconds - start, len(window.frames))
  except VideoError as error:
    again = error.reason in (Reason.TRUNCATED, Reason.DAMAGED)
    advice = "copy it again from its source" if again else "give another file"
    raise ValueError(f"{os.fspath(path)}: {error}; {advice}") from error


def cut_features(
  features: np.ndarray,
  duration: float | None,
  source: Source,
  data: ml_collections.ConfigDict,
  window_seconds: float,
) -> Iterator[Clip]:
  """Windows of a video's features, float32 [N, D] at `source.frame_rate`."""
  rate = source.frame_rate
  length = windows.length_in_frames(window_seconds, rate)
  whole = len(features) / rate if duration is None else duration
  for window in windows.cut(iter(features), length):
    end = (window.first + len(window.frames)) / rate
    end = whole if window.is_last else end
    start = window.first / rate
    index, mask = _sample(len(window.frames), source, data)
    chosen = np.stack(window.frames)[index] * mask[:, None]
    yield Clip(
      chosen.astype(np.float32), mask, start, end - start, len(window.frames)
    )


def _sample(count, source, data):
  return windows.sample(
    count, source.frame_rate, data.num_frames, data.sampling, data.rate
  )


def _pixels(
  images: list[bytes], index: np.ndarray, data: ml_collections.ConfigDict
) -> np.ndarray:
  """JPEG images at the sampled places, cropped, uint8 [T, H, W, 3]."""
  needed, place = np.unique(index, return_inverse=True)
  frames = np.stack(
    [
      np.asarray(Image.open(io.BytesIO(images[i])).convert("RGB"))
      for i in needed
    ]
  )
  return resizing.centre(frames, data.image_size, data.short_side)[place]
