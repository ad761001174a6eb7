"""What is asked of video files, and what was found in them."""

import dataclasses
import hashlib
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tqdm

from unloc_jax.use import naming
from unloc_jax.use.answers import Answer, Moment
from unloc_jax.use.console import fault
from unloc_jax.use.encoded import SUFFIX, EncodedVideo
from unloc_jax.use.localizer import Localizer
from unloc_jax.weights import feature_files

FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Request:
  """What is asked of every video."""

  queries: tuple[str, ...]  # () where labels are asked
  labels: tuple[str, ...]
  segment: bool  # Stretches of labels rather than detections
  top_k: int  # Of a query, or of a video where labels are asked
  encoded: pathlib.Path | None  # Folder that keeps encoded videos
  # Features [L, E] of the queries, of models that read these; else ()
  features: tuple[np.ndarray, ...] = ()

  def check(self, localizer: Localizer) -> None:
    """Raises ValueError where no video could answer."""
    if not self.queries:
      localizer.known_labels(self.labels)


class Job(NamedTuple):
  """A video to ask."""

  path: str
  video_id: str  # Tells it from the others.
  result: str  # Name of a file for what is found, unlike the others'.
  beside: Sequence[str] = ()  # Features of it by further extractors


def jobs(paths: Sequence[str], ending: str) -> list[Job]:
  """Videos to ask, and results that end in .`ending`.

  Files of features that have one name are of one video, in their order.
  """
  of_one: dict[tuple[str, str], list[str]] = {}
  for path in paths:
    name = feature_files.video_name(path)
    of_one.setdefault((name, "" if name else path), []).append(path)
  paths = [same[0] for same in of_one.values()]
  stems = [naming.readable(name or naming.stem(path)) for name, path in of_one]
  ids = naming.told_apart(stems, list(map(naming.readable, paths)))
  # FAILED is what a corpus writes beside them.
  results = naming.file_names(stems, ending, taken=[FAILED])
  beside = [tuple(same[1:]) for same in of_one.values()]
  return list(map(Job, paths, ids, results, beside))


def text_features(paths: Sequence[str], count: int) -> tuple[np.ndarray, ...]:
  """Reads features of the `count` queries, a file each; ValueError if bad."""
  if paths and len(paths) != count:
    raise ValueError(
      f"--text_features: {len(paths)} of {count} queries; give one of each"
      " --query, in their order"
    )
  found = []
  for path in paths:
    with feature_files.told(f"--text_features {path}"):
      found.append(feature_files.read(path, feature_files.OF_TEXTS))
  return tuple(found)


@dataclasses.dataclass(frozen=True)
class Found:
  """What was found in a video of `duration` seconds; answers to queries."""

  path: str
  video_id: str
  duration: float
  moments: list[Moment]
  answers: tuple[Answer, ...] = ()


def ask_video(localizer: Localizer, job: Job, request: Request) -> Found:
  """Asks one file; ValueError where it cannot be read, or asked that."""
  if feature_files.video_name(job.path):
    video = _joined(localizer, job)
  else:
    video = _encoded(localizer, job.path, request.encoded)
  video = dataclasses.replace(video, video_id=job.video_id)
  answers: list[Answer] = []
  if request.queries:
    features = request.features or None
    answers = localizer.ask(video, request.queries, request.top_k, features)
    moments = [moment for answer in answers for moment in answer.moments]
  elif request.segment:
    moments = localizer.segment(video, request.labels)
  else:
    moments = localizer.detect(video, request.labels, request.top_k)
  return Found(*job[:2], video.duration, moments, tuple(answers))


def _joined(localizer: Localizer, job: Job) -> EncodedVideo:
  """A video of which there are features, put side by side as in training."""
  with feature_files.told(naming.readable(job.path)):
    rows, done = feature_files.joined([job.path, *job.beside])
  wanted = localizer.export.source.normalisation
  if done and done != wanted:
    raise ValueError(
      f"{job.path}: {1 + len(job.beside)} files are {done}, but the model wants"
      f" {wanted}; give the files in that order"
    )
  return localizer.encode_features(rows, video_id=job.video_id)


def _encoded(
  localizer: Localizer, path: str, folder: pathlib.Path | None
) -> EncodedVideo:
  """The encoded video, read from `folder` if it was kept there."""
  name, kept = pathlib.Path(path), None
  if folder is not None and name.exists():
    stat = name.stat()
    key = f"{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}"
    # Of the model, too: another one's would be refused.
    key += localizer.export.encoder_hash
    digest = hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
    kept = folder / f"{naming.cut(naming.stem(path), 200)}-{digest}{SUFFIX}"
    try:
      return EncodedVideo.load(str(kept))
    except FileNotFoundError:
      pass
    except ValueError as error:
      print(f"{fault(error)}; reading the video anew", file=sys.stderr)
  with tqdm.tqdm(
    desc=f"Reading {naming.readable(name.name)}",
    bar_format="{desc}: {n:.0f} s of video",
    leave=False,
    disable=None,  # Silent where nobody is watching.
  ) as bar:
    video = localizer.encode_video(path, lambda now: bar.update(now - bar.n))
  if kept is not None:
    video.save(str(kept))
  return video
