"""Class names -> sentences, by templates.

The templates of a benchmark are in `unloc_jax.annotations`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def fill(templates: Sequence[str], names: Sequence[str]) -> list[list[str]]:
  """Prompts of C classes, R x C.

  Raises:
    ValueError: There is no template, or one has not a single {}.
  """
  broken = [template for template in templates if template.count("{}") != 1]
  if broken or not templates:
    raise ValueError(
      f"text.prompts: every template needs one {{}}; these do not: {broken}"
    )
  return [[template.format(name) for name in names] for template in templates]


def draw(prompts: jax.Array, key: jax.Array) -> jax.Array:
  """One template per class, [R, C, ...] -> [C, ...]."""
  prompts = jnp.asarray(prompts)  # NumPy cannot be indexed by what is traced.
  num_templates, num_classes = prompts.shape[:2]
  drawn = jax.random.randint(key, (num_classes,), 0, num_templates)
  return prompts[drawn, jnp.arange(num_classes)]
