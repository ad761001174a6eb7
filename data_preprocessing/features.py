"""Features instead of frames: made by an image tower, or by others before."""

import dataclasses
import functools
import io
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data_preprocessing.examples import Draft, describe, open_stream
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.jpeg import jpegs
from unloc_jax.media.video import FrameStream
from unloc_jax.weights import feature_files

if TYPE_CHECKING:
  from unloc_jax.weights.image_embedder import TowerEmbedder


@functools.cache
def embedder(checkpoint: str) -> "TowerEmbedder":
  """Returns the tower of a checkpoint, loaded once. Raises BuildError."""
  # Several workers share a device: none may take all of its memory.
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
  # Decoding needs no JAX, and its processes start faster without.
  from unloc_jax.weights.image_embedder import load_embedder

  try:
    return load_embedder(checkpoint)
  except (ValueError, OSError) as error:
    raise BuildError(f"--checkpoint {error}") from error


def completed(
  settings: Settings, jobs: Sequence[VideoJob], fault: str
) -> Settings:
  """Adds to the settings what only the tower or the files can tell.

  Raises BuildError where none of the files can be read; `fault` says why, where
  none is there.
  """
  if settings.checkpoint:
    tower = embedder(settings.checkpoint)
    return dataclasses.replace(
      settings,
      embedding_width=tower.width,
      tower_hash=tower.tower_hash,
      normalisation=tower.normalisation,
    )
  for job in jobs:
    try:
      made = map(feature_files.read, (job.path, *job.beside))
      widths = [rows.shape[1] for rows in made]
      return dataclasses.replace(
        settings,
        embedding_width=sum(widths),
        normalisation=feature_files.done(widths) or settings.normalisation,
      )
    except VideoError as error:
      fault = f"{job.name}: {error}"
  raise BuildError(f"--videos: no file of features can be read; {fault}")


def features_example(job: VideoJob, settings: Settings) -> Draft:
  """Returns an example with embeddings, float32 [N, D], one a position.

  Raises:
    VideoError: The video or its file of features cannot be used.
    BuildError: The tower fails.
  """
  stream = open_stream(job, settings) if settings.checkpoint else None
  if stream is not None:
    values = _embedded(stream, settings)
    if not np.isfinite(values).all():
      raise VideoError(Reason.FEATURES, "not all numbers are finite")
    duration = stream.duration
  else:
    values, _ = feature_files.joined([job.path, *job.beside])
    duration = _duration(job, settings, len(values))
  if values.shape[1] != settings.embedding_width:
    raise VideoError(
      Reason.FEATURES,
      f"{values.shape[1]} channels, the dataset has"
      f" {settings.embedding_width}: made by another extractor?",
    )
  example, made = describe(job, settings, duration, len(values), stream)
  return {**example, "embeddings": values}, made


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


def _embedded(stream: FrameStream, settings: Settings) -> np.ndarray:
  """Runs the tower over a video; returns float32 [N, D].

  It sees frames as they would have been stored, JPEG and all, so that it
  makes no difference whether frames or features are stored. A frame shown at
  several positions is embedded once.
  """
  tower = embedder(settings.checkpoint)
  vectors: list[np.ndarray] = []
  # The frame that each position shows.
  shown: list[int] = []

  def distinct() -> Iterator[np.ndarray]:
    last = b""
    for jpeg in jpegs(stream, settings.jpeg_quality):
      if jpeg is last:
        shown.append(shown[-1])
      else:
        last = jpeg
        shown.append(shown[-1] + 1 if shown else 0)
        yield np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))

  images = distinct()
  while batch := list(itertools.islice(images, tower.batch)):
    frames = np.stack(batch)
    try:
      vectors.append(np.asarray(tower.embed(frames), np.float32))
    except RuntimeError as error:
      # Not the video's fault: the device is out of memory, say.
      raise BuildError(
        f"--checkpoint {settings.checkpoint}: the tower failed on"
        f" {frames.shape} ({str(error).splitlines()[0]}); give fewer --workers"
      ) from error
  return np.concatenate(vectors)[shown]
