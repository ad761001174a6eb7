"""Features instead of frames: made by an image tower, or by others before.

Files others made are read without running anything they hold: `.npy` and
`.npz` without pickles, `.pt` by a reader of plain tensors, HDF5 as arrays.
"""

import dataclasses
import importlib
import io
import os
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from data_preprocessing import feature_files, tfrecord
from data_preprocessing.examples import Draft, describe
from data_preprocessing.jobs import BuildError, Settings, VideoJob
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.jpeg import jpegs
from unloc_jax.media.video import FrameStream

Beat = Callable[[], None]
# Where the image towers are; imported by name so that preprocessing can be
# installed and run without the models.
_TOWERS = "unloc_jax.embed"


class Embedder(Protocol):
  """An image tower that turns frames into vectors.

  Attributes:
    width: Channels D of a vector.
    short_side: Shorter side of the frames it wants, in pixels.
    batch: Frames of a call to `embed`.
    tower_hash: Names the architecture and the weights.
    normalisation: What it does to pixels and vectors, for the manifest.
  """

  @property
  def width(self) -> int: ...

  @property
  def short_side(self) -> int: ...

  @property
  def batch(self) -> int: ...

  @property
  def tower_hash(self) -> str: ...

  @property
  def normalisation(self) -> str: ...

  def embed(self, frames: np.ndarray) -> np.ndarray:
    """Maps uint8 [B, H, W, 3] RGB to float32 [B, D].

    B is `batch` in every call but the last of a video; H and W are those of
    the video.
    """


_LOADED: dict[str, Embedder] = {}


def embedder(checkpoint: str) -> Embedder:
  """Returns the tower of a checkpoint, loaded once in this process.

  Raises:
    BuildError: No tower can be loaded.
  """
  if checkpoint not in _LOADED:
    # Several workers share a device: none may take all of its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
      module = importlib.import_module(_TOWERS)
    except ImportError as error:
      raise BuildError(
        f"--checkpoint {checkpoint}: {_TOWERS} cannot be imported ({error});"
        " install unloc_jax, or import features others made"
      ) from error
    try:
      _LOADED[checkpoint] = module.load_embedder(checkpoint)
    except (ValueError, OSError) as error:
      raise BuildError(f"--checkpoint {error}") from error
  return _LOADED[checkpoint]


def features_example(job: VideoJob, settings: Settings, beat: Beat) -> Draft:
  """Returns an example of embeddings [N, D], one a position.

  Raises:
    VideoError: The video or its file of features cannot be used.
  """
  damaged = 0.0
  if settings.checkpoint:
    stream = FrameStream(
      job.path,
      settings.frame_rate,
      settings.short_side,
      threads=1,
      max_damaged=settings.max_damaged,
      need_duration=settings.need_duration,
      hold_until=job.annotation.duration or 0.0,
    )
    values = _embedded(stream, settings, beat)
    duration, damaged = stream.duration, stream.damaged
  else:
    values = feature_files.read(job.path)
    duration = _duration(job, settings, len(values))
  if values.shape[1] != settings.embedding_width:
    raise VideoError(
      Reason.FEATURES,
      f"{values.shape[1]} channels, the dataset has"
      f" {settings.embedding_width}: made by another extractor?",
    )
  if not np.isfinite(values).all():
    raise VideoError(Reason.FEATURES, "not all numbers are finite")
  draft = describe(job, settings, duration, len(values))
  draft.features["embeddings"] = tfrecord.floats(values)
  draft.outcome = dataclasses.replace(
    draft.outcome, width=values.shape[1], damaged=damaged
  )
  return draft


def _duration(job: VideoJob, settings: Settings, count: int) -> float:
  """Returns the seconds a file of `count` features covers."""
  annotated = job.annotation.duration
  covered = count / settings.frame_rate
  if annotated is None:
    return covered
  # Extractors leave out up to a window's length at the end.
  if abs(covered - annotated) > max(2.0, 0.1 * annotated):
    raise VideoError(
      Reason.FEATURES,
      f"{count} features at {settings.frame_rate:g} a second are"
      f" {covered:.1f} s, the video is {annotated:.1f} s; give the rate they"
      " were made at by --frame_rate",
    )
  return annotated


def _embedded(
  stream: FrameStream, settings: Settings, beat: Beat
) -> np.ndarray:
  """Runs the tower over a video; returns float32 [N, D].

  It sees frames as they would have been stored, JPEG and all, so that it
  makes no difference whether frames or features are stored. A frame shown at
  several positions is embedded once.
  """
  tower = embedder(settings.checkpoint)
  vectors: list[np.ndarray] = []
  batch: list[np.ndarray] = []
  shown: list[int] = []
  last = b""

  def flush() -> None:
    if not batch:
      return
    try:
      vectors.append(np.asarray(tower.embed(np.stack(batch)), np.float32))
    except RuntimeError as error:
      # Not the video's fault: the device is out of memory, say.
      raise BuildError(
        f"--checkpoint {settings.checkpoint}: the tower failed on"
        f" {np.stack(batch).shape} ({str(error).splitlines()[0]}); give fewer"
        " --workers"
      ) from error
    batch.clear()

  count = 0
  for jpeg in jpegs(stream, settings.jpeg_quality):
    beat()
    if jpeg is not last:
      last = jpeg
      batch.append(np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")))
      count += 1
      if len(batch) == tower.batch:
        flush()
    shown.append(count - 1)
  flush()
  made = np.concatenate(vectors)
  return made if count == len(shown) else made[shown]


def width(jobs: Sequence[VideoJob], settings: Settings) -> int:
  """Returns the channels of the features that are to be stored.

  Raises:
    BuildError: None of the files can be read.
  """
  if settings.checkpoint:
    return embedder(settings.checkpoint).width
  fault = "none was found"
  for job in jobs:
    try:
      return int(feature_files.read(job.path).shape[1])
    except VideoError as error:
      fault = f"{job.name}: {error}"
  raise BuildError(f"--videos: no file of features can be read; {fault}")
