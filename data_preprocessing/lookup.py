"""Finds the file of each video among the names people give them."""

import dataclasses
import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from etils import epath

from unloc_jax.annotations.records import VideoAnnotation
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.listing import walk
from unloc_jax.weights import feature_files

# In order of preference, where one video is there twice.
_KINDS = "mp4 mkv webm avi mov m4v mpg mpeg flv wmv ts 3gp ogv gif"
EXTENSIONS = tuple(f".{kind}" for kind in _KINDS.split())


@dataclasses.dataclass(frozen=True, slots=True)
class VideoJob:
  """One video to turn into an example."""

  annotation: VideoAnnotation  # What is known of it
  path: str  # The file to read
  name: str  # The same, relative to the folder of videos, with forward slashes
  size: int  # Bytes of the file, and of those beside
  beside: Sequence[str] = ()  # Files of its features by further extractors


class VideoIndex:
  """The files below one folder, found by id or by relative path.

  What one file of features holds of many videos is found as if the file were a
  folder, and its keys the names of files.
  """

  def __init__(
    self,
    folder: str,
    extensions: Iterable[str] = EXTENSIONS,
    allow_absolute: bool = False,
    beside: Sequence[str] = (),
  ):
    """Lists the folder once, at any depth.

    Raises FileNotFoundError, or VideoError for a bad file in its place.

    Args:
      folder: On any file system.
      extensions: Those of videos, or of features, the preferred first.
      allow_absolute: Whether paths may lead outside the folder.
      beside: Further folders, each of which has to hold every video.
    """
    self._beside = [VideoIndex(f, extensions, allow_absolute) for f in beside]
    self._folder = folder
    self._allow_absolute = allow_absolute
    rank = {extension: i for i, extension in enumerate(extensions)}
    # Stem -> how good each of its files is, and its name.
    self._named: dict[str, list[tuple[int, int, str]]] = {}
    place = epath.Path(folder)
    ending = place.suffix.lower()
    packs = ending in rank and ending in feature_files.PACKS
    self._pack = place if packs and place.is_file() else None
    for name in feature_files.keys(folder) if self._pack else walked(place):
      stem, extension = posixpath.splitext(posixpath.basename(name))
      key = (rank.get(extension.lower(), 0), name.count("/"), name)
      if self._pack:
        stems = {name, stem + extension * (extension not in EXTENSIONS)}
      else:
        stems = {stem} if extension.lower() in rank else set()
      for each in stems:
        self._named.setdefault(_plain(each), []).append(key)

  def find(self, video: VideoAnnotation) -> VideoJob:
    """Returns a video with its file.

    Raises:
      VideoError: There is none, or its path leads outside the folder.
    """
    name = self._found(video)[0] if video.path is None else video.path
    absolute = os.path.isabs(name) or "://" in name
    outside = absolute or posixpath.normpath(name).split("/")[0] == ".."
    if outside and not self._allow_absolute:
      raise VideoError(
        Reason.OUTSIDE, f"{name}; --allow_absolute_paths lets it be read"
      )
    path = name if absolute else os.path.join(self._folder, name)
    try:
      size = int((self._pack or epath.Path(path)).stat().length)
    except (OSError, ValueError) as error:
      raise VideoError(Reason.MISSING, name) from error
    if not self._pack and not _is_file(path):
      raise VideoError(Reason.NOT_A_FILE, name)
    others = []
    for index in self._beside:
      try:
        others.append(index.find(video))
      except VideoError as error:
        detail = f"{epath.Path(index._folder).name}: {error.detail}"
        raise VideoError(error.reason, detail) from error
    size += sum(each.size for each in others)
    return VideoJob(video, path, name, size, tuple(o.path for o in others))

  def others(self, job: VideoJob) -> list[str]:
    """Returns the other files that could have been meant, the next first."""
    video = job.annotation
    if video.path or (
      "/" in video.video_id and _is_at(job.name, video.video_id)
    ):
      return []
    return self._found(video)[1:]

  def _found(self, video: VideoAnnotation) -> list[str]:
    """Returns the files that have one of a video's names, the likeliest first.

    Those that can be read go before those that cannot: links to nothing, pipes.
    """
    tried: dict[str, None] = {}
    for name in (video.video_id, *video.names):
      bare = name.removeprefix("v_")
      tried |= dict.fromkeys(map(_plain, (name, f"v_{bare}", bare)))
    for name in tried:
      if files := self._named.get(name):
        names = [file for *_, file in sorted(files)]
        if len(names) > 1:
          names.sort(
            key=lambda name: (
              not _is_file(os.path.join(self._folder, name)),
              not _is_at(name, video.video_id),
            )
          )
        return names
    raise VideoError(
      Reason.MISSING,
      f"no file named {' or '.join(tried)} with a known extension",
    )


def _is_at(name: str, video_id: str) -> bool:
  """Whether a file lies where an id that is a path says, endings apart."""
  return posixpath.splitext(name)[0] == posixpath.splitext(video_id)[0]


def _is_file(path: str) -> bool:
  return "://" in path or os.path.isfile(path)


def _plain(text: str) -> str:
  """Makes the two ways Unicode writes an accent equal."""
  return unicodedata.normalize("NFC", text)


def walked(folder: epath.Path) -> Iterator[str]:
  """Yields the relative paths of all files, sorted within each folder."""
  if not folder.is_dir():
    raise FileNotFoundError(
      f"--videos {folder}: no such folder; give the one that holds the files"
    )
  place = os.fspath(folder)
  base = None
  # Of the two, the former alone follows links.
  for top, files in (
    walk(place)
    if "://" not in place
    else ((os.fspath(top), sorted(files)) for top, _, files in folder.walk())
  ):
    # Roots come with or without the scheme; the first is the folder itself.
    base = top if base is None else base
    inside = posixpath.relpath(top, base)
    for file in files:
      yield posixpath.normpath(posixpath.join(inside, file))
