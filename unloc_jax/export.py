"""Makes one portable folder of a run, which predicts and explains itself.

python -m unloc_jax.export --workdir=RUN --out=DIR
"""

import sys
from collections.abc import Sequence

from unloc_jax.config.parser import Parser, show
from unloc_jax.use.console import fault
from unloc_jax.use.export_run import export_run


def main(argv: Sequence[str] | None = None) -> None:
  """Exports a run."""
  parser = Parser(__doc__, "unloc_jax.export")
  add = parser.add_argument
  add("--workdir", required=True, help="folder of the run")
  add("--out", required=True, help="folder to make")
  add("--data", default="", help="dataset, if it has moved")
  add(
    "--window",
    dest="window_seconds",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="windows of longer videos (the longest video's)",
  )
  add("--half", action="store_true", help="weights in float16")
  add("--stablehlo", action="store_true", help="add programs")
  add("--saved_model", action="store_true", help="for TF")
  try:
    made = export_run(**vars(parser.parse_args(argv)))
    ask = f"; try python -m unloc_jax.predict --export {made.folder}"
    ask += " --video VIDEO --query TEXT"
    # Features that others made are asked as the export's README.md says.
    show(f"{made.folder}: exported{'' if made.config.data.text_width else ask}")
  except (ValueError, OSError) as error:
    sys.exit(f"error: {fault(error)}")


if __name__ == "__main__":
  main()
