"""One table of parameter names maps one naming onto another, both ways.

A name is a path with `{}` for an index: ("encoder/layer_{}/norm_1",
"resblocks.{}/ln_1"). A prefix that is mapped takes all below it along.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Table = tuple[tuple[str, str], ...]


def _pattern(template: str) -> re.Pattern[str]:
  escaped = re.escape(template).replace(r"\{\}", r"(\d+)")
  return re.compile(escaped + r"(/.*)?$")


def partition(
  names: Iterable[str], table: Table
) -> tuple[dict[str, str], list[str]]:
  """Maps every name by the first row of the table that it matches.

  Args:
    names: Parameter paths in the naming of the table's first column.
    table: (from, to) rows.

  Returns:
    {name: translated name}, and the names that no row matches, sorted.
  """
  rows = [(_pattern(source), target) for source, target in table]
  translated, unknown = {}, []
  for name in names:
    for pattern, target in rows:
      match = pattern.match(name)
      if match:
        *indices, rest = match.groups()
        translated[name] = target.format(*indices) + (rest or "")
        break
    else:
      unknown.append(name)
  return translated, sorted(unknown)


def translate(names: Iterable[str], table: Table) -> dict[str, str]:
  """Maps every name, as of `partition`.

  Raises:
    KeyError: Names that no row matches, all of them listed.
  """
  translated, unknown = partition(names, table)
  if unknown:
    raise KeyError("no known counterpart of: " + ", ".join(unknown))
  return translated


def invert(table: Table) -> Table:
  """The table that maps back."""
  return tuple((target, source) for source, target in table)


def rename(params: Mapping[str, Any], table: Table) -> dict[str, Any]:
  """Flat parameters under the names of the table's second column."""
  names = translate(params, table)
  return {names[name]: value for name, value in params.items()}
