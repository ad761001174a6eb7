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
) -> str:
  """Lays out a report: figures with intervals, breakdowns, notes.

  `published`, system -> figure -> percent, is printed beside.
  """
  figures = headline(report.headline, report.intervals, published)
  tables = [table.render(*figures, title=title)]
  for name, each in breakdowns(report).items():
    tables.append(table.render(*_fitted(*each), title=name))
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
  rows: list[list[Any]] = []
  for name, value in figures.items():
    limits = (
      [found[name].low, found[name].high] if name in found else [None] * 2
    )
    beside = [each.get(name) for each in others.values()]
    rows.append([name, value, *limits, *beside])
  return ["", "%", "95% low", "95% high", *others], rows


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


def to_json(report: Report) -> dict[str, Any]:
  """The figures and their analysis as JSON values."""
  return {
    **report.metrics,
    "seen": report.seen,
    "expected": report.expected,
    "notes": list(report.notes),
    "intervals": {
      name: dataclasses.asdict(each) for name, each in report.intervals.items()
    },
    "breakdowns": {
      name: {"columns": headers, "rows": rows}
      for name, (headers, rows) in breakdowns(report).items()
    },
  }
