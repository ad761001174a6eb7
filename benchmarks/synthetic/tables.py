"""One table of one run, or the mean of the same table of several runs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unloc_jax.metrics import table


class Table(NamedTuple):
  """Title, names of the columns, rows whose floats differ between seeds."""

  title: str
  headers: Sequence[str]
  rows: Sequence[Sequence[Any]]


def render(tables: Sequence[Table]) -> str:
  """A table as text; of several, mean and standard deviation of each float.

  Raises:
    ValueError: The tables are not of the same split of the same data.
  """
  first = tables[0]
  if len(tables) == 1:
    return table.render(first.headers, first.rows, first.title)
  if len({tuple(row[:2] for row in map(tuple, t.rows)) for t in tables}) > 1:
    raise ValueError("the runs were not scored on the same data")
  rows = [
    [
      _spread(cells) if isinstance(cells[0], float) else cells[0]
      for cells in zip(*same, strict=True)
    ]
    for same in zip(*(t.rows for t in tables), strict=True)
  ]
  title = f"{first.title}, mean and standard deviation of {len(tables)} runs"
  return table.render(first.headers, rows, title)


def _spread(values: Sequence[float]) -> str:
  deviation = np.std(values, ddof=1)
  spread = f" ± {deviation:.1f}" if deviation else ""
  return f"{np.mean(values):.1f}{spread}"
