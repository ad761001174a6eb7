"""manifest.json of a built dataset: what it holds, and whether it fits."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import ml_collections
from etils import epath

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class SplitCounts:
  """How much a split holds."""

  videos: int
  queries: int
  segments: int


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What a builder says of the dataset it wrote.

  Attributes:
    dataset: name of the dataset.
    extract: "frames" (JPEG) or "features" (embeddings).
    frame_rate: stored frames per second.
    short_side: short side of stored frames, pixels.
    jpeg_quality: quality of stored frames, 1 to 100.
    embedding_width: width D_in of embeddings; None for frames.
    tower_hash: the image tower embeddings came from; None for frames.
    normalisation: how pixels were normalised for that tower.
    classes: class names in index order; () for captions.
    splits: counts by split.
  """

  dataset: str
  extract: str
  frame_rate: float
  short_side: int
  jpeg_quality: int
  embedding_width: int | None
  tower_hash: str | None
  normalisation: str
  classes: tuple[str, ...]
  splits: Mapping[str, SplitCounts]


def exists(folder: str | os.PathLike[str]) -> bool:
  """Whether the folder has a manifest; files others made have none."""
  return (epath.Path(folder) / "manifest.json").exists()


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
  """Reads folder/manifest.json; raises ValueError where it is not whole."""
  path = epath.Path(folder) / "manifest.json"
  if not exists(folder):
    raise FileNotFoundError(
      f"{path}: no manifest, so this is not a finished dataset; build it "
      "with python -m data_preprocessing.build, or correct data.path"
    )
  try:
    raw = json.loads(path.read_text())
    if raw["format"] != FORMAT:
      raise ValueError(f"format {raw['format']}, this code reads {FORMAT}")
    fields = {f.name: raw[f.name] for f in dataclasses.fields(Manifest)}
    fields["classes"] = tuple(fields["classes"])
    fields["splits"] = {
      name: SplitCounts(
        videos=counts["videos"],
        queries=counts["queries"],
        segments=counts["segments"],
      )
      for name, counts in fields["splits"].items()
    }
    return Manifest(**fields)
  except KeyError as error:
    raise ValueError(f"{path}: key {error} is missing; rebuild") from error
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"{path}: {error}; rebuild the dataset") from error


def expected_manifest(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """What `config.data` needs a manifest to say."""
  if config.inputs == "frames":
    return {"extract": "frames"}
  if config.inputs == "none":
    return {}
  return {"extract": "features", "embedding_width": config.embedding_width}


def check_manifest(manifest: Manifest, expected: Mapping[str, Any]) -> None:
  """Raises ValueError naming every entry that differs, and how."""
  names = {f.name for f in dataclasses.fields(Manifest)}
  unknown = sorted(set(expected) - names)
  if unknown:
    raise KeyError(f"no manifest entry is called {unknown}")
  differing = [
    f"{key} is {getattr(manifest, key)!r} in the dataset but {value!r} in "
    "the config or checkpoint"
    for key, value in expected.items()
    if getattr(manifest, key) != value
  ]
  if differing:
    raise ValueError(
      f"dataset {manifest.dataset!r} does not fit: {'; '.join(differing)}"
    )
