"""An image tower of ours as a maker of features.

    python -m data_preprocessing.build --extract=features --checkpoint=DIR ...

A feature is the frame token that the model with this tower would compute,
before its projection: training from features is training from frames with the
tower frozen. Features and weights know each other by the tower's hash.
"""

import dataclasses
import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from unloc_jax.media import resizing
from unloc_jax.models.towers import kinds
from unloc_jax.weights.folder import PARAMS, load_weights, source_of, tower_of

_TOWER = "image_tower/"
_CLASS = "class_embedding"
_GRID = "position_embedding"
_SIZES = ("patch", "width", "num_layers", "num_heads", "classifier")
# What a hash names only where it is not CLIP's, as earlier ones do not.
_OF_CLIP = {
  "kind": "clip",
  "activation": "quick_gelu",
  "mlp_dim": 0,
  "class_token": True,
}
# Shorter side of stored frames where a checkpoint does not know its videos:
# that of data_preprocessing.build.
_STORED_SIDE = 256
# Frames at a time: enough to fill a device, little enough that a slow one
# still shows progress.
_BATCH, _BATCH_ON_CPU = 32, 8


@dataclasses.dataclass(frozen=True)
class TowerEmbedder:
  """One image tower, as `data_preprocessing.features` uses it.

  No device is touched before the first frame: other processes may need it.
  """

  sizes: dict[str, Any]  # As `config.model.image_tower`
  params: Mapping[str, np.ndarray]  # float32, names within the tower
  image_size: int  # Side of the square the tower sees, pixels
  resized_side: int  # Short side that frames are brought to before that crop
  short_side: int  # Short side of the frames it wants, pixels

  @property
  def width(self) -> int:
    """Channels D of a feature."""
    return int(self.sizes["width"])

  @property
  def normalisation(self) -> str:
    """What is done to frames before the tower."""
    name = {"siglip2": "SigLIP", "pe": "PE"}.get(self.sizes["kind"], "CLIP")
    return (
      f"{name}'s pixels, bicubic short side {self.resized_side}, centre"
      f" {self.image_size}"
    )

  @property
  def batch(self) -> int:
    """Frames B of a call."""
    return _BATCH_ON_CPU if jax.default_backend() == "cpu" else _BATCH

  @functools.cached_property
  def tower_hash(self) -> str:
    """Names architecture and weights; 32 hexadecimal digits."""
    sizes = {
      name: value
      for name, value in self.sizes.items()
      if name in _SIZES or _OF_CLIP.get(name, value) != value
    }
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode())
    for name in sorted(self.params):
      value = np.ascontiguousarray(self.params[name], np.float32)
      digest.update(f"{name} {value.shape}".encode())
      digest.update(value.tobytes())
    return digest.hexdigest()[:32]

  def embed(self, frames: np.ndarray) -> np.ndarray:
    """uint8 [B, H, W, 3] RGB -> float32 [B, D]; B is at most `batch`."""
    seen = resizing.centre(frames, self.image_size, self.resized_side)
    # One shape, one program: a video's last batch is filled up.
    missing = self.batch - len(seen)
    seen = np.pad(seen, ((0, missing), (0, 0), (0, 0), (0, 0)))
    return np.asarray(self._encode(seen), np.float32)[: len(frames)]

  @functools.cached_property
  def _encode(self) -> Callable[[np.ndarray], jax.Array]:
    """Frames [B, H, W, 3] -> tokens [B, D], by weights on the device."""
    tower = kinds.image_tower(self.sizes, per_frame_class=False, remat="none")

    @jax.jit
    def run(variables: Any, frames: jax.Array) -> Any:
      tokens: Any = tower.apply(variables, frames[:, None], True)
      return tokens[:, 0]

    nested = flax.traverse_util.unflatten_dict(dict(self.params), sep="/")
    return functools.partial(run, jax.device_put({"params": nested}))


def load_embedder(checkpoint: str) -> TowerEmbedder:
  """Reads the image tower of weights, of an export or of a finished run.

  Raises:
    ValueError: There is no tower, or its tokens depend on more than a frame.
  """
  folder = _weights_folder(pathlib.Path(checkpoint))
  loaded = load_weights(str(folder))
  sizes = tower_of(loaded.config, "image")
  if sizes is None:
    raise ValueError(f"{checkpoint}: does not say which towers it holds")
  if not sizes["num_layers"]:
    raise ValueError(
      f"{checkpoint}: holds no image tower, for it was trained on features; "
      "give the checkpoint that made them"
    )
  params = {
    name.removeprefix(_TOWER): value
    for name, value in loaded.params.items()
    if name.startswith(_TOWER)
  }
  if _GRID not in params:
    raise ValueError(f"{checkpoint}: holds no image tower; give another")
  classes = params.get(_CLASS)
  if classes is not None:
    if not (classes == classes[:1]).all():
      raise ValueError(
        f"{checkpoint}: its tower learned a class embedding for each of "
        f"{len(classes)} frame positions, so that a frame's token depends on "
        "where it is sampled; build frames, or take a tower trained with "
        "model.image_tower.frozen or without per_frame_class"
      )
    params[_CLASS] = classes[:1]
  count = len(params[_GRID]) - (_CLASS in params)
  # Where it does not divide by the patch, positions do not tell it.
  data = loaded.config.get("data", {})
  seen = loaded.config.get("towers", {}).get("image", data)
  side = int(seen.get("image_size", math.isqrt(count) * sizes["patch"]))
  resized = int(data.get("short_side", side))
  stored = max(_STORED_SIDE, side)
  source = source_of(str(folder))
  if source.get("extract") == "frames":
    stored = int(source["short_side"])
  return TowerEmbedder(sizes, params, side, resized, stored)


def features_of(folder: str) -> dict[str, Any]:
  """What a manifest has to say of features that fit a folder of weights.

  That is its own tower, or the tower of the features it was trained on; {}
  where it knows of neither. Raises as `load_embedder`.
  """
  source = source_of(folder)
  if source.get("extract") == "features":
    names = ("tower_hash", "normalisation", "embedding_width")
    return {name: source[name] for name in names}
  if tower_of(load_weights(folder).config, "image") is None:
    return {}
  tower = load_embedder(folder)
  return {
    "tower_hash": tower.tower_hash,
    "normalisation": tower.normalisation,
    "embedding_width": tower.width,
  }


def _weights_folder(folder: pathlib.Path) -> pathlib.Path:
  """A folder of weights; in a run, the one that it writes at its end."""
  if (folder / PARAMS).exists() or not (folder / "checkpoints").is_dir():
    return folder
  if not (folder / "weights").is_dir():
    raise ValueError(
      f"{folder}: this run is not finished; export it with python -m "
      "unloc_jax.export and give the export"
    )
  return folder / "weights"
