"""Whether the values of a config can be: each key, and keys side by side."""

from collections.abc import Iterator
from typing import Any

import ml_collections

from unloc_jax.config import schema


def problems(config: ml_collections.ConfigDict) -> list[str]:
  """What is wrong with a config, a line each: the key and what is allowed."""
  found = []
  values = dict(_flat(config))
  for path, key in schema.leaves():
    if path in values and not key.fits(values[path]):
      found.append(f"{path}={values[path]!r} cannot be; give {key.allowed}")
  return found or _side_by_side(config)


def check(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError with the first thing that is wrong, in one line."""
  for problem in problems(config):
    raise ValueError(problem)


def _flat(
  config: ml_collections.ConfigDict, above: str = ""
) -> Iterator[tuple[str, Any]]:
  for name, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      yield from _flat(value, f"{above}{name}.")
    else:
      yield above + name, value


def _side_by_side(config: ml_collections.ConfigDict) -> list[str]:
  data = config.data
  if data.short_side < data.image_size:
    return [
      f"data.short_side={data.short_side} is below "
      f"data.image_size={data.image_size}: no square of that size can "
      "be cut; raise short_side"
    ]
  return []
