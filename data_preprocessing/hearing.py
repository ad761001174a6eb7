"""The sound of a video as rows, one at every stored position."""

import dataclasses

import numpy as np

from data_preprocessing.examples import Draft, describe
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.media import extractors, sound
from unloc_jax.media.errors import Reason, VideoError

# What an example holds of it, beside or in place of its pictures.
ARRAYS = ("sound", "sound_heard")
# A file of sound alone may be any of these; a video is one, too.
_KINDS = "wav flac mp3 ogg oga opus m4a aac wma aiff"
EXTENSIONS = tuple(f".{kind}" for kind in _KINDS.split())


def completed(settings: Settings) -> Settings:
  """Adds what only the extractor can tell. Raises BuildError."""
  extractor = _extractor(settings)
  return dataclasses.replace(
    settings, sound_width=extractor.width, sound_hash=extractor.digest
  )


def _extractor(settings: Settings) -> extractors.Extractor:
  try:
    return extractors.open_extractor(settings.sound, settings.frame_rate)
  except ValueError as error:
    raise BuildError(f"--sound {error}") from error


def sound_example(job: VideoJob, settings: Settings) -> Draft:
  """Returns the example of a file's sound alone, with its ARRAYS.

  Raises VideoError where it holds none.
  """
  heard = sound.read(job.path)
  duration = max(heard.duration, job.annotation.duration or 0.0)
  if duration > heard.duration + 1.0:
    raise VideoError(
      Reason.TRUNCATED,
      f"{heard.duration:.2f} s heard of {duration:.2f} s annotated",
    )
  extractor = _extractor(settings)
  count = extractor.count(duration)
  example, made = describe(job, settings, duration, count)
  return {**example, **_arrays(extractor, heard, count)}, made


def _arrays(
  extractor: extractors.Extractor, heard: sound.Sound, count: int
) -> dict[str, np.ndarray]:
  return dict(zip(ARRAYS, extractor.rows(heard, count), strict=True))


def beside(
  job: VideoJob, settings: Settings, count: int
) -> dict[str, np.ndarray]:
  """Returns the ARRAYS of a video of `count` positions.

  Where there is no sound, or none that can be read, nothing is heard: the
  picture is there all the same.
  """
  try:
    heard = sound.read(job.path)
  except VideoError:
    heard = sound.Sound(np.zeros(0, np.float32), np.zeros((0, 2), np.int64))
  return _arrays(_extractor(settings), heard, count)
