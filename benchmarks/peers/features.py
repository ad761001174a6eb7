"""What a pair of towers sees, in the clips that peers count time in.

Clip i of 2 s stands for position i, so the time of position p in what a peer is
given is 2 p + 1; `in_seconds` turns what it found back.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
import numpy as np

from unloc_jax.data import splits
from unloc_jax.data.sources import Video
from unloc_jax.task.sampling import Sampling, to_seconds
from unloc_jax.training import token_cache
from unloc_jax.training.state import Parts, init_params
from unloc_jax.weights.merging import initial_weights

CLIP = 2.0


def opened(
  config: ml_collections.ConfigDict,
) -> tuple[Parts, Any, list[splits.Split]]:
  """The model, its first weights, and all splits that a config has."""
  parts = Parts.from_config(config)
  params = init_params(parts, jax.random.key(0))
  if config.init.weights:
    params = initial_weights(config, params)
  names = (config.data.train_split, *config.eval.splits)
  return parts, params, [splits.open_split(config, name) for name in names]


def videos(
  parts: Parts, params: Any, split: splits.Split, out: pathlib.Path
) -> Iterator[tuple[Video, np.ndarray]]:
  """Every video that can be read, and its image tower's tokens [T, D]."""
  mesh = jax.make_mesh((1,), ("data",))
  found = token_cache.frame_tokens(parts, params, split, mesh, str(out))
  for video, tokens in zip(split.table.videos, found, strict=True):
    if video is not None:
      yield video, tokens


def length(sampling: Sampling) -> float:
  """Every video's, in clips' seconds."""
  return CLIP * sampling.num_frames


def in_clips(sampling: Sampling, video: Video) -> np.ndarray:
  """A video's segments [S, 2], in clips' seconds."""
  positions = sampling.to_positions(
    video.segments, video.frame_count, video.frame_rate
  )
  return np.clip(CLIP * (positions + 0.5), 0, length(sampling))


def in_seconds(
  sampling: Sampling, video: Video, found: np.ndarray
) -> np.ndarray:
  """Segments [N, 2] in clips' seconds, as seconds of the video."""
  step = sampling.seconds_per_position(video.frame_count, video.frame_rate)
  ends = np.asarray(found, np.float32).reshape(1, -1, 2) / CLIP - 0.5
  return to_seconds(ends, step[None], np.float32([video.duration]))[0]
