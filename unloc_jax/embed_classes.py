"""Class names -> the .npz that `text.class_embeddings` reads.

    python -m unloc_jax.embed_classes --config=configs/anet_tal.py:L \
      --config.data.path=DATA/anet/1.0.0 --config.init.weights=clip_l14 \
      --out=anet_l14.npz

Every class of the dataset is put into every template of `text.prompts`; its
embedding is their mean, as evaluation would take it.
"""

import sys
from collections.abc import Sequence

import ml_collections
import numpy as np

from unloc_jax.config import flags as config_flags
from unloc_jax.config.parser import Parser
from unloc_jax.data.manifest import read_manifest
from unloc_jax.files import write_arrays
from unloc_jax.weights.text_embedder import TextEmbedder


def embed(
  folder: str, names: tuple[str, ...], templates: tuple[str, ...], length: int
) -> np.ndarray:
  """Embeddings of C class names, float32 [C, D].

  They are the mean over templates with a {} for the name, read to `length`
  tokens. Raises ValueError where the folder of weights holds no text tower.
  """
  texts = [template.format(name) for name in names for template in templates]
  found = TextEmbedder(folder, length)(texts)
  of_names = found.reshape(len(names), len(templates), -1)
  return np.asarray(of_names.mean(axis=1))


def run(config: ml_collections.ConfigDict, out: str) -> str:
  """Embeds the classes of `data.path`; returns a line that says what is there.

  Raises ValueError where there are no classes, or no text tower.
  """
  names = read_manifest(config.data.path).classes
  if not names:
    raise ValueError(f"data.path: {config.data.path} holds no classes")
  embeddings = embed(
    config.init.weights, names, config.text.prompts, config.data.max_tokens
  )
  write_arrays(out, names=np.array(names), embeddings=embeddings)
  count = len(config.text.prompts)
  return f"{out}: {len(names)} classes, {count} templates, {embeddings.shape}"


def main(argv: Sequence[str] | None = None) -> None:
  """Runs; what is wrong is said in one line."""
  parser = Parser(__doc__)
  parser.add_argument("--out", required=True, help="file to write, .npz")
  flags, config = config_flags.parse(parser, argv)
  try:
    print(run(config, flags.out))
  except (ValueError, OSError) as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  main()
