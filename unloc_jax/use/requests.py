"""What is asked of video files, and what was found in them."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence

import tqdm

from unloc_jax.use.answers import Answer, Moment
from unloc_jax.use.encoded import SUFFIX, EncodedVideo
from unloc_jax.use.localizer import Localizer


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

  def check(self, localizer: Localizer) -> None:
    """Raises ValueError where no video could answer."""
    if not self.queries:
      localizer.known_labels(self.labels)


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
  answers: tuple[Answer, ...] = ()


def ask_videos(
  localizer: Localizer, paths: Sequence[str], request: Request
) -> Iterator[Found | ValueError]:
  """What was found in each video, or why it could not be asked."""
  is_few = True if len(paths) == 1 else None
  for path in tqdm.tqdm(paths, unit="video", disable=is_few):
    try:
      yield ask_video(localizer, path, request)
    except ValueError as error:
      yield error


def ask_video(localizer: Localizer, path: str, request: Request) -> Found:
  """Asks one video file.

  Raises:
    ValueError: It cannot be read, or asked that.
  """
  video = _encoded(localizer, path, request.encoded)
  if request.queries:
    answers = localizer.ask(video, request.queries, request.top_k)
    moments = [moment for answer in answers for moment in answer.moments]
    return Found(path, video.duration, moments, tuple(answers))
  if request.segment:
    moments = localizer.segment(video, request.labels)
  else:
    moments = localizer.detect(video, request.labels, request.top_k)
  return Found(path, video.duration, moments)


def _encoded(
  localizer: Localizer, path: str, folder: pathlib.Path | None
) -> EncodedVideo:
  """The encoded video, read from `folder` if it was kept there."""
  if folder is None or not os.path.exists(path):
    return _encode(localizer, path)
  stat = os.stat(path)
  key = f"{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}"
  # Of the model, too: another one's would be refused.
  key += localizer.export.encoder_hash
  name = hashlib.sha256(key.encode()).hexdigest()[:16]
  kept = folder / f"{pathlib.Path(path).stem}-{name}{SUFFIX}"
  if kept.exists():
    return EncodedVideo.load(str(kept))
  video = _encode(localizer, path)
  video.save(str(kept))
  return video


def _encode(localizer: Localizer, path: str) -> EncodedVideo:
  with tqdm.tqdm(
    desc=f"Reading {pathlib.Path(path).name}",
    bar_format="{desc}: {n:.0f} s of video",
    leave=False,
    disable=None,  # Silent where nobody is watching.
  ) as bar:
    return localizer.encode_video(path, lambda now: bar.update(now - bar.n))
