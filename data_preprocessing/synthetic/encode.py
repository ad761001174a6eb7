"""Renders a scene to a real video file: H.264 in mp4."""

import dataclasses
import os
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np

from data_preprocessing.synthetic import render, scenes
from data_preprocessing.synthetic.random_scenes import choice
from unloc_jax import files
from unloc_jax.media.sound import RATE

FRAME_RATES = tuple(map(Fraction, ("8", "10", "12000/1001", "25/2", "15")))
# Height over width: as the phone, the camera and the square see it.
_ASPECTS = tuple(map(Fraction, ("1", "3/4", "9/16", "4/3", "16/9")))
_SHORT_SIDES = (40, 48, 56, 64)
_VFR_SHARE = 0.15
_ROTATED_SHARE = 0.15
_VFR_DROPPED = 0.3  # Share of the frames which a VFR video lacks.
_TIME_BASE = Fraction(1, 120000)  # A whole number of ticks at every rate above.


@dataclasses.dataclass(frozen=True)
class Format:
  """How a scene is filmed."""

  height: int  # Pixels, as shown; so is the width
  width: int
  frame_rate: Fraction  # Frames per second; the nominal one of a VFR video
  variable: bool  # Whether frames are missing at random
  rotation: int  # Degrees clockwise by which a player turns the stored frames


def draw_format(seed: int) -> Format:
  """Draws frame size, aspect, rate, VFR and rotation of a video."""
  rng = np.random.default_rng([seed, 4])
  short = choice(rng, _SHORT_SIDES)
  aspect = choice(rng, _ASPECTS)
  # H.264 in 4:2:0 needs even sides.
  long = 2 * round(short * max(aspect, 1 / aspect) / 2)
  rotated = rng.random() < _ROTATED_SHARE
  return Format(
    height=long if aspect > 1 else short,
    width=short if aspect > 1 else long,
    frame_rate=choice(rng, FRAME_RATES),
    variable=bool(rng.random() < _VFR_SHARE),
    rotation=int(rng.choice((90, 180, 270))) if rotated else 0,
  )


def frame_times(scene: scenes.Scene, form: Format) -> list[Fraction]:
  """Seconds at which the frames of a video are shown; the first is 0."""
  count = max(1, int(np.ceil(scene.duration * form.frame_rate)))
  kept = np.ones(count, bool)
  if form.variable:
    rng = np.random.default_rng([scene.seed, 5])
    kept = rng.random(count) >= _VFR_DROPPED
    # The first says when the video starts, the last how long it is.
    kept[[0, -1]] = True
  return [i / form.frame_rate for i in range(count) if kept[i]]


def write_video(
  scene: scenes.Scene,
  form: Format,
  path: str | os.PathLike[str],
  sound: np.ndarray | None = None,
) -> None:
  """Renders and encodes an mp4, which appears only when it is whole."""
  draw = render.Renderer(scene, form.height, form.width)
  images = ((time, draw(float(time))) for time in frame_times(scene, form))
  size = (form.height, form.width)
  write_frames(images, size, form.frame_rate, path, form.rotation, sound)


def write_frames(
  images: Iterable[tuple[Fraction, np.ndarray]],
  size: tuple[int, int],
  frame_rate: Fraction,
  path: str | os.PathLike[str],
  rotation: int = 0,
  sound: np.ndarray | None = None,
) -> None:
  """Encodes an mp4, which appears only when it is whole.

  Images are the second and uint8 RGB [H, W, 3] of every frame, and size is
  (height, width), as shown; a player turns what is stored by `rotation`
  degrees clockwise. Sound is float32 [N] at 16 kHz.
  """
  turns = rotation // 90
  height, width = size if turns % 2 == 0 else reversed(size)
  with (
    files.replacing(path) as beside,
    av.open(os.fspath(beside), "w", format="mp4") as container,
  ):
    options = {"preset": "ultrafast", "crf": "18"}
    stream = container.add_stream("libx264", rate=frame_rate, options=options)
    stream.width, stream.height = width, height
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1  # The same bytes on every machine.
    stream.codec_context.time_base = _TIME_BASE
    if rotation:
      stream.set_display_rotation(-rotation)  # It counts the other way.
    if sound is not None:
      track = container.add_stream("aac", rate=RATE, layout="mono")
    for time, image in images:
      # Stored turned back by what the player will turn forward.
      pixels = np.ascontiguousarray(np.rot90(image, turns))
      frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
      frame.pts = int(time / _TIME_BASE)
      frame.time_base = _TIME_BASE
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    if sound is not None:
      heard = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
      heard.sample_rate, heard.pts = RATE, 0
      container.mux(track.encode(heard))
      container.mux(track.encode(None))
