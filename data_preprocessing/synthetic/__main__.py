"""Command: python -m data_preprocessing.synthetic --out DIR."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence

from data_preprocessing import command
from data_preprocessing.synthetic.build import Plan, build


def main(argv: Sequence[str] | None = None) -> int:
  """Builds the benchmark; returns the exit status."""
  parser = argparse.ArgumentParser(
    prog="python -m data_preprocessing.synthetic",
    description="Renders the embedded benchmark to real files.",
    formatter_class=argparse.ArgumentDefaultsHelpFormatter,
  )
  add = parser.add_argument
  add("--out", required=True, help="folder to write")
  add("--workers", type=int, default=os.cpu_count() or 1, help="processes")
  for field in dataclasses.fields(Plan):
    kind = int if isinstance(field.default, int) else float
    flag = "--" + field.name.replace("_", "-")
    add(flag, type=kind, default=field.default, help=" ")
  values = vars(parser.parse_args(argv))
  out, workers = values.pop("out"), values.pop("workers")

  def run() -> str:
    fresh = build(Plan(**values), out, workers)
    return f"{out}: {'written' if fresh else 'already there, nothing to do'}"

  return command.ended(run, out)


if __name__ == "__main__":
  sys.exit(main())
