"""Tensors under others' names and layouts -> ours, checked to the last one."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from unloc_jax.config import schema
from unloc_jax.models.towers import kinds
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
    convert: Makes our weights of tensors, of the configuration beside their
      file ({} where there is none) and of the activation that a user names
      ("" where none); raises ValueError where they do not fit.
  """

  name: str
  recognises: Callable[[Tensors], bool]
  convert: Callable[[Tensors, Mapping[str, Any], str], Weights]


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
  """Tensors under our names, theirs still in layout, and those unknown.

  Raises ValueError where values cannot be weights.
  """
  names, unknown = translate(tensors, table)
  ours = {}
  for theirs, name in names.items():
    given = np.asarray(tensors[theirs])
    with np.errstate(over="ignore"):
      value = np.asarray(given, np.float32)
    if given.dtype.kind in "biu" or not np.isfinite(value).all():
      raise ValueError(
        f"{theirs.replace('/', '.')} holds {given.dtype}, or what is not "
        "finite; fetch the weights again, as floating-point numbers"
      )
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


# Others' names of activations -> ours.
_ACTIVATIONS = {
  "quick_gelu": "quick_gelu",
  "gelu": "gelu",
  "gelu_pytorch_tanh": "gelu_tanh",
  "gelu_new": "gelu_tanh",
}


def activation(stated: str, named: str, assumed: str) -> str:
  """Ours, of what a configuration states ("": nothing) or a user names.

  Raises ValueError where they contradict each other, or it is not known.
  """
  ours = _ACTIVATIONS.get(stated)
  if stated and ours is None:
    raise ValueError(
      f"its MLPs have {stated}; known: {', '.join(_ACTIVATIONS)}"
    )
  if ours and named and ours != named:
    raise ValueError(
      f"its configuration says {stated}, --activation {named}; leave it out"
    )
  return ours or named or assumed


def needed(params: Tensors, name: str, rank: int, what: str) -> np.ndarray:
  """A parameter of ours, of any rank where it is 0; ValueError without it."""
  if name not in params or rank not in (0, params[name].ndim):
    raise ValueError(
      f"it is not a {what}: there is nothing that could be our {name}"
    )
  return params[name]


def blocks_of(params: Tensors, tower: str) -> dict[str, Any]:
  """Number of blocks, and hidden width of their MLPs where it is odd."""
  pattern = re.compile(rf"{tower}/encoder/layer_(\d+)/")
  found = [int(m[1]) for m in map(pattern.match, params) if m]
  sizes = {"num_layers": 1 + max(found, default=-1)}
  first = params.get(f"{tower}/encoder/layer_0/mlp/up/kernel")
  if first is not None and first.ndim == 2:
    width, hidden = first.shape
    sizes |= {"mlp_dim": hidden} if hidden != 4 * width else {}
  return sizes


def shapes(sizes: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of our towers and projections.

  Args:
    sizes: {"image" | "text": section of `config.model`, what it leaves out has
      its default; "width": D}. An image tower also has its image_size.
  """
  found: dict[str, jax.ShapeDtypeStruct] = {}
  for part, make in (("image", kinds.image_tower), ("text", kinds.text_tower)):
    if part not in sizes:
      continue
    section = schema.base().model[f"{part}_tower"].to_dict() | sizes[part]
    if part == "image":
      side = section["image_size"]
      tower = make(section, per_frame_class=False)
      seen = jax.ShapeDtypeStruct((1, 1, side, side, 3), np.float32)
    else:
      tower = make(section)
      seen = jax.ShapeDtypeStruct((1, section["max_tokens"]), np.int32)
    start = functools.partial(tower.init_with_output, deterministic=True)
    out, variables = jax.eval_shape(start, jax.random.key(0), seen)
    flat = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    found |= {f"{part}_tower/{path}": leaf for path, leaf in flat.items()}
    found[f"{part}_projection/kernel"] = jax.ShapeDtypeStruct(
      (out.shape[-1], sizes["width"]), np.float32
    )
  return found


def heads(width: int, count: int) -> int:
  """The number of heads, where the width has so many; else ValueError."""
  if count < 1 or width % count:
    raise ValueError(
      f"a width of {width} has no {count} heads; put the model's config.json "
      "beside the file"
    )
  return count
