"""Answers without training: a pair of towers, compared. A baseline.

    localizer = Untrained.from_weights("weights/clip_b16")

Frames are seen at a rate, and a text's similarity with them is calibrated
against other texts and cut where it stands out: see `unloc_jax.task.peaks`.
"""

import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import ClassVar

import ml_collections
import numpy as np

from unloc_jax.config import schema
from unloc_jax.config.keys import INF
from unloc_jax.data.manifest import Source
from unloc_jax.task import peaks
from unloc_jax.task.sampling import frame_edges
from unloc_jax.training.state import Parts
from unloc_jax.use import exports
from unloc_jax.use.answers import Answer
from unloc_jax.use.asking import Asker, Params
from unloc_jax.use.encoded import EncodedVideo
from unloc_jax.use.frames import DEFAULT_LIMITS, Limits
from unloc_jax.use.localizer import Localizer
from unloc_jax.use.questions import TextRows, checked_path
from unloc_jax.weights.folder import load_weights, tower_of
from unloc_jax.weights.image_embedder import load_embedder

# Texts that say little, beside those that are asked.
POOL = (
  *("a video", "a photo", "a picture of something", "a person", "an object"),
  *("a place", "nothing happens", "something else", "the background"),
)
# Frames a second, and of a window.
_RATE, _FRAMES = 2.0, 16
_IMAGE, _TEXT = "image_projection/kernel", "text_projection/kernel"


def as_export(folder: str, config: ml_collections.ConfigDict) -> exports.Export:
  """What an export of a folder's two towers would say.

  Its config is the one given, but for the model and the sizes of the data,
  which are as the towers want them. Raises ValueError where the folder holds
  no pair.
  """
  frames, loaded = load_embedder(folder), load_weights(folder)
  text = tower_of(loaded.config, "text")
  if not text or {_IMAGE, _TEXT} - set(loaded.params):
    raise ValueError(
      f"{folder}: holds no pair of image and text tower; give CLIP's or alike"
    )
  c = config.copy_and_resolve_references().unlock()
  c.streams, c.init.weights, c.init.take = c.streams[:1], folder, ""
  c.text.class_embeddings = c.text.tokenizer = ""
  c.pyramid.ranges = ((0, INF),)
  c.data.image_size, c.data.short_side = frames.image_size, frames.resized_side
  c.data.embedding_width, c.data.max_tokens = frames.width, text["max_tokens"]
  c.model.width = loaded.params[_TEXT].shape[1]
  c.model.text_part, c.model.dtype = "eos", "float32"
  c.model.stem.num_layers = 0
  c.model.image_tower.update(frames.sizes)
  c.model.text_tower.update(text)
  c.model.image_tower.per_frame_class = False
  # Our own pretraining says how; published pairs are compared by cosine.
  said = loaded.config.get("model", {}).get("fusion", {})
  similarity = said["similarity"] if said.get("kind") == "none" else "cosine"
  c.model.fusion.kind, c.model.fusion.similarity = "none", similarity
  source = Source(
    *("none", "frames", _RATE, frames.short_side, 95, "none", None, None)
  )
  window = _FRAMES / _RATE
  # Changes whenever the tokens of a video would.
  seen = f"{frames.tower_hash} {frames.normalisation} {source} {window}"
  digest = hashlib.sha256(seen.encode())
  digest.update(loaded.params[_IMAGE].tobytes())
  return exports.Export(
    folder=pathlib.Path(folder),
    config=c.lock(),
    source=source,
    window_seconds=window,
    labels=(),
    metrics={},
    encoder_hash=digest.hexdigest()[:32],
    # Published pairs may lack them; z-scores have no scale.
    spare={"log_scale": np.zeros(()), "relevance_bias": np.zeros(())},
  )


class PoolAsker(Asker):
  """Asks a pair of towers; a text is calibrated by the others and POOL."""

  def __init__(self, parts: Parts, params: Params):
    super().__init__(parts, params)
    self._pool = TextRows(parts.config).captions(POOL)

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
    both = np.concatenate([texts, pool], axis=1)
    times, said = super().logits(video, both)
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    asked, generic = np.split(said, [texts.shape[1]])
    return times, *peaks.calibrated(asked, generic, step)


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
    folder = checked_path(folder, "folder")
    c = schema.base().unlock()
    c.task = "frame_tagging"  # Every frame is compared with every text.
    c.data.sampling, c.data.rate, c.data.num_frames = "rate", 0.0, _FRAMES
    return cls(as_export(folder, c), limits)


def load(export: str, weights: str, text_weights: str) -> Localizer:
  """The model of an export (see `Localizer.from_export`), or of two towers."""
  if weights:
    return Untrained.from_weights(weights)
  return Localizer.from_export(export, text_weights=text_weights)
