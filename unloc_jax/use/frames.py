"""The frames and the sound of a file as a built dataset stores them.

A process of its own decodes them: a file that makes a decoder hang, crash or
ask for all memory costs its video alone. No JAX here, so that the process
starts in a moment.
"""

import contextlib
import dataclasses
import logging
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from unloc_jax.data.manifest import Source
from unloc_jax.media import sound
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.extractors import Extractor
from unloc_jax.media.jpeg import jpegs
from unloc_jax.media.pool import Pool, PoolError
from unloc_jax.media.video import FrameStream

_ADVICE = {
  Reason.TRUNCATED: "copy it again from its source",
  Reason.DAMAGED: "copy it again from its source",
  Reason.TOO_LARGE: "make it smaller",
  Reason.TOO_LONG: "cut it",
  Reason.STALLED: "cut it shorter or make it smaller",
}


@dataclasses.dataclass(frozen=True)
class Limits:
  """What decoding a video may take."""

  stall_seconds: float = 120.0  # Without a new frame
  seconds: float = math.inf  # In all
  memory_gib: float | None = None  # Beyond what Python's libraries take
  video_seconds: float = math.inf  # Length of the video


DEFAULT_LIMITS = Limits()
_SOUND = ("rows.npy", "heard.npy")
Made = TypeVar("Made")


class Heard(NamedTuple):
  """The sound of a file, at the positions of the model's clock."""

  rows: np.ndarray  # float32 [N, W]; on disk
  mask: np.ndarray  # bool [N], False where the file holds nothing
  duration: float  # Seconds


class Decoder:
  """Decodes videos, one at a time, in a process that starts with the first.

  Frames have the rate, size and compression of `source`.
  """

  def __init__(self, source: Source, limits: Limits):
    self._source = source
    self._limits = limits
    self._pool = Pool(1, limits.memory_gib)
    self.close = self._pool.close

  @contextlib.contextmanager
  def frames(
    self, path: str | os.PathLike[str]
  ) -> Iterator[tuple[Iterator[bytes], float]]:
    """Gives a video's frames in JPEG, which wait on disk, and its seconds.

    ValueError says why it cannot be decoded within the limits.
    """
    with tempfile.TemporaryDirectory(prefix="unloc_frames_") as folder:
      file = os.path.join(folder, "frames.zip")
      duration, remarks = self._run(path, _decode, file, self._source)
      for remark in remarks:
        logging.getLogger(__name__).warning("%s: %s", os.fspath(path), remark)
      with zipfile.ZipFile(file) as archive:
        yield map(archive.read, archive.infolist()), duration

  @contextlib.contextmanager
  def sound(
    self, path: str | os.PathLike[str], extractor: Extractor
  ) -> Iterator[Heard]:
    """Gives a file's sound, whose rows wait on disk; errors as of `frames`."""
    with tempfile.TemporaryDirectory(prefix="unloc_sound_") as folder:
      duration = self._run(path, _hear, folder, extractor)
      rows, mask = (os.path.join(folder, name) for name in _SOUND)
      yield Heard(np.load(rows, mmap_mode="r"), np.load(mask), duration)

  def _run(
    self,
    path: str | os.PathLike[str],
    function: Callable[..., Made],
    *args: Any,
  ) -> Made:
    """Calls function(path, *args, most seconds) in the process."""
    name, limits = os.fspath(path), self._limits
    try:
      return self._pool.run(
        function,
        *(name, *args, limits.video_seconds),
        stall_seconds=limits.stall_seconds,
        seconds=limits.seconds,
      )
    except VideoError as error:
      advice = _ADVICE.get(error.reason, "give another file")
      raise ValueError(f"{name}: {error}; {advice}") from error
    except OSError as error:
      raise ValueError(
        f"{name}: what is decoded waits in {tempfile.gettempdir()} ({error}); "
        "make room there, or set TMPDIR"
      ) from error
    except PoolError as error:
      raise ValueError(f"{name}: {error}; try again") from error


def _decode(
  path: str, out: str, source: Source, most: float
) -> tuple[float, tuple[str, ...]]:
  """Writes a video's frames to a zip file; returns its seconds, remarks."""
  stream = FrameStream(
    path, source.frame_rate, source.short_side, max_seconds=most
  )
  with zipfile.ZipFile(out, "w") as archive:
    for number, jpeg in enumerate(jpegs(stream, source.jpeg_quality)):
      archive.writestr(f"{number}.jpg", jpeg)
  return stream.duration, stream.remarks


def _hear(path: str, folder: str, extractor: Extractor, most: float) -> float:
  """Leaves a file's sound in a folder; returns its seconds."""
  samples = os.path.join(folder, "samples.f32")
  heard = sound.load(samples, sound.write(path, samples, most))
  made = extractor.rows(heard, extractor.count(heard.duration))
  for name, array in zip(_SOUND, made, strict=True):
    np.save(os.path.join(folder, name), array)
  return heard.duration
