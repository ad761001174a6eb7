"""Which tower makes tokens of which stream; a new sense is a new entry.

A stream is one thing that a video is to the model, under a name: "frames" are
pixels, "embeddings" what an image tower made of them before. How a stream is
read and made into rows is in `unloc_jax.data.streams`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from unloc_jax.models.towers import kinds
from unloc_jax.models.towers.sound import LogMelTower, ScoreTower
from unloc_jax.models.towers.temporal import TemporalStem

Make = Callable[[], nn.Module]


@dataclasses.dataclass(frozen=True)
class Encoder:
  """How a stream becomes tokens.

  Attributes:
    stream: Its name.
    sense: Prefix of the parameters SENSE_tower/, SENSE_stem/ and
      SENSE_projection/.
    make: Makes the tower, a module of (rows [B, ...], deterministic) -> tokens
      [B, N, width]; None where rows are such tokens.
    frozen: Detach the tower's output.
    is_named: Rows begin with scores of named classes and the mean embedding of
      their names; see `unloc_jax.models.match`.
    stem: Makes the module that sees a tower's tokens, frozen or not, along
      time, and adds to their projections; None for none.
  """

  stream: str
  sense: str
  make: Make | None
  frozen: bool = False
  is_named: bool = False
  stem: Make | None = None


def compute_dtype(config: ml_collections.ConfigDict) -> np.dtype:
  """`config.model.dtype` for the devices that JAX takes."""
  name = config.model.dtype
  if name == "auto":
    name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
  return jnp.dtype(name)


def _frames(config: ml_collections.ConfigDict) -> Encoder:
  tower = config.model.image_tower
  if not tower.num_layers:
    raise ValueError(
      "streams has frames but the model has no image tower; set "
      "model.image_tower.num_layers, or take precomputed embeddings"
    )
  make = functools.partial(
    kinds.image_tower,
    tower,
    scan=config.model.scan_layers,
    dtype=compute_dtype(config),
  )
  return Encoder("frames", "image", make, tower.frozen, stem=_stem(config))


def _embeddings(config: ml_collections.ConfigDict) -> Encoder:
  if config.model.image_tower.num_layers:
    return Encoder("embeddings", "image", None, stem=_stem(config))
  # The stem takes the place of the image tower.
  return Encoder("embeddings", "image", _stem(config))


def _stem(config: ml_collections.ConfigDict) -> Make | None:
  stem = config.model.stem.to_dict()
  if not stem["num_layers"]:
    return None
  if config.model.image_tower.num_layers:
    stem["width"] = config.model.width
  return functools.partial(TemporalStem, **stem, dtype=compute_dtype(config))


def _sound(config: ml_collections.ConfigDict) -> Encoder:
  tower, names = config.model.sound_tower, config.model.match.names
  make: Any = functools.partial(ScoreTower, names=names)
  if tower.num_layers:
    make = functools.partial(LogMelTower, num_layers=tower.num_layers)
    names = 0  # Log-mel tells of none.
  make = functools.partial(make, tower.width, dtype=compute_dtype(config))
  return Encoder("sound", "sound", make, tower.frozen, bool(names))


ENCODERS: dict[str, Callable[[ml_collections.ConfigDict], Encoder]] = {
  "frames": _frames,
  "embeddings": _embeddings,
  "sound": _sound,
}


def build_encoders(config: ml_collections.ConfigDict) -> tuple[Encoder, ...]:
  """Encoders of `config.streams`; points of the pyramid sit on the first.

  Raises:
    ValueError: A stream is not known, or two are of one sense.
  """
  unknown = sorted(set(config.streams) - set(ENCODERS))
  if unknown or not config.streams:
    raise ValueError(
      f"streams={config.streams!r} cannot be; give some of "
      f"{', '.join(ENCODERS)}"
    )
  encoders = tuple(ENCODERS[name](config) for name in config.streams)
  if len({encoder.sense for encoder in encoders}) < len(encoders):
    raise ValueError(
      f"streams={config.streams!r}: two are of one sense; leave one out"
    )
  return encoders
