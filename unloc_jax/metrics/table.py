"""Plain-text tables."""

from collections.abc import Sequence


def show(value: object) -> str:
  """Returns a cell: two decimals for fractions, "-" for nothing."""
  if value is None:
    return "-"
  if isinstance(value, float):
    return "-" if value != value else f"{value:.2f}"
  return str(value)


def render(
  headers: Sequence[str], rows: Sequence[Sequence[object]], title: str = ""
) -> str:
  """Lays out a table; the first column to the left, the others to the right."""
  cells = [list(headers), *([show(cell) for cell in row] for row in rows)]
  widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
  lines = [
    "  ".join(
      cell.ljust(width) if i == 0 else cell.rjust(width)
      for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in cells
  ]
  lines.insert(1, "  ".join("-" * width for width in widths))
  return "\n".join([title, *lines] if title else lines)
