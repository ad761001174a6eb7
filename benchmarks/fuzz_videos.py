"""Small videos with random bytes in their heads: frames, or one line, in time.

Called by `python -m benchmarks.fuzz --what video`.
"""

import fractions
import pathlib
import random

import av
import numpy as np

from benchmarks.fuzz_targets import Target
from unloc_jax.media.errors import VideoError
from unloc_jax.media.pool import Pool
from unloc_jax.media.video import FrameStream

# Ending -> codecs of picture and sound, options of the container.
_KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
  "mp4": ("libx264", "aac", {"movflags": "faststart"}),
  "fragments.mp4": ("libx264", "aac", {"movflags": "frag_keyframe+empty_moov"}),
  "mov": ("mpeg4", "pcm_s16le", {"movflags": "faststart"}),
  "mkv": ("libx264", "aac", {}),
  "webm": ("libvpx", "libopus", {}),
  "live.webm": ("libvpx", "libopus", {"live": "1"}),
  "avi": ("mpeg4", "mp2", {}),
  "ts": ("libx264", "aac", {}),
  "m2ts": ("libx264", "aac", {}),
  "mpg": ("mpeg2video", "mp2", {}),
  "flv": ("flv", "aac", {}),
  "wmv": ("wmv2", "mp2", {}),
  "gif": ("gif", "", {}),
}
_HEAD_BYTES = 4096
_SECONDS = 20.0  # Of one case.
_LONGEST = 600  # Seconds of video.


def _film(path: pathlib.Path, kind: str) -> bytes:
  """A second of noise, with sound."""
  codec, sound, options = _KINDS[kind]
  rng = np.random.default_rng(0)
  with av.open(str(path), "w", options=options) as film:
    picture = film.add_stream(codec, rate=25)
    picture.width, picture.height = 64, 48
    picture.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
    track = film.add_stream(sound, rate=48000) if sound else None
    for number in range(25):
      image = rng.integers(0, 255, (48, 64, 3), np.uint8)
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = number, fractions.Fraction(1, 25)
      film.mux(picture.encode(frame))
    film.mux(picture.encode(None))
    if track is not None:
      samples = rng.uniform(-1, 1, (1, 48000)).astype(np.float32)
      heard = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
      heard.sample_rate, heard.pts = 48000, 0
      film.mux(track.encode(heard))
      film.mux(track.encode(None))
  return path.read_bytes()


def mutate(data: bytes, rng: random.Random) -> bytes:
  """Changes up to 40 bytes of the head, or puts some in, or cuts the end."""
  changed = bytearray(data)
  for _ in range(rng.choice((1, 2, 5, 40))):
    place = rng.randrange(min(_HEAD_BYTES, len(changed)))
    changed[place] = rng.choice((0, 255, rng.randrange(256)))
  if rng.random() < 0.1:
    place = rng.randrange(min(_HEAD_BYTES, len(changed)))
    changed[place:place] = rng.randbytes(rng.randrange(1, 64))
  if rng.random() < 0.2:
    del changed[rng.randrange(len(changed)) :]
  return bytes(changed)


def _fault(path: str) -> str:
  """Reads a video; what was wrong, if anything was. Raises VideoError."""
  stream = FrameStream(path, 10, 32, max_seconds=_LONGEST)
  try:
    count = sum(1 for _ in stream)
  except VideoError:
    raise
  except Exception as error:  # That there is none is what is tested.
    return repr(error)
  is_sound = 0 < count == stream.frame_count and stream.duration > 0
  return "" if is_sound else f"{count} frames, {stream.duration} s"


def targets(pool: Pool, place: pathlib.Path) -> dict[str, Target]:
  """Films of every kind, made in a folder, that a process reads."""

  def target(kind: str) -> Target:
    name = f"case.{kind}"

    def run(folder: pathlib.Path) -> None:
      fault = pool.run(_fault, str(folder / name), seconds=_SECONDS)
      assert not fault, fault

    return Target({name: _film(place / name, kind)}, run, VideoError)

  return {kind: target(kind) for kind in _KINDS}
