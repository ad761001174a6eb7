"""Turns a report into text, and into what is added to its JSON."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from unloc_jax.annotations.reading import summarize
from unloc_jax.metrics import analysis, table
from unloc_jax.metrics.report import Interval, Report, Table

_MOST_COLUMNS = 10
_MOST_ROWS = 24
_MOST_NOTES = 40


def breakdowns(report: Report) -> dict[str, Table]:
  """Every table of a report: its own, and one for each tag it has."""
  tables = {f"by {name}": found for name, found in report.tables.items()}
  for name in report.tags:
    tables.setdefault(f"by {name}", analysis.breakdown(report, name))
  return tables


def text(
  report: Report,
  title: str = "",
  published: Mapping[str, Mapping[str, float]] | None = None,
  resamples: int = analysis.RESAMPLES,
  seed: int = 0,
) -> str:
  """Lays out a report: figures with intervals, breakdowns, notes.

  `published`, system -> figure -> percent, is printed beside. There are no
  intervals without resamples.
  """
  found = analysis.intervals(report, resamples, seed)
  tables = [
    table.render(*headline(report.headline, found, published), title=title),
    *(
      table.render(*_fitted(*each), title=name)
      for name, each in breakdowns(report).items()
    ),
  ]
  lines = [f"scored {report.seen} of {report.expected}"]
  lines.extend(summarize(report.notes, _MOST_NOTES))
  return "\n\n".join([*tables, "\n".join(lines)])


def headline(
  figures: Mapping[str, float | None],
  found: Mapping[str, Interval],
  published: Mapping[str, Mapping[str, float]] | None = None,
) -> Table:
  """One row a figure: value, interval, what others report."""
  others = published or {}
  headers = ["", "%", "95% low", "95% high", *others]
  rows: list[list[Any]] = []
  for name, value in figures.items():
    low = high = None
    if name in found:
      low, high = found[name].low, found[name].high
    beside = [each.get(name) for each in others.values()]
    rows.append([name, value, low, high, *beside])
  return headers, rows


def _fitted(headers: list[str], rows: list[list[Any]]) -> Table:
  """A table for a screen: a long one loses its middle, a wide one is turned."""
  if len(rows) > _MOST_ROWS:
    half = _MOST_ROWS // 2
    gap = [f"... {len(rows) - 2 * half} more", *[""] * (len(headers) - 1)]
    rows = [*rows[:half], gap, *rows[-half:]]
  if len(headers) <= _MOST_COLUMNS or len(rows) > _MOST_COLUMNS:
    return headers, rows
  turned = [list(column) for column in zip(headers, *rows, strict=True)]
  return [str(cell) for cell in turned[0]], turned[1:]


def to_json(report: Report, resamples: int, seed: int) -> dict[str, Any]:
  """The figures and their analysis as JSON values."""
  found = analysis.intervals(report, resamples, seed)
  return {
    **report.metrics,
    "seen": report.seen,
    "expected": report.expected,
    "notes": list(report.notes),
    "intervals": {
      name: dataclasses.asdict(each) for name, each in found.items()
    },
    "breakdowns": {
      name: {"columns": headers, "rows": rows}
      for name, (headers, rows) in breakdowns(report).items()
    },
  }
