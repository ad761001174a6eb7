"""Files below a folder, whatever its links lead to."""

import glob
import os
import re
from collections.abc import Iterator


def walk(folder: str) -> Iterator[tuple[str, list[str]]]:
  """Yields folders, `folder` itself first, and their files' names, sorted.

  Links are followed, but each folder is seen once: links may lead in circles.
  """
  seen = set()
  for top, folders, names in os.walk(folder, followlinks=True):
    real = os.path.realpath(top)
    if real in seen:
      folders.clear()
      continue
    seen.add(real)
    folders.sort()
    yield top, sorted(names)


def matches(pattern: str) -> list[str]:
  """Returns the paths that a pattern means, sorted; `**/` is any folders."""
  parts = re.fullmatch(r"((?:.*/)?)\*\*(?:/(.*))?", pattern, re.DOTALL)
  if parts is None:
    return sorted(glob.glob(pattern))
  found: set[str] = set()
  for top in glob.glob(parts[1]) if parts[1] else [""]:
    for folder, _ in walk(top or "."):
      inside = os.path.relpath(folder, top or ".")
      folder = top if inside == "." else os.path.join(top, inside)
      found.update(
        glob.glob(os.path.join(glob.escape(folder), parts[2] or "*"))
      )
  return sorted(found)
