"""Loaded weights go into a new model: all that is asked for, or nothing."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
import scipy.ndimage

from unloc_jax.weights.folder import load_weights, stack, tower_of, unstack

_CLASS = "image_tower/class_embedding"
_GRID = "image_tower/position_embedding"
_TEXT = "text_tower/position_embedding"
_POOL = "image_tower/pool/"


def difference(
  given: Mapping[str, Any], wanted: Mapping[str, Any]
) -> list[str]:
  """Readable differences in names and shapes, a line each; [] where none.

  "+" is only given, "-" is missing, "~" has another shape.
  """
  lines = []
  for name in sorted({*given, *wanted}):
    has = tuple(given[name].shape) if name in given else None
    needs = tuple(wanted[name].shape) if name in wanted else None
    if needs is None:
      lines.append(f"+ {name} {has} is not in the model")
    elif has is None:
      lines.append(f"- {name} {needs} is missing")
    elif has != needs:
      lines.append(f"~ {name} is {has}, the model has {needs}")
  return lines


def _resample(values: np.ndarray, *sides: int) -> np.ndarray:
  """[n, m, ..., D] -> [*sides, D], linearly, first and last entries kept."""
  factors = [new / old for new, old in zip(sides, values.shape, strict=False)]
  return np.asarray(scipy.ndimage.zoom(values, (*factors, 1), order=1))


def _resample_grid(values: np.ndarray, count: int) -> np.ndarray:
  """Square grid of embeddings [N * N, D] -> [M * M, D], M * M = count.

  What is not of a square image is left as it is.
  """
  old, new = (round(n**0.5) for n in (len(values), count))
  if old == new or old**2 != len(values) or new**2 != count:
    return values
  grid = _resample(values.reshape(old, old, -1), new, new)
  return grid.reshape(count, -1)


def _adapt(
  params: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
  """Fits what depends on frames, image size and text length to a model.

  Class embeddings become as many as the model's frames (a single one is
  repeated, others are interpolated in time), a "gap" model has none and no
  position for it, nor does it pool by attention, image positions are
  interpolated on their grid, and texts take the first positions.
  """
  pools = any(name.startswith(_POOL) for name in shapes)
  out = {k: v for k, v in params.items() if pools or not k.startswith(_POOL)}
  classes = 1 if _CLASS in params else 0
  if _CLASS not in shapes:
    out.pop(_CLASS, None)
  elif classes:
    out[_CLASS] = _resample(params[_CLASS], shapes[_CLASS][0])
  if _GRID in params and _GRID in shapes:
    kept = params[_GRID][: classes if _CLASS in shapes else 0]
    count = shapes[_GRID][0] - len(kept)
    grid = _resample_grid(params[_GRID][classes:], count)
    out[_GRID] = np.concatenate([kept, grid])
  if _TEXT in params and _TEXT in shapes:
    out[_TEXT] = params[_TEXT][: shapes[_TEXT][0]]
  return out


def merge_weights(
  initial: Mapping[str, Any], loaded: Mapping[str, np.ndarray], take: str
) -> dict[str, Any]:
  """Puts loaded parameters, layers apart, into a new model's.

  Every parameter of the model that `take` matches must be there in its shape,
  after `_adapt`; whole modules that the model does not have are left out.

  Args:
    initial: The model's, layers apart or stacked. Those with a sharding
      keep it.
    loaded: Flat.
    take: Regular expression that the names of what is taken begin with, such
      as "(image|text)_(tower|projection)/".

  Raises:
    ValueError: The two do not fit; all differences are listed, and nothing
      was loaded.
  """
  # Arrays without values, one for each layer.
  shapes = unstack(
    {k: np.broadcast_to(np.float32(0), v.shape) for k, v in initial.items()}
  )
  modules = {name.split("/")[0] for name in shapes}
  chosen = {k: v for k, v in loaded.items() if k.split("/")[0] in modules}
  chosen = _adapt(chosen, {name: s.shape for name, s in shapes.items()})
  chosen = {k: v for k, v in chosen.items() if re.match(take, k)}
  wanted = {k: v for k, v in shapes.items() if re.match(take, k)}
  if not wanted:
    raise ValueError(f"init.take: {take!r} matches no parameter of the model")
  lines = difference(chosen, wanted)
  if lines:
    raise ValueError(
      f"the weights do not fit the model ({len(lines)} differences), nothing "
      "was loaded:" + "".join(f"\n  {line}" for line in lines)
    )
  taken = {
    name: value
    for name, value in initial.items()
    if name.replace("/layers/", "/layer_0/") in wanted
  }
  stacked = stack(chosen, taken)
  return {
    name: _placed_like(stacked[name], value) if name in stacked else value
    for name, value in initial.items()
  }


def _placed_like(value: np.ndarray, old: Any) -> Any:
  """The value on the devices that `old` is, or is to be, split over."""
  value = np.asarray(value, old.dtype)
  if getattr(old, "sharding", None) is None:
    return value
  return jax.make_array_from_callback(
    value.shape, old.sharding, lambda index: value[index]
  )


def initial_weights(
  config: ml_collections.ConfigDict, initial: Mapping[str, Any]
) -> dict[str, Any]:
  """A new model's parameters with those of `config.init` put in.

  Raises:
    ValueError: They do not fit; every difference is listed.
  """
  loaded = load_weights(config.init.weights)
  for name in ("image", "text"):
    held = tower_of(loaded.config, name)
    wanted = config.model[f"{name}_tower"]
    taken = re.match(config.init.take, f"{name}_tower/")
    if not (taken and held and held["num_layers"] and wanted.num_layers):
      continue
    # Parameters of the same names and shapes, which mean something else.
    for key in ("kind", "activation"):
      if held[key] != wanted[key]:
        raise ValueError(
          f"model.{name}_tower.{key}={wanted[key]!r}, but {config.init.weights}"
          f" holds a tower of {held[key]!r}; set it so, or take other weights"
        )
  return merge_weights(initial, loaded.params, config.init.take)
