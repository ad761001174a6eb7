"""What is asked of a video file, and what was found in it."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from typing import TYPE_CHECKING

import av
import tqdm

from unloc_jax.use.answers import Answer, Moment
from unloc_jax.use.encoded import SUFFIX, EncodedVideo

if TYPE_CHECKING:
  from unloc_jax.localizer import Localizer


@dataclasses.dataclass(frozen=True)
class Request:
  """What is asked of every video.

  Attributes:
    queries: Sentences; () where labels are asked.
    labels: Names of actions.
    segment: Stretches of labels rather than detections.
    top_k: Most moments of a query, or of a video where labels are asked.
    encoded: Folder that keeps encoded videos, or None.
  """

  queries: tuple[str, ...]
  labels: tuple[str, ...]
  segment: bool
  top_k: int
  encoded: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class Found:
  """What was found in a video.

  Attributes:
    path: The video.
    duration: Seconds.
    moments: In the order they are told.
    answers: By query, with relevance; () where labels were asked.
  """

  path: str
  duration: float
  moments: list[Moment]
  answers: tuple[Answer, ...]


def ask_video(localizer: "Localizer", path: str, request: Request) -> Found:
  """Asks one video file.

  Raises:
    ValueError: It cannot be read, or asked that.
  """
  video = _encoded(localizer, path, request.encoded)
  answers: list[Answer] = []
  if request.queries:
    answers = localizer.ask(video, request.queries, request.top_k)
    moments = [moment for answer in answers for moment in answer.moments]
  elif request.segment:
    moments = localizer.segment(video, request.labels)
  else:
    moments = localizer.detect(video, request.labels, request.top_k)
  return Found(path, video.duration, moments, tuple(answers))


def _encoded(
  localizer: "Localizer", path: str, folder: pathlib.Path | None
) -> EncodedVideo:
  """The encoded video, read from `folder` if it was kept there."""
  kept = None
  if folder is not None and os.path.exists(path):
    stat = os.stat(path)
    key = f"{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}"
    # Of the model, too: another one's would be refused.
    key += localizer.export.encoder_hash
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    kept = folder / f"{pathlib.Path(path).stem}-{name}{SUFFIX}"
    if kept.exists():
      return EncodedVideo.load(str(kept))
  total = stated_seconds(path)
  left = " of {total:.0f} s of video, {remaining} to go"
  with tqdm.tqdm(
    desc=f"Reading {pathlib.Path(path).name}",
    total=total,
    bar_format="{desc}: {n:.0f}" + (left if total else " s of video"),
    leave=False,
    disable=None,  # Silent where nobody is watching.
  ) as bar:
    video = localizer.encode_video(
      path, lambda seconds: bar.update(seconds - bar.n) or None
    )
  if kept is not None:
    video.save(str(kept))
  return video


def stated_seconds(path: str) -> float | None:
  """The length a file says it has; None where it says none."""
  with contextlib.suppress(av.FFmpegError, OSError), av.open(path) as container:
    if container.duration:
      return container.duration / av.time_base
  return None


def write(text: str, path: pathlib.Path) -> None:
  """Writes beside, then renames."""
  path.parent.mkdir(parents=True, exist_ok=True)
  beside = path.with_name(path.name + ".tmp")
  beside.write_text(text, encoding="utf-8")
  beside.rename(path)
