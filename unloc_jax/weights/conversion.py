"""Tensors under others' names and layouts -> ours, checked to the last one."""

import functools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from unloc_jax.config import schema
from unloc_jax.models.towers import kinds
from unloc_jax.weights.merging import difference

Tensors = Mapping[str, np.ndarray]
# Rows (theirs, ours) of names, paths with {} for an index. A prefix that is
# mapped takes all below it along.
Table = tuple[tuple[str, str], ...]


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


def block(norms: Mapping[str, str], maps: str) -> Table:
  """Rows of attention and an MLP.

  Args:
    norms: {theirs: ours} of the LayerNorms.
    maps: Their "query key value out up down", each a path.
  """
  rows = tuple(row for names in norms.items() for row in norm(*names))
  ours = [f"attention/{name}" for name in ("query", "key", "value", "out")]
  ours += ["mlp/up", "mlp/down"]
  for names in zip(maps.split(), ours, strict=True):
    rows += linear(*names)
  return rows


def below(theirs: str, ours: str, rows: Table) -> Table:
  """Rows of what lies below two paths."""
  return tuple((f"{theirs}/{a}", f"{ours}/{b}") for a, b in rows)


def blocks(theirs: str, tower: str, rows: Table) -> Table:
  """Rows of a tower's stack of blocks, from those of one."""
  return below(f"{theirs}/{{}}", f"{tower}/encoder/layer_{{}}", rows)


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


class Renamed:
  """Tensors under our names, in `params`, theirs still in layout.

  Raises ValueError where values cannot be weights, and of `fitted` where names
  or shapes are not those of our towers.
  """

  def __init__(self, tensors: Tensors, table: Table):
    names, unknown = translate(tensors, table)
    self._unknown = {name: tensors[name] for name in unknown}
    self.params: dict[str, np.ndarray] = {}
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
        # PyTorch's linear maps are [out, in], convolutions [out, in, h, w].
        value = value.transpose(*range(2, value.ndim), 1, 0)
      self.params[name] = value

  def needed(self, name: str, rank: int = 0) -> np.ndarray:
    """A parameter of ours, of any rank where it is 0; ValueError without it."""
    if name not in self.params or rank not in (0, self.params[name].ndim):
      raise ValueError(f"there is nothing that could be our {name}")
    return self.params[name]

  def image_sizes(self) -> dict[str, Any]:
    """Sizes of the image tower that shapes tell."""
    kernel = self.needed("image_tower/patch_embedding/kernel")
    positions = self.needed("image_tower/position_embedding", 2)
    side = math.isqrt(math.prod(kernel.shape[:-1]) // 3)
    patches = len(positions) - ("image_tower/class_embedding" in self.params)
    return {
      "patch": side,
      "width": kernel.shape[-1],
      "image_size": side * math.isqrt(patches),
      **self._blocks("image_tower"),
    }

  def text_sizes(self) -> dict[str, Any]:
    """Sizes of the text tower that shapes tell."""
    words = self.needed("text_tower/token_embedding/embedding", 2)
    return {
      "vocab_size": len(words),
      "max_tokens": len(self.needed("text_tower/position_embedding", 2)),
      "width": words.shape[1],
      **self._blocks("text_tower"),
    }

  def _blocks(self, tower: str) -> dict[str, Any]:
    """Number of blocks, and hidden width of their MLPs where it is odd."""
    pattern = re.compile(rf"{tower}/encoder/layer_(\d+)/")
    found = [int(m[1]) for m in map(pattern.match, self.params) if m]
    sizes = {"num_layers": 1 + max(found, default=-1)}
    first = self.params.get(f"{tower}/encoder/layer_0/mlp/up/kernel")
    if first is not None and first.ndim == 2:
      width, hidden = first.shape
      sizes |= {"mlp_dim": hidden} if hidden != 4 * width else {}
    return sizes

  def fitted(self, sizes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The parameters in the shapes of towers of these `sizes`."""
    wanted, shaped = shapes(sizes), dict(self.params)
    for name in shaped.keys() & wanted.keys():
      shaped[name] = _reshaped(name, shaped[name], wanted[name].shape)
    lines = difference({**shaped, **self._unknown}, wanted)
    if lines:
      raise ValueError(
        f"there are {len(lines)} differences, nothing was loaded:"
        + "".join(f"\n  {line}" for line in lines)
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


def heads(
  width: int, count: int = 0, channels: Mapping[int, int] | None = None
) -> int:
  """The number of heads: `count`, else of `channels` by width, else of 64.

  Raises ValueError where the width has not so many.
  """
  count = count or width // (channels or {}).get(width, 64)
  if count < 1 or width % count:
    raise ValueError(
      f"a width of {width} has no {count} heads; put the model's config.json "
      "beside the file"
    )
  return count


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
