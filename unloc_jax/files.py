"""Files that are there whole or not at all: written beside, then renamed."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from etils import epath


@contextlib.contextmanager
def replacing(path: os.PathLike[str] | str) -> Iterator[epath.Path]:
  """Gives a place beside `path`, which becomes `path` when the block ends.

  The name is free in the same folder and keeps the ending, which some writers
  read the format from. An error removes it and leaves `path` as it was.

  Args:
    path: A file, on any file system. Its folder is made where missing.
  """
  target = epath.Path(path)
  target.parent.mkdir(parents=True, exist_ok=True)
  beside = target.parent / f".{secrets.token_hex(6)}.part{target.suffix}"
  try:
    yield beside
    beside.replace(target)
  except BaseException as error:
    beside.unlink(missing_ok=True)
    # Else nobody is told which file. Of an error that is a text alone, a name
    # would take the text's place; PyAV's cannot be changed.
    if isinstance(error, OSError) and error.errno is not None:
      with contextlib.suppress(AttributeError):
        if error.filename in (None, str(beside)):
          error.filename = str(target)
    raise


def is_one_of(path: os.PathLike[str] | str, others: Iterable[str]) -> bool:
  """Whether a file is there and one of these, by whatever name."""
  if not os.path.exists(path):
    return False
  return any(os.path.exists(o) and os.path.samefile(path, o) for o in others)


def write_text(path: os.PathLike[str] | str, text: str) -> None:
  """Writes text as UTF-8."""
  write_bytes(path, text.encode())


def write_bytes(path: os.PathLike[str] | str, content: bytes) -> None:
  """Writes bytes."""
  with replacing(path) as beside:
    beside.write_bytes(content)


def write_arrays(path: os.PathLike[str] | str, **arrays: Any) -> None:
  """Writes an .npz, whatever the name ends in."""
  with replacing(path) as beside, beside.open("wb") as file:
    np.savez(file, **arrays)


def write_json(path: os.PathLike[str] | str, value: Any) -> None:
  """Writes readable JSON, a newline at its end."""
  write_text(path, json.dumps(value, indent=2) + "\n")
