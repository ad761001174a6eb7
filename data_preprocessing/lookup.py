"""Finds the file of each video among the names people give them."""

import dataclasses
import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator

from etils import epath

from unloc_jax.annotations.records import VideoAnnotation
from unloc_jax.media.errors import Reason, VideoError

# In order of preference, where one video is there twice.
EXTENSIONS = (
  ".mp4",
  ".mkv",
  ".webm",
  ".avi",
  ".mov",
  ".m4v",
  ".mpg",
  ".mpeg",
  ".flv",
  ".wmv",
  ".ts",
  ".3gp",
  ".ogv",
  ".gif",
)


@dataclasses.dataclass(frozen=True, slots=True)
class VideoJob:
  """One video to turn into an example.

  Attributes:
    annotation: What is known of it.
    path: The file to read.
    name: The same, relative to the folder of videos, with forward slashes.
    size: Bytes of the file.
  """

  annotation: VideoAnnotation
  path: str
  name: str
  size: int


class VideoIndex:
  """The files below one folder, found by id or by relative path."""

  def __init__(
    self,
    folder: str,
    extensions: Iterable[str] = EXTENSIONS,
    allow_absolute: bool = False,
  ):
    """Lists the folder once, at any depth.

    Args:
      folder: On any file system.
      extensions: Those of videos, the preferred first.
      allow_absolute: Whether paths may lead outside the folder.
    """
    self.folder = os.fspath(folder)
    self._allow_absolute = allow_absolute
    rank = {extension: i for i, extension in enumerate(extensions)}
    best: dict[str, tuple[int, int, str]] = {}
    for name in _walk(epath.Path(self.folder)):
      stem, extension = posixpath.splitext(posixpath.basename(name))
      if extension.lower() not in rank:
        continue
      key = (rank[extension.lower()], name.count("/"), name)
      stem = _plain(stem)
      if stem not in best or key < best[stem]:
        best[stem] = key
    self._by_stem = {stem: name for stem, (_, _, name) in best.items()}

  def find(self, video: VideoAnnotation) -> VideoJob:
    """Returns a video with its file.

    Raises:
      VideoError: There is none, or its path leads outside the folder.
    """
    if video.path is not None:
      return self._at(video.path, video)
    tried = _names(video)
    for name in tried:
      if name in self._by_stem:
        return self._at(self._by_stem[name], video)
    raise VideoError(
      Reason.MISSING,
      f"no file named {' or '.join(tried)} with the extension of a video",
    )

  def _at(self, name: str, video: VideoAnnotation) -> VideoJob:
    """Returns a video whose path is relative, or absolute where allowed."""
    outside = _leads_outside(name)
    if outside and not self._allow_absolute:
      raise VideoError(
        Reason.OUTSIDE, f"{name}; --allow_absolute_paths lets it be read"
      )
    path = (
      name
      if os.path.isabs(name) or "://" in name
      else os.path.join(self.folder, name)
    )
    try:
      size = int(epath.Path(path).stat().length)
    except (OSError, ValueError) as error:
      raise VideoError(Reason.MISSING, name) from error
    return VideoJob(video, path, name, size)


def _names(video: VideoAnnotation) -> list[str]:
  """Returns the stems a video may have, the likeliest first."""
  names = []
  for name in (video.video_id, *video.names):
    bare = name.removeprefix("v_")
    names += [name, f"v_{bare}", bare]
  return list(dict.fromkeys(_plain(name) for name in names))


def _leads_outside(name: str) -> bool:
  """Whether a path written in an annotation file leaves the folder."""
  name = name.replace("\\", "/") if os.sep == "\\" else name
  if os.path.isabs(name) or "://" in name:
    return True
  return posixpath.normpath(name).split("/")[0] == ".."


def _plain(text: str) -> str:
  """Makes the two ways Unicode writes an accent equal."""
  return unicodedata.normalize("NFC", text)


def _walk(folder: epath.Path) -> Iterator[str]:
  """Yields the relative paths of all files, sorted within each folder.

  Raises:
    FileNotFoundError: There is no such folder.
  """
  if not folder.is_dir():
    raise FileNotFoundError(
      f"--videos {folder}: no such folder; give the one that holds the files"
    )
  if "://" not in os.fspath(folder):
    for root, folders, files in os.walk(folder, followlinks=True):
      folders.sort()
      inside = os.path.relpath(root, folder)
      for file in sorted(files):
        yield (
          file
          if inside == "."
          else posixpath.join(inside.replace(os.sep, "/"), file)
        )
    return
  # Roots come with or without the scheme; the first is the folder itself.
  base: str | None = None
  for place, folders, files in folder.walk():
    root = os.fspath(place).rstrip("/")
    base = root if base is None else base
    folders.sort()
    inside = posixpath.relpath(root, base)
    for file in sorted(files):
      yield posixpath.normpath(posixpath.join(inside, file))
