"""Frame tokens of a frozen image tower: computed once, kept on disk.

A frozen tower gives the same tokens of a video in every epoch, as long as
nothing is augmented; training from kept tokens neither decodes frames nor runs
the tower.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from unloc_jax import files
from unloc_jax.data import pipeline, shards, splits
from unloc_jax.data.batch_stream import BatchStream
from unloc_jax.models.towers.streams import compute_dtype
from unloc_jax.models.unloc import UnLoc
from unloc_jax.parallel import sharding
from unloc_jax.training import console
from unloc_jax.training.state import FlatParams, Parts, nest

Batch = Mapping[str, Any]

_TOWER = "image_tower/"


def check(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError where tokens would not be the same in every epoch."""
  tower, augment = config.model.image_tower, config.data.augment
  moving = (
    augment.random_crop
    or augment.flip
    or augment.colour
    or augment.grey
    or augment.rand_layers
    or augment.stretch
    or augment.shortest_window < 1
    or tuple(augment.scale) != (1.0, 1.0)
    or tower.stochastic_depth
  )
  cached = config.streams[0] == "frames" and tower.frozen
  if not cached or moving:
    raise ValueError(
      "train.cache_frame_tokens needs a frozen image tower without "
      "stochastic depth and no augmentation of frames; set "
      "model.image_tower and data.augment, or do without the cache"
    )


def with_streams(
  config: ml_collections.ConfigDict, *in_place: str
) -> ml_collections.ConfigDict:
  """The config with other streams in place of the frames."""
  config = config.copy_and_resolve_references()
  others = tuple(name for name in config.streams if name != "frames")
  config.streams = in_place + others
  return config


def frame_tokens(
  parts: Parts,
  params: FlatParams,
  split: splits.Split,
  mesh: jax.sharding.Mesh,
  workdir: str,
) -> np.ndarray:
  """Tokens of every record of a split, float32 [records, T, width], mapped.

  They are computed where the workdir does not hold them yet. Each process
  keeps its own copy.
  """
  tower = {k: v for k, v in params.items() if k.startswith(_TOWER)}
  tower = sharding.gather(tower, mesh)
  name = f"{split.name}-{_fingerprint(parts.config, tower, split)}"
  folder = pathlib.Path(workdir) / "frame_tokens"
  path = folder / f"{name}-{jax.process_index()}.npy"
  if not path.exists():
    _compute(parts, tower, split, path)
  tokens: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
  return tokens


def _fingerprint(
  config: ml_collections.ConfigDict,
  tower: Mapping[str, np.ndarray],
  split: splits.Split,
) -> str:
  """Changes whenever the tokens would."""
  digest = hashlib.sha256()
  for record in split.records:
    digest.update(shards.stored_checksum(record))
  for section in (config.data, config.model.image_tower):
    digest.update(section.to_json(sort_keys=True).encode())
  digest.update(compute_dtype(config).name.encode())
  for name in sorted(tower):
    digest.update(name.encode())
    digest.update(np.ascontiguousarray(tower[name]).tobytes())
  return digest.hexdigest()[:16]


def _compute(
  parts: Parts,
  tower: Mapping[str, np.ndarray],
  split: splits.Split,
  path: pathlib.Path,
) -> None:
  config = parts.config
  shape = (
    len(split.records),
    config.data.num_frames,
    config.model.image_tower.width,
  )
  encode = jax.jit(
    lambda frames: parts.model.apply(
      nest(tower), "frames", frames, method=UnLoc.encode_stream
    )
  )
  batches = console.progress(_every_video(parts, split), "Frame tokens")
  with files.replacing(path) as beside:
    tokens = np.lib.format.open_memmap(
      beside, mode="w+", dtype=np.float32, shape=shape
    )
    for batch in batches:
      real = batch["example_mask"]
      found = np.asarray(encode(batch["streams"]["frames"]))
      tokens[batch["example_index"][real]] = found[real]
    tokens.flush()


def _every_video(parts: Parts, split: splits.Split) -> BatchStream:
  """Batches that hold each video once: all of its captions in one row."""
  config = parts.config.copy_and_resolve_references()
  config.streams = ("frames",)
  if parts.task.texts == "captions":
    queries = (len(v.query_ids) for v in split.table.videos if v is not None)
    config.data.max_queries = max(queries)
  whole = dataclasses.replace(split, config=config)
  return pipeline.make_eval(
    config, batch_size=config.eval.batch_size, split=whole
  )


def supply(
  batches: Iterator[Batch], tokens: np.ndarray
) -> Iterator[dict[str, Any]]:
  """Adds the tokens, as `embeddings`, to batches made without frames."""
  for batch in batches:
    kept = {"embeddings": tokens[batch["example_index"]]}
    mask = {"embeddings": batch["frame_mask"]}
    yield {
      **batch,
      "streams": batch["streams"] | kept,
      "masks": batch["masks"] | mask,
    }
