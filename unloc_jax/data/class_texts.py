"""Class names -> what a model is given of them: token ids or embeddings."""

from collections.abc import Sequence

import ml_collections
import numpy as np

from unloc_jax.data import sentences
from unloc_jax.task import prompts


def class_texts(
  config: ml_collections.ConfigDict, classes: Sequence[str]
) -> np.ndarray:
  """Prompts of all classes.

  Returns:
    int32 ids [R, C, L] of R templates, or float32 [R, C, E'], where the model
    takes sentences, or float32 [1, C, D] of `text.class_embeddings`.

  Raises:
    ValueError: The templates or the embeddings do not fit.
  """
  text = config.text
  if text.class_embeddings:
    return _embeddings(text.class_embeddings, classes, config.model.width)[None]
  if not (config.model.text_tower.num_layers or text.sentence_width):
    raise ValueError(
      "text.class_embeddings: the model has no text tower; give the file that "
      "python -m unloc_jax.embed_classes makes"
    )
  filled = prompts.fill(text.prompts, classes)
  return np.stack(list(map(sentences.reader(config), filled)))


def _embeddings(path: str, classes: Sequence[str], width: int) -> np.ndarray:
  """Precomputed embeddings of classes, float32 [C, D], found by name."""
  try:
    with np.load(path, allow_pickle=False) as file:
      rows = {str(name): row for row, name in enumerate(file["names"])}
      embeddings = file["embeddings"]
  except (OSError, ValueError, KeyError) as error:
    raise ValueError(
      f"text.class_embeddings: {path} cannot be read ({error}); make it with "
      "python -m unloc_jax.embed_classes"
    ) from error
  if embeddings.shape != (len(rows), width):
    raise ValueError(
      f"text.class_embeddings: {path} has shape {embeddings.shape}, not "
      f"{(len(rows), width)} (its names, model.width)"
    )
  missing = [name for name in classes if name not in rows]
  if missing:
    raise ValueError(
      f"text.class_embeddings: {path} lacks {len(missing)} of "
      f"{len(classes)} classes, such as {missing[0]!r}"
    )
  return embeddings[[rows[name] for name in classes]].astype(np.float32)
