"""Do dataset and weights belong together? Said in a line where they do not.

A run keeps what its dataset was in WORKDIR/source.json; weights and exports
made of it carry that on.
"""

import dataclasses
import json
import pathlib
import re
from typing import Any

import ml_collections

from unloc_jax import files
from unloc_jax.data.manifest import Manifest, Source, check_manifest
from unloc_jax.weights.image_embedder import features_of

_FILE = "source.json"
# What other videos must share; how strongly frames are compressed is left to
# the dataset.
_SHARED = (
  "extract",
  "frame_rate",
  "short_side",
  "normalisation",
  "embedding_width",
  "tower_hash",
  "sound_width",
  "sound_hash",
)


def of_manifest(manifest: Manifest) -> Source:
  """What a built dataset is, without its splits and classes."""
  names = [field.name for field in dataclasses.fields(Source)]
  return Source(**{name: getattr(manifest, name) for name in names})


def check(source: Source, manifest: Manifest | None) -> None:
  """Raises ValueError where a dataset is not what a model was trained on."""
  # Files others made do not say what they are.
  if manifest is not None:
    check_manifest(manifest, {key: getattr(source, key) for key in _SHARED})


def check_run(workdir: str, manifest: Manifest | None) -> None:
  """`check` against the dataset a run was started with, if it is known."""
  source = read(workdir)
  if source is not None:
    check(source, manifest)


def read(workdir: str) -> Source | None:
  """What a run's dataset was, None where it was not kept.

  Raises ValueError where WORKDIR/source.json is damaged.
  """
  path = pathlib.Path(workdir) / _FILE
  if not path.exists():
    return None
  try:
    return Source(**json.loads(path.read_text()))
  except (TypeError, ValueError) as error:
    raise ValueError(f"{path}: {error}; remove it") from error


def of_run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """What is written beside a run's weights, a JSON object."""
  source = read(workdir)
  return {
    "task": config.task,
    "model": config.model.to_dict(),
    "data": {key: config.data[key] for key in ("short_side", "image_size")},
    "source": source and dataclasses.asdict(source),
  }


def keep(workdir: str, manifest: Manifest | None) -> None:
  """Writes WORKDIR/source.json, once."""
  path = pathlib.Path(workdir) / _FILE
  if manifest is not None and not path.exists():
    files.write_json(path, dataclasses.asdict(of_manifest(manifest)))


def check_weights(
  config: ml_collections.ConfigDict, manifest: Manifest | None
) -> None:
  """Checks features against the tower whose projection a run starts from."""
  taken = re.match(config.init.take, "image_projection/kernel")
  if manifest is None or not manifest.tower_hash or not taken:
    return
  if config.init.weights:
    check_manifest(manifest, features_of(config.init.weights))
