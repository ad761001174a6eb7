"""Parameters of any module from NumPy: nothing is compiled to make them."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np


def drawn(module: nn.Module, *inputs: Any, **options: Any) -> Any:
  """Variables of the shapes of `module.init`, of the size it would give them.

  Biases are none of zero, scales near one.
  """
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(
    lambda: module.init(jax.random.key(0), *inputs, **options)
  )

  def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    value = rng.standard_normal(leaf.shape, np.float32)
    value *= np.prod(leaf.shape[:-1]) ** -0.5 if leaf.ndim > 1 else 0.1
    return 1 + value if path[-1].key == "scale" else value

  return jax.tree_util.tree_map_with_path(draw, shapes)
