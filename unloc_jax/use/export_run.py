"""A run -> one portable folder that predicts, evaluates and explains itself.

params.safetensors  weights, the running average where the run kept one
config.json         the run's config
tokenizer.json      of a text tower that is not CLIP's
export.json         the videos it expects, labels, metrics, format
README.md           a model card
stablehlo/          if asked for: programs that need only JAX
saved_model/        if asked for: the same for TensorFlow
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from unloc_jax import files
from unloc_jax.data import sentences, splits, tokenizer
from unloc_jax.data.manifest import Source
from unloc_jax.media import extractors
from unloc_jax.models.towers.streams import build_encoders
from unloc_jax.parallel import sharding
from unloc_jax.training import provenance
from unloc_jax.training.checkpoints import Checkpoints, read_config
from unloc_jax.training.state import Parts
from unloc_jax.use import export_card, export_programs, exports
from unloc_jax.use.questions import checked_path, checked_seconds
from unloc_jax.weights.folder import EXPORT, save_weights

_NOTICE = "NOTICE"
# What decides which frames of a video the towers are shown, and how.
_SEEN = ("num_frames", "sampling", "rate", "image_size", "short_side")
# And what makes tokens of them.
_ENCODES = ("image_tower", "stem", "sound_tower")


def export_run(
  workdir: str,
  out: str,
  *,
  data: str = "",
  window_seconds: float = 0.0,
  half: bool = False,
  stablehlo: bool = False,
  saved_model: bool = False,
) -> exports.Export:
  """Exports a run's best checkpoint, else its latest; whole or not at all.

  Args:
    workdir: The run.
    out: Folder to make.
    data: Built dataset, where it is no longer at `config.data.path`.
    window_seconds: Length of the windows that longer videos are seen in; 0 is
      that of the longest video of the training or evaluation splits.
    half: Keep weights in float16.
    stablehlo: Add programs for JAX alone.
    saved_model: Add a TensorFlow SavedModel.

  Raises:
    FileExistsError: There is something at `out`.
    FileNotFoundError: There is no run, or its dataset has gone.
    ValueError: The run cannot be exported as asked.
  """
  folder = pathlib.Path(checked_path(out, "out"))
  if window_seconds:
    checked_seconds(window_seconds, "window_seconds")
  if folder.exists():
    raise FileExistsError(f"{folder} exists; choose another or remove it")
  config = read_config(workdir)
  config.data.path = data or config.data.path
  params = _params(workdir, Parts.from_config(config))
  about = _about(config, params, _metrics(workdir), window_seconds)
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(".partial", dir=folder.parent) as holder:
    beside = pathlib.Path(holder, folder.name)
    words = tokenizer.read(config)
    values = json.loads(config.to_json())
    save_weights(str(beside), params, values, words, half)
    if config.text.class_embeddings:
      kept = beside / exports.CLASS_EMBEDDINGS
      shutil.copy(config.text.class_embeddings, kept)
    if config.text.sentence_width:
      _copy_extractor(config, beside)
    files.write_json(beside / EXPORT, about)
    made = exports.read(str(beside))
    files.write_text(beside / "README.md", export_card.text(made, params))
    if stablehlo or saved_model:
      programs = export_programs.make(made)
      if stablehlo:
        export_programs.write_stablehlo(beside / "stablehlo", programs)
      if saved_model:
        export_programs.write_saved_model(beside / "saved_model", programs)
    beside.rename(folder)
  return exports.read(str(folder))


def _copy_extractor(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  """Copies sentences, and what lies beside them: YAMNet, its licence."""
  given = pathlib.Path(config.text.sentences)
  shutil.copy(given, folder / extractors.SENTENCES)
  if "sound" in config.streams and config.model.match.names:
    for name in (extractors.YAMNET, _NOTICE):
      if (given.parent / name).exists():
        shutil.copy(given.parent / name, folder / name)


def _params(workdir: str, parts: Parts) -> dict[str, np.ndarray]:
  """What would be evaluated, on any number of devices, whatever the run had."""
  whole = ml_collections.ConfigDict({"data": -1, "fsdp": 1, "model": 1})
  checkpoints = Checkpoints(workdir, parts.config)
  params = checkpoints.restore_params(parts, sharding.make_mesh(whole))
  checkpoints.close()
  return {name: np.asarray(value) for name, value in params.items()}


def _metrics(workdir: str) -> dict[str, dict[str, float]]:
  """What the run last scored, {split: {name: value}}."""
  found = {}
  for path in sorted(pathlib.Path(workdir).glob("results/*/metrics.json")):
    said = json.loads(path.read_text())
    found[path.parent.name] = {
      name: float(value)
      # QVHighlights' official layout has the figures to print apart.
      for name, value in said.get("brief", said).items()
      if isinstance(value, (int, float))
    }
  return found


def _about(
  config: ml_collections.ConfigDict,
  params: Mapping[str, np.ndarray],
  metrics: Mapping[str, Mapping[str, float]],
  window_seconds: float,
) -> dict[str, Any]:
  """The contents of export.json."""
  split = splits.open_split(config, config.data.train_split)
  seen = {
    "source": dataclasses.asdict(_source(config, split)),
    "window_seconds": window_seconds or _trained_seconds(config, split),
  }
  return {
    "format": exports.FORMAT,
    "task": config.task,
    **seen,
    "labels": _labels(config, split),
    "prompts": list(config.text.prompts),
    "metrics": metrics,
    "encoder_hash": encoder_hash(config, params, seen),
  }


def encoder_hash(
  config: ml_collections.ConfigDict,
  params: Mapping[str, np.ndarray],
  seen: Mapping[str, Any],
) -> str:
  """Changes whenever the tokens of a video would; `seen` is of export.json."""
  data = {key: config.data[key] for key in _SEEN}
  recipe = {
    **seen,
    "data": {**data, "inputs": "+".join(config.streams)},
    "model": {key: config.model[key].to_dict() for key in _ENCODES},
  }
  encoders = tuple(
    f"{encoder.sense}_{part}/"
    for encoder in build_encoders(config)
    for part in ("tower", "stem", "projection")
  )
  digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
  for name in sorted(params):
    if name.startswith((*encoders, "kind_embedding")):
      digest.update(name.encode())
      digest.update(np.ascontiguousarray(params[name]).tobytes())
  return digest.hexdigest()[:32]


def _labels(
  config: ml_collections.ConfigDict, split: splits.Split
) -> list[str]:
  """Classes, or what a model that knows sentences by heart was to find."""
  if split.classes or not config.text.sentence_width:
    return list(split.classes)
  width = config.text.sentence_width
  return list(sentences.read(config.text.sentences, width).labels)


def _source(config: ml_collections.ConfigDict, split: splits.Split) -> Source:
  """What the training data were, which other videos have to be."""
  if split.manifest is not None:
    return provenance.of_manifest(split.manifest)
  return Source(
    dataset=pathlib.Path(config.data.path).name,
    extract="frames",
    frame_rate=config.data.mediasequence_frame_rate,
    short_side=config.data.short_side,
    jpeg_quality=95,  # MediaSequence files do not say.
    normalisation="none",
    embedding_width=None,
    tower_hash=None,
  )


def _trained_seconds(
  config: ml_collections.ConfigDict, split: splits.Split
) -> float:
  """Length of what the model has seen at a time, seconds."""
  if config.data.sampling == "rate":
    rate = config.data.rate or _source(config, split).frame_rate
    return float(config.data.num_frames / rate)
  # The longest of those it was scored on, too: what evaluation sees whole,
  # prediction sees whole.
  scored = (splits.open_split(config, name) for name in config.eval.splits)
  videos = [v for seen in (split, *scored) for v in seen.table.videos]
  return float(max(v.duration for v in videos if v is not None))
