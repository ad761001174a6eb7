"""manifest.json of a built dataset: what it holds, and whether it fits."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from etils import epath

NAME = "manifest.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class SplitCounts:
  """How much a split holds."""

  videos: int
  queries: int
  segments: int


@dataclasses.dataclass(frozen=True)
class Source:
  """What stored videos are, so that others can be made like them."""

  dataset: str  # Name of the benchmark
  extract: str  # "frames" (JPEG), "features" or "sound" alone
  frame_rate: float  # Stored positions per second
  # Shorter side of stored frames, in pixels, unless the video is smaller; 0
  # for features that were imported and for uncut size
  short_side: int
  jpeg_quality: int  # 1 to 95; 0 for features that were imported
  normalisation: str  # What was done to the pixels or features
  embedding_width: int | None  # Channels D of a feature; None for frames
  tower_hash: str | None  # Which tower made the features; None for frames
  _: dataclasses.KW_ONLY
  sound_width: int | None = None  # Channels of a row of sound; None for none
  sound_hash: str | None = None  # Which extractor made it; None for none
  text_width: int | None = None  # Channels of a text's token; None for none


@dataclasses.dataclass(frozen=True)
class Manifest(Source):
  """What a builder says of the dataset it wrote."""

  classes: tuple[str, ...]  # Names in index order; () for captions
  splits: Mapping[str, SplitCounts]
  # What it was built from: hashes of the annotation files, the build's
  # fingerprint, videos left out; {} where unknown
  source: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def to_json(self) -> str:
    """Returns the text of manifest.json."""
    return dumps({"format": FORMAT, **dataclasses.asdict(self)})


def dumps(record: Any) -> str:
  """Returns readable JSON with a fixed order, so equal records are equal."""
  return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def exists(folder: str | os.PathLike[str]) -> bool:
  """Whether the folder has a manifest; files others made have none."""
  return (epath.Path(folder) / NAME).exists()


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
  """Reads folder/manifest.json; raises ValueError where it is not whole."""
  path = epath.Path(folder) / NAME
  if not exists(folder):
    raise FileNotFoundError(
      f"{path}: no manifest, so this is not a finished dataset; build it "
      "with python -m data_preprocessing.build, or correct data.path"
    )
  try:
    raw = json.loads(path.read_text())
    if raw["format"] != FORMAT:
      raise ValueError(f"format {raw['format']}, this code reads {FORMAT}")
    if not isinstance(raw.get("source", {}), dict):
      raise ValueError("source is no object")
    # Earlier builders did not write what has a default.
    fields = {
      f.name: raw[f.name]
      for f in dataclasses.fields(Manifest)
      if f.name in raw or f.default is f.default_factory
    }
    fields["classes"] = tuple(fields["classes"])
    fields["splits"] = {
      name: SplitCounts(**counts) for name, counts in fields["splits"].items()
    }
    return Manifest(**fields)
  except KeyError as error:
    raise ValueError(f"{path}: key {error} is missing; rebuild") from error
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"{path}: {error}; rebuild the dataset") from error


def check_manifest(manifest: Manifest, expected: Mapping[str, Any]) -> None:
  """Raises ValueError naming every entry that differs, and how."""
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
