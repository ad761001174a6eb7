"""Weights in a folder: `params.safetensors` and `config.json`.

The first holds our flat parameters, layers apart; the second sizes and where
they come from. A text tower that is not CLIP's has its `tokenizer.json` beside
them. What `python -m unloc_jax.weights`, a run and an export write has this one
form.
"""

import dataclasses
import json
import pathlib
import re
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from unloc_jax.config import schema
from unloc_jax.data.tokenizer import TOKENIZER

PARAMS = "params.safetensors"
CONFIG = "config.json"
# What an export says of itself, beside its weights.
EXPORT = "export.json"

_STACKED = re.compile(r"(.+)/layers/(.+)")


@dataclasses.dataclass(frozen=True)
class Weights:
  """Float32 arrays by name, layers apart; sizes and provenance."""

  params: dict[str, np.ndarray]
  config: dict[str, Any]


def save_weights(
  folder: str,
  params: Mapping[str, Any],
  config: Mapping[str, Any],
  tokenizer: str = "",
  half: bool = False,
) -> None:
  """Writes flat parameters, stacked layers taken apart, whole or not at all.

  Args:
    folder: New; FileExistsError is raised where there is something, another
      OSError where it cannot be written.
    params: By name.
    config: What config.json says.
    tokenizer: Text of the tokenizer.json; "" for CLIP's own.
    half: Write float16, else float32.
  """
  path = pathlib.Path(folder)
  if path.exists():
    raise FileExistsError(f"{path} exists; choose another or remove it")
  arrays = {
    name: np.asarray(value, np.float16 if half else np.float32, order="C")
    for name, value in unstack(params).items()
  }
  beside = path.with_name(path.name + ".tmp")
  shutil.rmtree(beside, ignore_errors=True)
  try:
    beside.mkdir(parents=True)
    text = json.dumps({"format": 1, **config}, indent=2)
    (beside / CONFIG).write_text(text + "\n")
    if tokenizer:
      (beside / TOKENIZER).write_text(tokenizer)
    safetensors.numpy.save_file(arrays, beside / PARAMS)
    # It makes files that only their owner may read.
    shutil.copymode(beside / CONFIG, beside / PARAMS)
    beside.rename(path)
  except safetensors.SafetensorError as error:
    raise OSError(f"{path}: cannot be written ({error})") from error
  finally:
    shutil.rmtree(beside, ignore_errors=True)


def load_weights(folder: str) -> Weights:
  """Reads a folder of weights; raises ValueError where it is none."""
  path = pathlib.Path(folder)
  try:
    config = json.loads((path / CONFIG).read_text())
    params = safetensors.numpy.load_file(path / PARAMS)
  except (OSError, ValueError, safetensors.SafetensorError) as error:
    raise ValueError(
      f"{path} is not a folder of weights ({error}); make one with "
      "python -m unloc_jax.weights --from FILE_OR_FOLDER --to FOLDER"
    ) from error
  return Weights({k: v.astype(np.float32) for k, v in params.items()}, config)


def source_of(folder: str) -> dict[str, Any]:
  """The videos that a folder's weights were trained on; {} where unknown."""
  export = pathlib.Path(folder) / EXPORT
  if export.exists():
    try:
      return dict(json.loads(export.read_text())["source"])
    except (KeyError, TypeError, ValueError) as error:
      raise ValueError(f"{export}: {error}; export again") from error
  source = load_weights(folder).config.get("source") or {}
  # Of others' weights it is where their file came from.
  return {} if "from" in source else source


def tower_of(config: Mapping[str, Any], tower: str) -> dict[str, Any] | None:
  """What a folder's config says of its "image" or "text" tower.

  It is a section of `config.model`; num_layers is 0 where there is no such
  tower, and it is None where the folder does not say.
  """
  # Those of others' weights; of CLIP's they have another name.
  towers = config.get("towers") or config.get("clip")
  model = config.get("model", {})
  said = towers.get(tower) if towers else model.get(f"{tower}_tower")
  if not said or "num_layers" not in said:
    return None
  section = schema.base().model[f"{tower}_tower"].to_dict()
  return {name: said.get(name, value) for name, value in section.items()}


def unstack(params: Mapping[str, Any]) -> dict[str, Any]:
  """{a/layers/b: [N, ...]} -> {a/layer_0/b: [...], ...}; the rest as it is."""
  flat = {}
  for name, value in params.items():
    match = _STACKED.fullmatch(name)
    if match is None:
      flat[name] = value
      continue
    for i in range(value.shape[0]):
      flat[f"{match[1]}/layer_{i}/{match[2]}"] = value[i]
  return flat


def stack(params: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
  """Stacks the layers that are stacked in `like`; undoes `unstack`."""
  flat = dict(params)
  for name, value in like.items():
    match = _STACKED.fullmatch(name)
    if match is None:
      continue
    layers = [
      flat.pop(f"{match[1]}/layer_{i}/{match[2]}")
      for i in range(value.shape[0])
    ]
    flat[name] = np.stack(layers)
  return flat
