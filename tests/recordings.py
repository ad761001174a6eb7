"""Recordings made for a test: tones at known times in any container."""

import av
import numpy as np
import pytest

from unloc_jax.media.sound import RATE

CODECS = {
  "wav": "pcm_s16le",
  "flac": "flac",
  "mp3": "libmp3lame",
  "ogg": "libopus",
  "m4a": "aac",
  "mkv": "pcm_s16le",
  "mp4": "aac",
}


def tone(seconds, hertz=440.0, rate=RATE, level=0.5):
  """A sine, float32 [N]."""
  time = np.arange(round(seconds * rate)) / rate
  return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def beeps(duration, spans, hertz=440.0, rate=RATE):
  """Silence of so many seconds with a tone in each of `spans`."""
  out = np.zeros(round(duration * rate), np.float32)
  for start, end in spans:
    beep = tone(end - start, hertz, rate)
    first = round(start * rate)
    out[first : first + len(beep)] = beep[: len(out) - first]
  return out


def record(path, pieces, rate=48_000, layout="stereo", picture=None):
  """Writes pieces (seconds, samples) of sound, at `rate`, and pictures.

  `picture` is (seconds, frames a second) of grey pictures, if any. Pieces are
  laid where they say, whatever lies between.
  """
  kind = path.suffix[1:]
  with av.open(str(path), "w") as out:
    video = None
    if picture is not None:
      video = out.add_stream("libx264", rate=picture[1])
      video.width = video.height = 32
      video.pix_fmt = "yuv420p"
    sound = out.add_stream(CODECS[kind], rate=rate, layout=layout)
    if video is not None:
      image = np.full((32, 32, 3), 128, np.uint8)
      for i in range(round(picture[0] * picture[1])):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = i
        out.mux(video.encode(frame))
      out.mux(video.encode(None))
    size = sound.codec_context.frame_size or 1024
    channels = sound.codec_context.channels
    for seconds, samples in pieces:
      first = round(seconds * rate)
      for at in range(0, len(samples), size):
        part = np.stack([samples[at : at + size]] * channels)
        frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
        frame.sample_rate, frame.pts = rate, first + at
        resampled = av.AudioResampler(
          sound.codec_context.format.name, layout, rate
        ).resample(frame)
        for each in resampled:
          each.pts = first + at
          out.mux(sound.encode(each))
    out.mux(sound.encode(None))
  return path


@pytest.fixture
def sound_file(tmp_path):
  """Makes a file: (name, pieces, ...) -> path, see `record`."""

  def make(name, pieces, **options):
    return record(tmp_path / name, pieces, **options)

  return make
