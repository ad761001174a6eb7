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
  """Maps every name by the first row of the table that it matches.

  Args:
    names: Parameter paths in the naming of the table's first column.
    table: (theirs, ours) rows.

  Returns:
    {name: translated name}, and the names that no row matches, sorted.
  """
  rows = [(_pattern(theirs), ours) for theirs, ours in table]
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


def _pattern(template: str) -> re.Pattern[str]:
  escaped = re.escape(template).replace(r"\{\}", r"(\d+)")
  return re.compile(escaped + r"(/.*)?$")
