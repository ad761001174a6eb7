"""Tiny videos that say, in every frame, which frame it is."""

import fractions
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import av
import numpy as np
import pytest

from unloc_jax.media.errors import VideoError
from unloc_jax.media.video import FrameStream

BITS = 8
TIMES = [i / 25 for i in range(150)]


def noise(count: int) -> np.ndarray:
  """Frames that no codec makes small, uint8 [count, 48, 64, 3]."""
  draw = np.random.default_rng(0)
  return draw.integers(0, 255, (count, 48, 64, 3), np.uint8)


def count(path: pathlib.Path) -> int:
  """How many frames are read at 25 a second."""
  return len(list(FrameStream(path, 25, 0)))


def fault(path: pathlib.Path | str) -> VideoError:
  """What reading a file says, in one line."""
  with pytest.raises(VideoError) as caught:
    list(FrameStream(path, 25, 0))
  assert "\n" not in str(caught.value)
  return caught.value


def numbered_frame(number: int, width: int, height: int) -> np.ndarray:
  """Returns uint8 [H, W, 3]: eight bars, white where a bit of number is 1."""
  edges = np.linspace(0, width, BITS + 1).astype(int)
  image = np.zeros((height, width, 3), np.uint8)
  for bit in range(BITS):
    image[:, edges[bit] : edges[bit + 1]] = 255 * (number >> bit & 1)
  return image


def _read_number(image: np.ndarray) -> int:
  edges = np.linspace(0, image.shape[1], BITS + 1).astype(int)
  bars = [
    image[:, edges[bit] : edges[bit + 1]].mean() > 128 for bit in range(BITS)
  ]
  return sum(int(on) << bit for bit, on in enumerate(bars))


@pytest.fixture(scope="session")
def read_number() -> Callable[[np.ndarray], int]:
  """Reads back the number that a frame shows."""
  return _read_number


@pytest.fixture(scope="session")
def film() -> Callable[..., pathlib.Path]:
  """Writes a video whose frame i, shown from times[i] seconds on, shows i."""

  def write(
    path: pathlib.Path,
    times: Sequence[float],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    base: int = 1000,
    rate: int = 25,
    images: Sequence[np.ndarray] | None = None,
    options: dict[str, str] | None = None,
    sound: bool = False,
    sound_first: bool = False,
    sounds: Sequence[tuple[str, int]] = (("aac", 8000),),
    container_options: dict[str, str] | None = None,
  ) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options) as container:
      tracks = []
      if sound_first:
        tracks = [container.add_stream(c, rate=r) for c, r in sounds]
      stream = container.add_stream(codec, rate=rate, options=options or {})
      stream.width, stream.height = size
      stream.pix_fmt = pix_fmt
      stream.codec_context.time_base = fractions.Fraction(1, base)
      if sound and not sound_first:
        tracks = [container.add_stream(c, rate=r) for c, r in sounds]
      for i, time in enumerate(times):
        image = numbered_frame(i, *size) if images is None else images[i]
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = round(time * base)
        frame.time_base = fractions.Fraction(1, base)
        container.mux(stream.encode(frame))
      container.mux(stream.encode())
      for track in tracks:
        _hum(container, track, times[-1])
    return path

  return write


def _hum(container: Any, track: Any, seconds: float) -> None:
  for start in range(0, int(seconds * track.rate), 1024):
    quiet = np.zeros((1, 1024), np.float32)
    frame = av.AudioFrame.from_ndarray(quiet, format="fltp", layout="mono")
    frame.sample_rate = track.rate
    frame.pts = start
    container.mux(track.encode(frame))
  container.mux(track.encode())
