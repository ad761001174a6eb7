"""Command: python -m data_preprocessing.synthetic --out DIR."""

import dataclasses
import os
import sys
from collections.abc import Sequence

from data_preprocessing import command
from data_preprocessing.synthetic.build import Plan, build
from unloc_jax.config.parser import Parser


def main(argv: Sequence[str] | None = None) -> int:
  """Builds the benchmark; returns the exit status."""
  parser = Parser(
    "Renders the embedded benchmark to real files.",
    "data_preprocessing.synthetic",
  )
  add = parser.add_argument
  add("--out", required=True, help="folder to write")
  add(
    "--workers",
    type=int,
    default=os.cpu_count() or 1,
    help="processes (%(default)s)",
  )
  for field in dataclasses.fields(Plan):
    kind = int if isinstance(field.default, int) else float
    flag = "--" + field.name.replace("_", "-")
    add(flag, type=kind, default=field.default, help="(%(default)s)")
  values = vars(parser.parse_args(argv))
  out, workers = values.pop("out"), values.pop("workers")

  def run() -> str:
    fresh = build(Plan(**values), out, workers)
    return f"{out}: {'written' if fresh else 'already there, nothing to do'}"

  return command.ended(run, out)


if __name__ == "__main__":
  sys.exit(main())
