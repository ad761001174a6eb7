"""Weights that others publish -> a folder of ours, which training starts from.

    python -m unloc_jax.weights --from FILE_OR_FOLDER --to FOLDER

Finds out what it is given (see FORMATS). No code in such a file is ever run.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from unloc_jax.weights import clip
from unloc_jax.weights.conversion import Format, Tensors
from unloc_jax.weights.folder import Weights, save_weights
from unloc_jax.weights.foreign_files import read

# Another tower: a file with a table of names and a FORMAT, and a line here.
FORMATS: tuple[Format, ...] = (clip.FORMAT,)


def convert(tensors: Tensors, config: Mapping[str, Any]) -> Weights:
  """Our weights, from tensors of any of FORMATS.

  Raises:
    ValueError: They are of none, or not as it should be.
  """
  for known in FORMATS:
    if known.recognises(tensors):
      return known.convert(tensors, config)
  raise ValueError(
    f"its {len(tensors)} tensors ({', '.join(sorted(tensors)[:3])} ...) are "
    f"of no known form; known: {'; '.join(known.name for known in FORMATS)}"
  )


def main(argv: list[str] | None = None) -> int:
  """Converts; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument(
    "--from",
    dest="source",
    required=True,
    help="file, folder, or repository of Hugging Face",
  )
  parser.add_argument("--to", required=True, help="new folder")
  args = parser.parse_args(argv)
  try:
    tensors, config, file = read(args.source)
    made = convert(tensors, config)
    about = {**made.config, "source": {"from": args.source, "file": file}}
    save_weights(args.to, made.params, about)
  except (ValueError, OSError) as error:
    print(f"{args.source}: {error}", file=sys.stderr)
    return 1
  count = sum(value.size for value in made.params.values())
  print(f"{args.to}: {count:,} parameters, {json.dumps(made.config)}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
