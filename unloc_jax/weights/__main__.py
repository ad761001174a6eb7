"""Weights that others publish -> a folder of ours, which training starts from.

    python -m unloc_jax.weights --from FILE_OR_FOLDER --to FOLDER

Finds out what it is given (see FORMATS). No code in such a file is ever run.
docs/weights.md says where the weights of each tower are.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from unloc_jax.config.parser import Parser
from unloc_jax.weights import bert, clip, foreign_files, perception, siglip
from unloc_jax.weights.conversion import Tensors
from unloc_jax.weights.folder import Weights, save_weights, tower_of

# Another tower: a file with a table of names, and its place here.
FORMATS = (clip, siglip, perception, bert)


def convert(
  tensors: Tensors, config: Mapping[str, Any], activation: str = ""
) -> Weights:
  """Our weights, from tensors of any of FORMATS.

  Arguments are those of `clip.convert`. Raises ValueError where they are of no
  form that is known, or not as it should be.
  """
  for known in FORMATS:
    if known.recognises(tensors):
      try:
        made: Weights = known.convert(tensors, config, activation)
        return made
      except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(
          f"what its config.json says cannot be ({error}); fetch it again"
        ) from error
      except ValueError as error:
        raise ValueError(f"it looks like {known.NAME}, but {error}") from error
  raise ValueError(
    f"its {len(tensors)} tensors ({', '.join(sorted(tensors)[:3])} ...) are "
    f"of no known form; known: {'; '.join(known.NAME for known in FORMATS)}"
  )


def _tokenizer(made: Weights, source: str) -> str:
  """The tokenizer.json that goes with weights, "" for CLIP's own.

  Raises ValueError where they need one that is not there.
  """
  text = tower_of(made.config, "text")
  if not text or text["kind"] == "clip":
    return ""
  found = foreign_files.tokenizer(source, text["kind"] == "siglip2")
  if not found:
    raise ValueError(
      f"there is no tokenizer.json beside it, which a text tower of kind "
      f"{text['kind']!r} needs; put it there"
    )
  return found


def main(argv: list[str] | None = None) -> int:
  """Converts; returns the exit status."""
  parser = Parser(__doc__, "unloc_jax.weights")
  parser.add_argument(
    "--from",
    dest="source",
    required=True,
    help="file, folder, or repository of Hugging Face",
  )
  parser.add_argument("--to", required=True, help="new folder")
  parser.add_argument(
    "--activation",
    choices=("quick_gelu", "gelu", "gelu_tanh"),
    default="",
    help="of the MLPs, where no configuration beside the file states it",
  )
  args = parser.parse_args(argv)
  try:
    with foreign_files.opened(args.source) as path:
      tensors, config, file = foreign_files.read(path)
      made = convert(tensors, config, args.activation)
      tokenizer = _tokenizer(made, path)
    about = {**made.config, "source": {"from": args.source, "file": file}}
    save_weights(args.to, made.params, about, tokenizer)
  except (ValueError, OSError) as error:
    said = str(error).removeprefix(f"{args.source}: ")
    print(f"error: {args.source}: {said}", file=sys.stderr)
    return 1
  if "assumed" in made.config:
    print(f"assumed: {made.config['assumed']}")
  count = sum(value.size for value in made.params.values())
  print(f"{args.to}: {count:,} parameters, {json.dumps(made.config)}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
