"""Configs as JSON beside runs and exports, of this version and earlier ones."""

import json
import os
from typing import Any

import ml_collections
from etils import epath

from unloc_jax.config import schema
from unloc_jax.config.keys import Key

# Said elsewhere: the version of an export, and what follows from others.
_GONE = ("format", "data.texts", "data.eval_split")


def read(path: os.PathLike[str] | str) -> ml_collections.ConfigDict:
  """The locked config of a JSON file.

  A key that an earlier version did not have gets its default, which always
  means what that version did.

  Raises:
    FileNotFoundError: There is no such file.
    ValueError: It is not a config, or one of a later version.
  """
  try:
    values = dict(schema.flat(json.loads(epath.Path(path).read_text())))
  except (ValueError, AttributeError, RecursionError) as error:
    raise ValueError(f"{path}: not a config ({error}); restore it") from error
  config = schema.base().unlock()
  known = dict(schema.leaves())
  for name, value in values.items():
    if name in _GONE:
      continue
    if name == "data.inputs":
      name, value = "streams", (value,)
    if name not in known:
      raise ValueError(
        f"{path}: key {name!r} is of another version of unloc_jax; open it"
        " with that version"
      )
    try:
      config.update_from_flattened_dict({name: _like(known[name], value)})
    except (TypeError, OverflowError) as error:
      raise ValueError(
        f"{path}: {name}={value!r} cannot be; give {known[name].allowed}"
      ) from error
  return config.lock()


def _like(key: Key, value: Any) -> Any:
  """A value in the type of its key: JSON has no tuples, and 1 for 1.0."""
  if isinstance(key.default, float) and isinstance(value, int):
    return value if isinstance(value, bool) else float(value)
  if isinstance(value, list):
    return tuple(_like(key, item) for item in value)
  return value
