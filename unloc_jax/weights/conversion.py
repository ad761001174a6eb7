"""Tensors under others' names and layouts -> ours, checked to the last one."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from unloc_jax.weights.folder import Weights
from unloc_jax.weights.merging import difference

Tensors = Mapping[str, np.ndarray]
# Rows (theirs, ours) of names, paths with {} for an index. A prefix that is
# mapped takes all below it along.
Table = tuple[tuple[str, str], ...]


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


def norm(theirs: str, ours: str) -> Table:
  """Rows of PyTorch's LayerNorm."""
  return (
    (f"{theirs}/weight", f"{ours}/scale"),
    (f"{theirs}/bias", f"{ours}/bias"),
  )


def linear(theirs: str, ours: str) -> Table:
  """Rows of PyTorch's Linear."""
  return (
    (f"{theirs}/weight", f"{ours}/kernel"),
    (f"{theirs}/bias", f"{ours}/bias"),
  )


def block(norms: tuple[str, str], attention: str, mlp: str) -> Table:
  """Rows of one block of a transformer.

  Args:
    norms: Names before attention and before the MLP.
    attention: "query key value out", below which path: "path query key ...".
    mlp: The same of "up down".
  """
  path, *maps = attention.split()
  below, *layers = mlp.split()
  rows = norm(norms[0], "norm_1") + norm(norms[1], "norm_2")
  for theirs, ours in zip(maps, ("query", "key", "value", "out"), strict=True):
    rows += linear(f"{path}/{theirs}", f"attention/{ours}")
  for theirs, ours in zip(layers, ("up", "down"), strict=True):
    rows += linear(f"{below}/{theirs}", f"mlp/{ours}")
  return rows


def blocks(theirs: str, ours: str, rows: Table) -> Table:
  """Rows of a stack of blocks, from those of one."""
  return tuple(
    (f"{theirs}/{{}}/{a}", f"{ours}/encoder/layer_{{}}/{b}") for a, b in rows
  )


def translate(
  names: Iterable[str], table: Table
) -> tuple[dict[str, str], list[str]]:
  """{name: ours} by the first row each matches; names that none does."""
  rows = []
  for theirs, ours in table:
    escaped = re.escape(theirs).replace(r"\{\}", r"(\d+)")
    rows.append((re.compile(escaped + r"(/.*)?$"), ours))
  translated, unknown = {}, []
  for name in names:
    for pattern, ours in rows:
      if match := pattern.match(name):
        *indices, rest = match.groups()
        translated[name] = ours.format(*indices) + (rest or "")
        break
    else:
      unknown.append(name)
  return translated, sorted(unknown)


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
