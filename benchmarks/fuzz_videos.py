"""Small videos with random bytes in their heads: frames, or one line, in time.

Called by `python -m benchmarks.fuzz --what video --cases 5000`.
"""

import collections
import fractions
import pathlib
import random
import tempfile

import av
import numpy as np
import tqdm

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


def _mutated(data: bytes, rng: random.Random) -> bytes:
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


def _outcome(path: str) -> str:
  """Reads a video; "read", the reason of a refusal, or what went wrong."""
  stream = FrameStream(path, 10, 32, max_seconds=_LONGEST)
  try:
    count = sum(1 for _ in stream)
  except VideoError as error:
    return f"wrong: {error!r}" if "\n" in str(error) else str(error.reason)
  except Exception as error:  # That there is none is what is tested.
    return f"wrong: {type(error).__name__}: {error}"
  is_sound = 0 < count == stream.frame_count and stream.duration > 0
  return "read" if is_sound else f"wrong: {count} frames, {stream.duration} s"


def video_headers(cases: int, seed: int) -> int:
  """Runs all cases; prints counts and what went wrong; returns how many did."""
  ends: collections.Counter[str] = collections.Counter()
  with tempfile.TemporaryDirectory() as place, Pool(1, memory_gib=4) as pool:
    folder = pathlib.Path(place)
    films = {kind: _film(folder / f"whole.{kind}", kind) for kind in _KINDS}
    for number in tqdm.trange(cases, desc="video", mininterval=5):
      key = f"video-{seed}-{number}"
      rng = random.Random(key)
      kind = rng.choice(sorted(films))
      path = folder / f"case.{kind}"
      path.write_bytes(_mutated(films[kind], rng))
      try:
        end = pool.run(_outcome, str(path), seconds=_SECONDS)
      except VideoError as error:  # It hung, crashed or took all memory.
        end = str(error.reason)
      ends[f"{key}, {kind}: {end}" if end.startswith("wrong") else end] += 1
  wrong = [text for text in ends if ": wrong" in text]
  for text, count in ends.most_common():
    print(f"{count:6} {text[:300]}")
  return len(wrong)
