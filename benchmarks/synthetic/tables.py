"""One table of one run, or the mean of the same table of several runs."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from unloc_jax.metrics import table

# Lengths of events as a share of their video, ranges [low, high).
LENGTHS = tuple(itertools.pairwise((0.0, 0.06, 0.12, 0.25, 1.01)))
OF_LENGTH = "% of the video"  # Names of such rows end so.

# What the figures depend on.
MEASURES = (
  *(
    f"unloc_jax/{room}"
    for room in ("task", "models", "data", "training", "metrics")
  ),
  *(f"configs/synthetic_{part}.py" for part in ("towers", "mr")),
  "data_preprocessing/synthetic",
)

Group = tuple[str, np.ndarray]  # Name, bool [N].


def by_length(share: np.ndarray) -> list[Group]:
  """Which lengths [N], as shares of their video, are in each range."""
  return [
    (
      f"{100 * low:.0f}-{100 * min(high, 1):.0f}{OF_LENGTH}",
      (low <= share) & (share < high),
    )
    for low, high in LENGTHS
  ]


class Table(NamedTuple):
  """Title, names of the columns, rows whose floats differ between seeds."""

  title: str
  headers: Sequence[str]
  rows: Sequence[Sequence[Any]]

  @classmethod
  def of_groups(
    cls,
    title: str,
    headers: Sequence[str],
    groups: Iterable[Group],
    columns: Sequence[np.ndarray],
  ) -> "Table":
    """A row per group that is not empty: its size, and shares in percent.

    Columns are bool [N]; the headers are "", what is counted, and their names.
    """
    rows = [
      [
        name,
        int(chosen.sum()),
        *[100.0 * float(np.mean(column[chosen])) for column in columns],
      ]
      for name, chosen in groups
      if chosen.any()
    ]
    return cls(title, headers, rows)


def merged(tables: Sequence[Table]) -> Table:
  """Of several tables one, with mean and standard deviation of each float.

  Raises:
    ValueError: The tables are not of the same split of the same data.
  """
  first = tables[0]
  if len({tuple(row[:2] for row in map(tuple, t.rows)) for t in tables}) > 1:
    raise ValueError("the runs were not scored on the same data")
  rows = [
    [
      _spread(cells) if isinstance(cells[0], float) else cells[0]
      for cells in zip(*same, strict=True)
    ]
    for same in zip(*(t.rows for t in tables), strict=True)
  ]
  return first._replace(rows=rows)


def render(tables: Sequence[Table]) -> str:
  """One table, or what several of them `merged` are, as text."""
  first = tables[0]
  if len(tables) == 1:
    return table.render(first.headers, first.rows, first.title)
  title = f"{first.title}, mean and standard deviation of {len(tables)} runs"
  return table.render(first.headers, merged(tables).rows, title)


def _spread(values: Sequence[float]) -> str:
  deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
  spread = f" ± {deviation:.1f}" if deviation >= 0.05 else ""
  return f"{np.mean(values):.1f}{spread}"
