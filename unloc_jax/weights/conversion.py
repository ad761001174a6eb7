"""Tensors under others' names and layouts -> ours, checked to the last one."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unloc_jax.weights.folder import Weights
from unloc_jax.weights.merging import difference
from unloc_jax.weights.names import Table, translate

Tensors = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Format:
  """A form in which others publish weights.

  Attributes:
    name: For a reader.
    recognises: Whether tensors (by name, parts joined by slashes) have it.
    convert: Makes our weights of tensors and of the configuration beside their
      file ({} where there is none); raises ValueError where they do not fit.
  """

  name: str
  recognises: Callable[[Tensors], bool]
  convert: Callable[[Tensors, Mapping[str, Any]], Weights]


def renamed(
  tensors: Tensors, table: Table
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Tensors under our names, theirs still in layout, and those unknown."""
  names, unknown = translate(tensors, table)
  ours = {}
  for theirs, name in names.items():
    value = np.asarray(tensors[theirs], np.float32)
    if name.endswith("kernel") and theirs.endswith("/weight"):
      # PyTorch's linear maps are [out, in], its convolutions [out, in, h, w].
      value = value.transpose(*range(2, value.ndim), 1, 0)
    ours[name] = value
  return ours, {name: tensors[name] for name in unknown}


def fitted(
  params: Tensors, unknown: Tensors, wanted: Mapping[str, Any], what: str
) -> dict[str, np.ndarray]:
  """Parameters as of `renamed` in the shapes that our towers want.

  Raises:
    ValueError: They are not those of `what` they were taken for; every
      difference is listed.
  """
  shaped = dict(params)
  for name in params.keys() & wanted.keys():
    shaped[name] = _reshaped(name, params[name], wanted[name].shape)
  lines = difference({**shaped, **unknown}, wanted)
  if lines:
    raise ValueError(
      f"it is not the {what} it looks like ({len(lines)} differences), "
      "nothing was loaded:" + "".join(f"\n  {line}" for line in lines)
    )
  return shaped


def _reshaped(
  name: str, value: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
  """The value in our shape; as it came where it does not fit."""
  theirs = shape
  if name.endswith("patch_embedding/kernel"):
    theirs = (*value.shape[:-1], shape[-1])
  elif name.endswith("attention/out/kernel"):
    theirs = (shape[0] * shape[1], shape[2])
  elif "/attention/" in name and "/out/" not in name:
    theirs = (*shape[:-2], shape[-2] * shape[-1])
  elif name.endswith("class_embedding"):
    theirs = shape[1:]
  fits = value.shape == theirs and value.size == np.prod(shape)
  return value.reshape(shape) if fits else value
