"""How each stream is made of a record; a new sense is a new entry.

Which tower makes tokens of a stream is in `unloc_jax.models.towers.streams`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import ml_collections
import numpy as np

if TYPE_CHECKING:
  # TensorFlow is imported where an op is made: shapes need none of it.
  from unloc_jax.data.ops import Op, Record

Config: TypeAlias = ml_collections.ConfigDict


@dataclasses.dataclass(frozen=True)
class Stream:
  """A stream, from what is stored to a row of a batch."""

  # Stored features that `make` wants in the record, as
  # `tf.io.parse_single_example` takes them
  features: Callable[[Config], Mapping[str, Any]]
  # Shape and dtype of its row
  row: Callable[[Config], tuple[tuple[int, ...], Any]]
  num_tokens: Callable[[Config], int]  # N, the length of its mask
  # (config, training) -> op that adds the row to the record under the stream's
  # name; frames are sampled already
  make: "Callable[[Config, bool], Op]"
  mask: "Callable[[Record], Any]"  # Of the record after `make`, bool [N]
  # What it needs the dataset's manifest to say
  manifest: Callable[[Config], Mapping[str, Any]] = lambda config: {}
  # Why `make` fails on a record (outside tf.data), for the user; None: not
  # known
  fault: "Callable[[Record], str | None]" = lambda record: None


def _pixels() -> Any:
  from unloc_jax.data import pixels

  return pixels


def _vectors(
  name: str,
  width: Callable[[Config], int],
  manifest: Callable[[Config], Mapping[str, Any]],
  present: str = "",
) -> Stream:
  """A stream of one stored vector a position, zeros where there is none.

  Args:
    name: Of the stream and of the stored feature.
    width: Channels of a vector.
    manifest: Of the stream.
    present: Stored feature that says which positions have one; "" for all.
  """

  def features(config: Config) -> Mapping[str, Any]:
    import tensorflow as tf

    del config
    found = {name: tf.io.FixedLenSequenceFeature([], tf.float32, True)}
    if present:
      found[present] = tf.io.FixedLenSequenceFeature([], tf.int64, True)
    return found

  def make(config: Config, training: bool) -> "Op":
    import tensorflow as tf

    del training

    def apply(record: "Record") -> "Record":
      index, mask = record["frame_index"], record["frame_mask"]
      if present:
        mask &= tf.cast(tf.gather(record[present], index), tf.bool)
      stored = tf.reshape(record[name], [-1, width(config)])
      rows = tf.gather(stored, index)
      rows *= tf.cast(mask, rows.dtype)[:, None]
      return {**record, name: rows, f"{name}_mask": mask}

    return apply

  return Stream(
    features=features,
    row=lambda config: ((config.data.num_frames, width(config)), np.float32),
    num_tokens=lambda config: int(config.data.num_frames),
    make=make,
    mask=lambda record: record[f"{name}_mask"],
    manifest=manifest,
  )


STREAMS: dict[str, Stream] = {
  "frames": Stream(
    features=lambda config: _pixels().features(),
    row=lambda config: (
      (config.data.num_frames, *[config.data.image_size] * 2, 3),
      np.uint8,
    ),
    num_tokens=lambda config: int(config.data.num_frames),
    make=lambda config, training: _pixels().make(config, training),
    mask=lambda record: record["frame_mask"],
    manifest=lambda config: {"extract": "frames"},
    fault=lambda record: _pixels().fault(record),
  ),
  "embeddings": _vectors(
    "embeddings",
    lambda config: config.data.embedding_width,
    lambda config: {
      "extract": "features",
      "embedding_width": config.data.embedding_width,
    },
  ),
  "sound": _vectors(
    "sound",
    lambda config: config.data.sound_width,
    lambda config: {"sound_width": config.data.sound_width},
    present="sound_heard",
  ),
}


def of(config: Config) -> dict[str, Stream]:
  """The streams of a config, by name.

  Raises:
    ValueError: One is not known.
  """
  unknown = sorted(set(config.streams) - set(STREAMS))
  if unknown:
    raise ValueError(
      f"streams={config.streams!r} cannot be; give some of {', '.join(STREAMS)}"
    )
  return {name: STREAMS[name] for name in config.streams}


def row_spec(config: Config) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
  """Shapes and types of the entries "streams" and "masks" of a row."""
  shape, found = jax.ShapeDtypeStruct, of(config)
  return {
    "streams": {name: shape(*s.row(config)) for name, s in found.items()},
    "masks": {
      name: shape((s.num_tokens(config),), np.bool_)
      for name, s in found.items()
    },
  }


def make(config: Config, training: bool) -> "Op":
  """Adds the entries "streams" and "masks" to a record."""
  found = of(config)
  steps = {name: s.make(config, training) for name, s in found.items()}

  def apply(record: "Record") -> "Record":
    made = {name: step(record) for name, step in steps.items()}
    rows = {name: made[name][name] for name in found}
    masks = {name: stream.mask(made[name]) for name, stream in found.items()}
    return {**record, "streams": rows, "masks": masks}

  return apply
