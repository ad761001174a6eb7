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
    ValueError: There is no template, one lacks its {}, or there are not as
      many embeddings as classes.
  """
  text = config.text
  if text.class_embeddings:
    embeddings = np.load(text.class_embeddings, allow_pickle=False)
    wanted = (len(classes), config.model.width)
    if embeddings.shape != wanted:
      raise ValueError(
        f"text.class_embeddings: {text.class_embeddings} has shape "
        f"{embeddings.shape}, not {wanted} (classes, model.width)"
      )
    return embeddings[None].astype(np.float32)
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


def draw_prompts(prompts: jax.Array, key: jax.Array) -> jax.Array:
  """One template per class, [R, C, ...] -> [C, ...]."""
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
