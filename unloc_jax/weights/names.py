"""One table of parameter names maps a foreign naming onto ours.

A name is a path with `{}` for an index: ("resblocks/{}/ln_1",
"encoder/layer_{}/norm_1"). A prefix that is mapped takes all below it along.
"""

import re
from collections.abc import Iterable

Table = tuple[tuple[str, str], ...]


def norm(theirs: str, ours: str) -> Table:
  """Rows of PyTorch's LayerNorm."""
  return (
    (f"{theirs}/weight", f"{ours}/scale"),
    (f"{theirs}/bias", f"{ours}/bias"),
  )


def linear(theirs: str, ours: str) -> Table:
  """Rows of PyTorch's Linear."""
  return (
    (f"{theirs}/weight", f"{ours}/kernel"),
    (f"{theirs}/bias", f"{ours}/bias"),
  )


def blocks(theirs: str, ours: str, block: Table) -> Table:
  """Rows of a stack of blocks, from those of one."""
  return tuple(
    (f"{theirs}/{{}}/{a}", f"{ours}/encoder/layer_{{}}/{b}") for a, b in block
  )


def translate(
  names: Iterable[str], table: Table
) -> tuple[dict[str, str], list[str]]:
  """Maps every name by the first row (theirs, ours) that it matches.

  Returns {name: translated name}, and the names that no row matches, sorted.
  """
  rows = []
  for theirs, ours in table:
    escaped = re.escape(theirs).replace(r"\{\}", r"(\d+)")
    rows.append((re.compile(escaped + r"(/.*)?$"), ours))
  translated, unknown = {}, []
  for name in names:
    for pattern, ours in rows:
      match = pattern.match(name)
      if match:
        *indices, rest = match.groups()
        translated[name] = ours.format(*indices) + (rest or "")
        break
    else:
      unknown.append(name)
  return translated, sorted(unknown)
