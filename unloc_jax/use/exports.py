"""An exported model: a folder, written by `export_run`, and its weights."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections
import numpy as np
from jax.sharding import Mesh

from unloc_jax.config import check, stored
from unloc_jax.data.manifest import Source
from unloc_jax.data.tokenizer import TOKENIZER
from unloc_jax.media import extractors
from unloc_jax.parallel import sharding
from unloc_jax.training.state import FlatParams, Parts, param_shapes
from unloc_jax.use.questions import checked_seconds, checked_texts
from unloc_jax.weights.folder import CONFIG, EXPORT, PARAMS, load_weights
from unloc_jax.weights.merging import merge_weights

FORMAT = 1
CLASS_EMBEDDINGS = "class_embeddings.npz"
_AGAIN = "copy or make the export again"


@dataclasses.dataclass(frozen=True)
class Export:
  """What an exported folder says; `params` are read when asked for."""

  folder: pathlib.Path
  config: ml_collections.ConfigDict  # The run's, locked
  source: Source  # The videos it expects
  window_seconds: float  # Longer videos are seen in windows of this length
  labels: tuple[str, ...]  # Classes it was trained on; () for captions
  metrics: dict[str, dict[str, float]]  # {split: {name: value}} of the run
  # Names what turns frames into tokens; encoded videos of another one cannot
  # be asked.
  encoder_hash: str
  # Parameters that the weights may lack.
  spare: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

  def params(self, parts: Parts, mesh: Mesh | None = None) -> FlatParams:
    """The weights, {path: float32 array}, stacked as the model wants them.

    They are split over the mesh; without one they are NumPy's. Raises
    ValueError where they do not fit the config.
    """
    shapes = param_shapes(parts)
    wanted = shapes if mesh is None else sharding.placed(shapes, mesh)
    try:
      given = load_weights(str(self.folder)).params
    except ValueError as error:
      place = self.folder / PARAMS
      raise ValueError(f"{place}: {error.__cause__}; {_AGAIN}") from error
    return merge_weights(wanted, {**self.spare, **given}, "")

  def extractor(self) -> extractors.Extractor | None:
    """What makes rows of sound; None where the model hears none.

    Raises ValueError where it is not the one that the model was trained with.
    """
    if "sound" not in self.config.streams:
      return None
    is_yamnet = (self.folder / extractors.YAMNET).exists()
    place = str(self.folder) if is_yamnet else extractors.LOG_MEL
    found = extractors.open_extractor(place, self.source.frame_rate)
    if found.digest != self.source.sound_hash:
      raise ValueError(
        f"{self.folder}: holds extractor of sound {found.digest}, but the model"
        f" was trained with {self.source.sound_hash}; {_AGAIN}"
      )
    return found


def is_export(folder: str) -> bool:
  """Whether a folder holds an export rather than a run."""
  return (pathlib.Path(folder) / EXPORT).exists()


def read(folder: str) -> Export:
  """Reads what an exported folder says.

  Raises FileNotFoundError where it is none, ValueError where it is broken or
  of a newer version.
  """
  path = pathlib.Path(folder) / EXPORT
  if not path.exists():
    raise FileNotFoundError(
      f"{path}: there is no exported model in this folder; make one with "
      "python -m unloc_jax.export --workdir RUN --out DIR"
    )
  with _told(path):
    values = json.loads(path.read_text(encoding="utf-8"))
    version = values["format"]
  if not isinstance(version, int) or version > FORMAT:
    raise ValueError(
      f"{path}: made by a newer version of unloc_jax (format {version}, this "
      f"one reads up to {FORMAT}); upgrade unloc_jax"
    )
  config = _config(path.parent)
  fields = dataclasses.fields(Source)
  with _told(path):
    # Earlier exports do not say that they hear nothing.
    source: dict[str, Any] = {f.name: f.default for f in fields if f.kw_only}
    source |= values["source"]
    return Export(
      folder=path.parent,
      config=config,
      source=Source(**{f.name: source[f.name] for f in fields}),
      window_seconds=checked_seconds(
        values["window_seconds"], "window_seconds"
      ),
      labels=checked_texts(values["labels"], "labels"),
      metrics=values["metrics"],
      encoder_hash=str(values["encoder_hash"]),
    )


@contextlib.contextmanager
def _told(path: pathlib.Path) -> Iterator[None]:
  """What is wrong with a file's values, as a ValueError that names it."""
  try:
    yield
  except KeyError as error:
    raise ValueError(f"{path}: key {error} is missing; {_AGAIN}") from error
  except (TypeError, AttributeError, ValueError) as error:
    raise ValueError(f"{path}: {error}; {_AGAIN}") from error


def _config(folder: pathlib.Path) -> ml_collections.ConfigDict:
  """The config of an export, whose files are all there."""
  try:
    config = stored.read(folder / CONFIG)
    check.check(config)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f"{folder / CONFIG} is missing; {_AGAIN}"
    ) from error
  except TypeError as error:
    raise ValueError(f"{folder / CONFIG}: {error}; {_AGAIN}") from error
  kept = [PARAMS]
  if (folder / TOKENIZER).exists():
    config.text.tokenizer = str(folder / TOKENIZER)
  if config.text.class_embeddings:
    config.text.class_embeddings = str(folder / CLASS_EMBEDDINGS)
    kept.append(CLASS_EMBEDDINGS)
  if config.text.sentence_width:
    config.text.sentences = str(folder / extractors.SENTENCES)
    kept.append(extractors.SENTENCES)
  for name in kept:
    if not (folder / name).is_file():
      raise FileNotFoundError(f"{folder / name} is missing; {_AGAIN}")
  return config
