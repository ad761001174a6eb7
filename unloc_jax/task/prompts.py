"""Class names -> the texts that every video is asked."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from unloc_jax.data.tokenizer import Tokenizer
from unloc_jax.models.unloc import Texts, UnLoc


def class_texts(
  config: ml_collections.ConfigDict, classes: tuple[str, ...]
) -> np.ndarray:
  """Prompts of all classes.

  Returns:
    int32 ids [R, C, L] of R templates, or float32 [1, C, D], the precomputed
    embeddings of `text.class_embeddings`.

  Raises:
    ValueError: There is no template, one lacks its {}, or the embeddings do
      not fit.
  """
  text = config.text
  if text.class_embeddings:
    return _embeddings(text.class_embeddings, classes, config.model.width)[None]
  if not config.model.text_tower.num_layers:
    raise ValueError(
      "text.class_embeddings: the model has no text tower; give the file that "
      "python -m unloc_jax.embed_classes makes"
    )
  broken = [prompt for prompt in text.prompts if prompt.count("{}") != 1]
  if broken or not text.prompts:
    raise ValueError(
      f"text.prompts: every template needs one {{}}; these do not: {broken}"
    )
  tokenize = Tokenizer(config.data.max_tokens)
  return np.stack(
    [
      tokenize([prompt.format(name) for name in classes])
      for prompt in text.prompts
    ]
  )


def _embeddings(path: str, classes: tuple[str, ...], width: int) -> np.ndarray:
  """Precomputed embeddings of classes, float32 [C, D], found by name."""
  with np.load(path, allow_pickle=False) as file:
    if {"names", "embeddings"} - set(file.files):
      raise ValueError(
        f"text.class_embeddings: {path} lacks names or embeddings; make it "
        "with python -m unloc_jax.embed_classes"
      )
    rows = {str(name): row for row, name in enumerate(file["names"])}
    embeddings = file["embeddings"]
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


def draw_prompts(prompts: jax.Array, key: jax.Array) -> jax.Array:
  """One template per class, [R, C, ...] -> [C, ...]."""
  prompts = jnp.asarray(prompts)  # NumPy cannot be indexed by what is traced.
  num_templates, num_classes = prompts.shape[:2]
  drawn = jax.random.randint(key, (num_classes,), 0, num_templates)
  return prompts[drawn, jnp.arange(num_classes)]


def encode_prompts(model: UnLoc, prompts: jax.Array) -> Texts:
  """Prompts [R, C, ...] -> texts [C, L', D], averaged over the templates.

  Where all tokens of a text are fused they cannot be averaged: the first
  template is taken. To be called as a method of a bound model.
  """
  if model.text_part == "all":
    return model.encode_text(prompts[0])
  texts = model.encode_text(prompts)
  return Texts(jnp.mean(texts.tokens, axis=0), texts.mask[0])
