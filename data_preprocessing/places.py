"""Folders on other file systems: whether they can be reached, local copies."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator

from etils import epath

from data_preprocessing.settings import BuildError

# Scheme -> the package by which fsspec reads it, where TensorFlow cannot.
_SCHEMES = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}
# Annotations are small; whatever else lies beside them is left there.
_ANNOTATIONS = (".json", ".jsonl", ".csv", ".txt")


def check(flag: str, place: str) -> None:
  """Raises BuildError where the place that a flag names is out of reach.

  Of a local path only the name is looked at.
  """
  try:
    place.encode()
  except UnicodeEncodeError as error:
    raise BuildError(
      f"{flag} {place!r}: a name that is not UTF-8; rename the folder"
    ) from error
  scheme, remote, _ = place.partition("://")
  if not remote:
    return
  if scheme not in _SCHEMES:
    known = ", ".join(f"{name}://" for name in _SCHEMES)
    raise BuildError(
      f"{flag} {place}: no file system {scheme}:// is known; give a local"
      f" path or one of {known}"
    )
  try:
    epath.Path(place).exists()
  except Exception as error:
    line = (str(error).splitlines() or [""])[0]
    raise BuildError(
      f"{flag} {place}: cannot be reached ({type(error).__name__}: {line});"
      " check the credentials, or read it without TensorFlow: pip install"
      f" {_SCHEMES[scheme]} and set EPATH_USE_TF=false"
    ) from error


@contextlib.contextmanager
def annotations(place: str) -> Iterator[pathlib.Path]:
  """Gives annotation files as local ones, copied for as long as needed.

  Raises BuildError where they cannot be read.
  """
  if "://" not in place:
    yield pathlib.Path(place)
    return
  source = epath.Path(place)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    try:
      found, copy = [source], folder / source.name
      if source.is_dir():
        found = [p for p in source.iterdir() if p.suffix in _ANNOTATIONS]
        copy = folder
      for path in found:
        (folder / path.name).write_bytes(path.read_bytes())
    except OSError as error:
      raise BuildError(f"--annotations {place}: {error}") from error
    yield copy
