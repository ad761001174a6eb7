"""The frames of a video file as a built dataset stores them.

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
from collections.abc import Iterator

from unloc_jax.data.manifest import Source
from unloc_jax.media.errors import Reason, VideoError
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
  """What decoding a video may take.

  Attributes:
    stall_seconds: Without a new frame.
    seconds: In all.
    memory_gib: Address space beyond what Python's libraries take, or any.
    video_seconds: Length of the video.
  """

  stall_seconds: float = 120.0
  seconds: float = math.inf
  memory_gib: float | None = None
  video_seconds: float = math.inf


DEFAULT_LIMITS = Limits()


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
    name, limits = os.fspath(path), self._limits
    with tempfile.TemporaryDirectory(prefix="unloc_frames_") as folder:
      file = os.path.join(folder, "frames.zip")
      try:
        duration, remarks = self._pool.run(
          _decode,
          *(name, file, self._source, limits.video_seconds),
          stall_seconds=limits.stall_seconds,
          seconds=limits.seconds,
        )
      except VideoError as error:
        advice = _ADVICE.get(error.reason, "give another file")
        raise ValueError(f"{name}: {error}; {advice}") from error
      except (OSError, PoolError) as error:
        raise ValueError(f"{name}: {error}; try again") from error
      for remark in remarks:
        logging.getLogger(__name__).warning("%s: %s", name, remark)
      with zipfile.ZipFile(file) as archive:
        yield map(archive.read, archive.infolist()), duration


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
