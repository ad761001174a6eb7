"""An opened split: its records, found and checked, and what its videos are."""

import contextlib
import dataclasses
import functools

import ml_collections
import numpy as np
import tensorflow as tf

from unloc_jax.config.check import check
from unloc_jax.data import manifest as manifests
from unloc_jax.data import shards, sources, streams, text_rows
from unloc_jax.data.mediasequence import MediaSequenceSource
from unloc_jax.data.tfds_source import TfdsSource
from unloc_jax.task.tasks import get_task

_GIB = 2**30
# What a task asks -> what to build for it.
_BUILT = {
  "captions": "--dataset custom (or anet_captions, ...)",
  "classes": "--dataset anet, in ActivityNet's JSON (or coin, ...)",
}


@dataclasses.dataclass
class Split:
  """An opened split."""

  config: ml_collections.ConfigDict  # Of the run
  name: str
  source: sources.Source
  records: list[shards.Record]  # In stored order
  manifest: manifests.Manifest | None  # None: MediaSequence files without
  corrupt: shards.CorruptRecords  # Met so far
  verified: bool  # Every checksum was compared when it was opened

  @functools.cached_property
  def table(self) -> sources.SplitTable:
    """Host-side table of the split's videos, read at first use."""
    return sources.read_table(self.source, self.records, self.corrupt)

  @functools.cached_property
  def all_classes(self) -> tuple[str, ...]:
    """The dataset's class names in index order."""
    if self.manifest is not None:
      return self.manifest.classes
    names: dict[int, str] = {}
    for video in self.table.videos:
      if video is not None:
        names.update(zip(map(int, video.query_ids), video.texts, strict=True))
    return tuple(names.get(i, f"class {i}") for i in range(max(names) + 1))

  @property
  def classes(self) -> tuple[str, ...]:
    """Class names in the order of segment_query; () for captions."""
    if get_task(self.config.task).texts != "classes":
      return ()
    return tuple(self.config.data.classes) or self.all_classes

  @functools.cached_property
  def class_index(self) -> tuple[int, ...]:
    """The dataset's index of each of `classes`."""
    places = {name: i for i, name in enumerate(self.all_classes)}
    unknown = [name for name in self.classes if name not in places]
    if unknown or not self.classes:
      raise ValueError(
        f"{self.config.data.path}: the dataset has no class {unknown}; correct "
        f"data.classes (it has {len(places)} classes)"
      )
    return tuple(places[name] for name in self.classes)

  @functools.cached_property
  def usable(self) -> np.ndarray:
    """Records with something to learn from: int64 indices, stored order."""
    if not self.config.data.classes:
      return np.arange(len(self.records))
    wanted = {str(i) for i in self.class_index}
    kept = [
      i
      for i, video in enumerate(self.table.videos)
      if video is not None and wanted & set(video.query_ids)
    ]
    if not kept:
      raise ValueError(
        f"{self.config.data.path}: no video of split {self.name!r} holds "
        f"one of the {len(wanted)} data.classes; choose others"
      )
    return np.asarray(kept)


def open_source(
  config: ml_collections.ConfigDict, split: str
) -> sources.Source:
  """The source `config.data.format` names."""
  if config.data.format == "tfds":
    return TfdsSource(config, split)
  return MediaSequenceSource(config, split)


def open_split(config: ml_collections.ConfigDict, split: str) -> Split:
  """Finds a split's records and checks that its shards are whole."""
  check(config)
  # TensorFlow would take memory the model needs; too late is also no harm.
  with contextlib.suppress(RuntimeError):
    tf.config.set_visible_devices([], "GPU")
  source, data = open_source(config, split), config.data
  records, manifest = source.records, None
  if not records:
    raise ValueError(f"{data.path}: split {split!r} is empty")
  if data.format == "tfds" or manifests.exists(data.path):
    manifest = manifests.read_manifest(data.path)
    _check_fits(config, manifest)
  if data.classes and get_task(config.task).texts != "classes":
    raise ValueError(
      f"data.classes selects classes, but task={config.task!r} asks captions; "
      "choose a task of classes or leave data.classes empty"
    )
  corrupt = shards.CorruptRecords(data.max_corrupt_records)
  verified = shards.total_bytes(records) <= data.verify_gib * _GIB
  if verified:
    shards.verify(records, corrupt)
  return Split(config, split, source, records, manifest, corrupt, verified)


def _check_fits(
  config: ml_collections.ConfigDict, manifest: manifests.Manifest
) -> None:
  """Raises ValueError where a dataset is not what a config asks for."""
  for stream in streams.of(config).values():
    manifests.check_manifest(manifest, stream.manifest(config))
  manifests.check_manifest(manifest, text_rows.manifest(config))
  stored, data = manifest.short_side, config.data
  if "frames" in config.streams and 0 < stored < data.image_size:
    raise ValueError(
      f"{data.path}: its frames have a short side of {stored} pixels, but "
      f"data.image_size={data.image_size}; build it with "
      f"--short_side={data.short_side}"
    )
  asked = get_task(config.task).texts
  held = "classes" if manifest.classes else "captions"
  if held != asked:
    raise ValueError(
      f"{data.path}: a dataset of {held}, but task={config.task!r} asks"
      f" {asked}; choose a config of {held}, or build the annotations as"
      f" {_BUILT[asked]}"
    )
