"""Command: python -m data_preprocessing.synthetic --out DIR."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys

from data_preprocessing.synthetic import build


def main(argv: list[str] | None = None) -> int:
  """Builds the benchmark; returns the exit status."""
  parser = argparse.ArgumentParser(
    prog="python -m data_preprocessing.synthetic",
    description="Renders the embedded benchmark to real files.",
  )
  parser.add_argument("--out", required=True, help="folder to write")
  parser.add_argument(
    "--workers",
    type=int,
    default=os.cpu_count() or 1,
    help="processes (default: one per core)",
  )
  for field in dataclasses.fields(build.Plan):
    parser.add_argument(
      "--" + field.name.replace("_", "-"),
      type=type(field.default),
      default=field.default,
      help="default: %(default)s",
    )
  values = vars(parser.parse_args(argv))
  out, workers = values.pop("out"), values.pop("workers")
  try:
    fresh = build.build(build.Plan(**values), out, workers)
  except ValueError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  print(f"{out}: " + ("written" if fresh else "already there, nothing to do"))
  return 0


if __name__ == "__main__":
  sys.exit(main())
