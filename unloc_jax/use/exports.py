"""An exported model: a folder, written by `export_run`, and its weights."""

import dataclasses
import json
import pathlib

import ml_collections
from jax.sharding import Mesh

from unloc_jax.config import stored
from unloc_jax.data.manifest import Source
from unloc_jax.data.tokenizer import TOKENIZER
from unloc_jax.parallel import sharding
from unloc_jax.training.state import FlatParams, Parts, param_shapes
from unloc_jax.weights.folder import CONFIG, EXPORT, load_weights
from unloc_jax.weights.merging import merge_weights

FORMAT = 1
CLASS_EMBEDDINGS = "class_embeddings.npz"


@dataclasses.dataclass(frozen=True)
class Export:
  """What an exported folder says; `params` are read when asked for.

  Attributes:
    folder: Where it is.
    config: The run's locked config.
    source: The videos it expects.
    window_seconds: Longer videos are seen in windows of this length.
    labels: Classes it was trained on; () for captions.
    metrics: {split: {name: value}} of the run.
    encoder_hash: Names what turns frames into tokens; encoded videos of
      another one cannot be asked.
  """

  folder: pathlib.Path
  config: ml_collections.ConfigDict
  source: Source
  window_seconds: float
  labels: tuple[str, ...]
  metrics: dict[str, dict[str, float]]
  encoder_hash: str

  def params(self, parts: Parts, mesh: Mesh | None = None) -> FlatParams:
    """The weights, {path: float32 array}, stacked as the model wants them.

    They are split over the mesh; without one they are NumPy's. Raises
    ValueError where they do not fit the config.
    """
    shapes = param_shapes(parts)
    wanted = shapes if mesh is None else sharding.placed(shapes, mesh)
    return merge_weights(wanted, load_weights(str(self.folder)).params, "")


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
  try:
    values = json.loads(path.read_text())
    found = values["format"]
    if not isinstance(found, int) or found > FORMAT:
      raise ValueError(
        f"{path}: made by a newer version of unloc_jax (format {found}, this "
        f"one reads up to {FORMAT}); upgrade unloc_jax"
      )
    config = stored.read(path.parent / CONFIG)
    if (path.parent / TOKENIZER).exists():
      config.text.tokenizer = str(path.parent / TOKENIZER)
    if config.text.class_embeddings:
      config.text.class_embeddings = str(path.parent / CLASS_EMBEDDINGS)
    names = [field.name for field in dataclasses.fields(Source)]
    return Export(
      folder=path.parent,
      config=config,
      source=Source(**{name: values["source"][name] for name in names}),
      window_seconds=float(values["window_seconds"]),
      labels=tuple(values["labels"]),
      metrics=values["metrics"],
      encoder_hash=values["encoder_hash"],
    )
  except KeyError as error:
    raise ValueError(f"{path}: key {error} is missing; export again") from error
  except (TypeError, AttributeError, json.JSONDecodeError) as error:
    raise ValueError(f"{path}: {error}; export again") from error
