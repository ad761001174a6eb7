r"""YAMNet and a sentence encoder -> the folder of an extractor of sound.

python -m data_preprocessing.sounds.extractor --yamnet YAMNET \
      --text_weights weights/minilm --out EXTRACTOR

YAMNET holds yamnet.tflite and yamnet_class_map.csv. EXTRACTOR also holds the
embeddings of the names of its classes, and of the wordings that a model
trained on mixtures then knows by heart.
"""

import argparse
import csv
import pathlib
import shutil
import sys
from collections.abc import Sequence

from data_preprocessing import command
from data_preprocessing.sounds import wordings
from unloc_jax import files
from unloc_jax.config.parser import Parser
from unloc_jax.data import sentences
from unloc_jax.media import extractors
from unloc_jax.weights.text_embedder import TextEmbedder

_CLASS_MAP = "yamnet_class_map.csv"
_TOKENS = 64
_NOTICE = """\
yamnet.tflite: YAMNet of the TensorFlow Models (M. Plakal, D. Ellis), trained on
AudioSet; Apache License 2.0.
sentences.npz: embeddings of texts by all-MiniLM-L6-v2 of sentence-transformers;
Apache License 2.0. Names of classes are AudioSet's (Google, CC BY 4.0).
Models trained on mixtures of ESC-10 have heard recordings of freesound.org that
K. J. Piczak collected (2015), CC BY 3.0; none of them is here.
"""


def make(args: argparse.Namespace) -> str:
  """Writes the folder; ValueError or OSError where something is missing."""
  path = args.yamnet / _CLASS_MAP
  with path.open(encoding="utf-8") as file:
    names = [row.get("display_name", "") for row in csv.DictReader(file)]
  if len(names) != extractors.CLASSES or "" in names:
    raise ValueError(f"{path}: not the {extractors.CLASSES} classes of YAMNet")
  encode = TextEmbedder(args.text_weights, _TOKENS)
  labels = wordings.LABELS
  texts = [text for label in labels for text in wordings.every(label)]
  args.out.mkdir(parents=True, exist_ok=True)
  path = str(args.out / extractors.SENTENCES)
  sentences.write(path, names, texts, labels, encode)
  files.write_text(args.out / "NOTICE", _NOTICE)
  shutil.copyfile(args.yamnet / extractors.YAMNET, args.out / extractors.YAMNET)
  return f"{args.out}: {', '.join(sorted(p.name for p in args.out.iterdir()))}"


def main(argv: Sequence[str] | None = None) -> int:
  """Makes the folder; returns the exit status."""
  parser = Parser(__doc__, "data_preprocessing.sounds.extractor")
  add = parser.add_argument
  add("--yamnet", required=True, type=pathlib.Path, help="folder of YAMNet")
  add("--text_weights", required=True, help="folder of the sentence encoder")
  add("--out", required=True, type=pathlib.Path, help="folder to write")
  args = parser.parse_args(argv)
  return command.ended(lambda: make(args), args.out)


if __name__ == "__main__":
  sys.exit(main())
