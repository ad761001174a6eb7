"""Names that tell videos and their results apart, whatever files are called."""

import collections
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

# Of a file's name, on all common file systems; some room for a number.
_MOST_BYTES, _ROOM = 255, 8


def readable(name: str | os.PathLike[str]) -> str:
  r"""A name as text; bytes of it that are not UTF-8 become \xNN."""
  return os.fsencode(name).decode("utf-8", "backslashreplace")


def stem(path: str | os.PathLike[str]) -> str:
  """The name of a file without its ending, as text."""
  return readable(pathlib.Path(os.fsdecode(path)).stem)


def cut(name: str, most: int) -> str:
  """A name of at most so many bytes."""
  return name.encode()[:most].decode(errors="ignore")


def told_apart(names: Sequence[str], longer: Sequence[str]) -> list[str]:
  """Names, or where others have the same, the longer ones, which differ."""
  counts, taken = collections.Counter(names), set(longer)
  return [
    name if counts[name] == 1 and name not in taken else long
    for name, long in zip(names, longer, strict=True)
  ]


def file_names(
  stems: Iterable[str], ending: str, taken: Iterable[str] = ()
) -> Iterator[str]:
  """A file's name for each stem, of what file systems and terminals take.

  No two are the same, in capitals either, and none has a stem that is `taken`.
  """
  most = _MOST_BYTES - _ROOM - len(ending)
  wanted = [cut(re.sub(r"[\0-\x1f/\x7f]", "_", name), most) for name in stems]
  folded = [name.casefold() for name in wanted]
  all_wanted = {*folded, *taken}
  numbers = collections.Counter(taken)
  for name, key in zip(wanted, folded, strict=True):
    numbers[key] += 1
    made = name
    while numbers[key] > 1 and made.casefold() in all_wanted:
      made = f"{name}_{numbers[key]}"
      numbers[key] += made.casefold() in all_wanted
    all_wanted.add(made.casefold())
    yield f"{made}.{ending}"
