"""Writes the tables of README and docs from benchmarks/results.

    python -m benchmarks.report           # writes them
    python -m benchmarks.report --check   # says what is older than its code

A table stands between `<!-- results: NAME -->` and `<!-- /results -->`.
"""

import argparse
import pathlib
import re
import sys

from benchmarks import record
from unloc_jax import files

_TABLE = re.compile(
  r"(<!-- results: (?P<name>[\w-]+) -->\n).*?(<!-- /results -->)", re.DOTALL
)


def pages(root: pathlib.Path) -> list[pathlib.Path]:
  """The pages that may hold tables."""
  return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def filled(text: str, results: pathlib.Path) -> str:
  """A page with its tables made anew; those not measured yet stay.

  Raises ValueError, OSError.
  """

  def table(found: re.Match[str]) -> str:
    path = results / f"{found['name']}.json"
    if not path.exists():
      return found[0]
    made = record.read(path).markdown()
    return f"{found[1]}{made}\n{found[3]}"

  return _TABLE.sub(table, text)


def complaints(page: pathlib.Path, results: pathlib.Path) -> list[str]:
  """Which of a page's tables are not what they should be, and why."""
  text = page.read_text()
  found = []
  for match in _TABLE.finditer(text):
    name = match["name"]
    try:
      kept = record.read(results / f"{name}.json")
    except (OSError, ValueError) as error:
      found.append(f"{page.name}: {name}: {error}")
      continue
    if kept.markdown() not in match[0]:
      found.append(f"{page.name}: {name} is not its file's; run this command")
    if not kept.is_current:
      found.append(
        f"{page.name}: {name} is of {kept.date}, older than"
        f" {', '.join(kept.measures)}; measure again: {kept.command}"
      )
  return found


def main(argv: list[str] | None = None) -> int:
  """Runs the command; a table that is old is a warning, no failure."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--check", action="store_true", help="write nothing")
  args = parser.parse_args(argv)
  try:
    for page in pages(record.ROOT):
      if args.check:
        for line in complaints(page, record.RESULTS):
          print(f"warning: {line}")
      else:
        text = filled(page.read_text(), record.RESULTS)
        if text != page.read_text():
          files.write_text(page, text)
          print(f"{page}: written")
  except (OSError, ValueError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
