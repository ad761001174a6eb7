"""Answers without training: a pair of towers, compared. A baseline.

    localizer = Untrained.from_weights("weights/clip_b16")

Frames are seen at a rate, and a text's similarity with them is calibrated
against other texts and cut where it stands out: see `unloc_jax.task.peaks`.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import ml_collections
import numpy as np
from jax.sharding import Mesh

from unloc_jax.config import schema
from unloc_jax.config.keys import INF
from unloc_jax.data.manifest import Source
from unloc_jax.parallel import sharding
from unloc_jax.task import peaks
from unloc_jax.task.sampling import frame_edges
from unloc_jax.training.state import FlatParams, Parts, param_shapes
from unloc_jax.use import exports, questions
from unloc_jax.use.answers import Answer
from unloc_jax.use.asking import Asker, Params
from unloc_jax.use.encoded import EncodedVideo
from unloc_jax.use.frames import DEFAULT_LIMITS, Limits
from unloc_jax.use.localizer import Localizer
from unloc_jax.use.questions import checked_path
from unloc_jax.weights.folder import load_weights, tower_of
from unloc_jax.weights.image_embedder import TowerEmbedder, load_embedder
from unloc_jax.weights.merging import merge_weights

# Texts that say little, beside those that are asked.
POOL = (
  *("a video", "a photo", "a picture of something", "a person", "an object"),
  *("a place", "nothing happens", "something else", "the background"),
)
# Frames a second, and frames of a window.
_RATE, _FRAMES = 2.0, 16
# Compares every frame with every text, and learns nothing else.
_TASK = "frame_tagging"


@dataclasses.dataclass(frozen=True)
class Pair:
  """An image and a text tower with projections into the same space.

  Attributes:
    folder: Of the weights.
    params: By name, layers apart.
    towers: Sections `image_tower` and `text_tower` of `config.model`.
    similarity: As `config.model.fusion.similarity`.
    embedder: The image tower's, which knows its pixels.
  """

  folder: str
  params: Mapping[str, np.ndarray]
  towers: Mapping[str, Mapping[str, Any]]
  similarity: str
  embedder: TowerEmbedder

  @classmethod
  def read(cls, folder: str) -> "Pair":
    """Reads a folder of weights; ValueError where it holds no pair."""
    embedder, loaded = load_embedder(folder), load_weights(folder)
    text = tower_of(loaded.config, "text")
    if not text or "text_projection/kernel" not in loaded.params:
      raise ValueError(
        f"{folder}: holds no text tower; give a pair of image and text tower"
      )
    fusion = loaded.config.get("model", {}).get("fusion", {})
    is_compared = fusion.get("kind") == "none"
    towers = {"image_tower": embedder.sizes, "text_tower": text}
    return cls(
      folder,
      # Of published pairs; z-scores have no scale.
      {"log_scale": np.zeros(()), "relevance_bias": np.zeros(())}
      | loaded.params,
      {k: {**v, "frozen": False, "remat": "none"} for k, v in towers.items()},
      fusion["similarity"] if is_compared else "cosine",
      embedder,
    )

  def configured(
    self, config: ml_collections.ConfigDict
  ) -> ml_collections.ConfigDict:
    """A config whose model is this pair, its data sized accordingly."""
    c = config.copy_and_resolve_references().unlock()
    c.streams, c.init.weights = tuple(c.streams[:1]), self.folder
    c.init.take = ""
    c.text.class_embeddings = c.text.tokenizer = ""
    c.pyramid.ranges = ((0, INF),)
    c.data.image_size = self.embedder.image_size
    c.data.short_side = self.embedder.resized_side
    c.data.embedding_width = self.embedder.width
    c.data.max_tokens = self.towers["text_tower"]["max_tokens"]
    model = c.model
    model.width = self.params["text_projection/kernel"].shape[1]
    model.dtype, model.text_part, model.scan_layers = "float32", "eos", False
    model.stem.num_layers, model.head.num_layers = 0, 0
    model.fusion.kind, model.fusion.similarity = "none", self.similarity
    for name, section in self.towers.items():
      model[name].update(section)
    model.image_tower.per_frame_class = False
    return c.lock()

  def compared(self, config: ml_collections.ConfigDict) -> Parts:
    """The model of a config as of `configured`: similarities, any task."""
    c = config.copy_and_resolve_references().unlock()
    c.task = _TASK
    return Parts.from_config(c.lock())

  def placed(self, parts: Parts, mesh: Mesh | None = None) -> FlatParams:
    """Parameters of `compared`; ValueError where they do not fit."""
    shapes = param_shapes(parts)
    wanted = shapes if mesh is None else sharding.placed(shapes, mesh)
    return merge_weights(wanted, self.params, "")


@dataclasses.dataclass(frozen=True)
class _PairExport(exports.Export):
  """What an export would say of a pair."""

  pair: Pair

  @classmethod
  def of(cls, pair: Pair) -> "_PairExport":
    c = schema.base().copy_and_resolve_references().unlock()
    c.data.sampling, c.data.rate, c.data.num_frames = "rate", 0.0, _FRAMES
    recipe = [pair.embedder.tower_hash, pair.embedder.resized_side, _RATE]
    digest = hashlib.sha256(json.dumps(recipe).encode())
    digest.update(pair.params["image_projection/kernel"].tobytes())
    return cls(
      folder=pathlib.Path(pair.folder),
      config=pair.compared(pair.configured(c)).config,
      source=Source(
        dataset="none",
        extract="frames",
        frame_rate=_RATE,
        short_side=pair.embedder.short_side,
        jpeg_quality=95,
        normalisation="none",
        embedding_width=None,
        tower_hash=None,
      ),
      window_seconds=_FRAMES / _RATE,
      labels=(),
      metrics={},
      encoder_hash=digest.hexdigest()[:32],
      pair=pair,
    )

  def params(self, parts: Parts, mesh: Mesh | None = None) -> FlatParams:
    return self.pair.placed(parts, mesh)


class PoolAsker(Asker):
  """Asks a pair of towers; a text is calibrated by the others and POOL."""

  def __init__(self, parts: Parts, params: Params):
    super().__init__(parts, params)
    self._pool = questions.captions(parts.config, POOL)

  def moments(
    self,
    video: EncodedVideo,
    queries: Sequence[str],
    texts: np.ndarray,
    top_k: int,
  ) -> list[Answer]:
    """As of `Asker`; the score of a moment says how much it stands out."""
    times, curves, _ = self._calibrated(video, texts)
    edges = frame_edges(times, video.duration)
    segments, scores = peaks.segments(curves, edges)
    seen = times, peaks.logistic(curves)
    best = self._best(video, queries, segments[None], scores[None], seen, top_k)
    return list(best)

  def logits(
    self, video: EncodedVideo, texts: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """As of `Asker`; above 0 is what is likelier than all of POOL."""
    times, curves, generic = self._calibrated(video, texts)
    return times, curves - generic.max(axis=0)

  def _calibrated(
    self, video: EncodedVideo, texts: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds [N], z-scores of texts [Q, N] and of POOL [G, N]."""
    pool = np.repeat(self._pool, len(texts), axis=0)
    asked = np.concatenate([texts, pool], axis=1)
    times, said = super().logits(video, asked)
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    curves, _ = peaks.calibrated(said, said, step)
    count = texts.shape[1]
    return times, curves[:count], curves[count:]


class Untrained(Localizer):
  """A pair of towers, asked as a trained model is; made by `from_weights`."""

  asker: ClassVar[type[Asker]] = PoolAsker

  @classmethod
  def from_weights(
    cls, folder: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS
  ) -> "Untrained":
    """Loads what `python -m unloc_jax.weights` converted.

    Raises ValueError where it is no pair of image and text tower.
    """
    pair = Pair.read(checked_path(folder, "folder"))
    return cls(_PairExport.of(pair), limits)


def load(kind: str, folder: str, text_weights: str = "") -> Localizer:
  """The model of a folder: an "export", or "weights" of a pair of towers.

  An export's `text_weights` are as of `Localizer.from_export`.
  """
  if kind == "export":
    return Localizer.from_export(folder, text_weights=text_weights)
  return Untrained.from_weights(folder)
