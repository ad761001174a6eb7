"""Seconds <-> sampled positions: the only place that converts them.

A video of N frames, `frame_rate` of them a second, is shown to the model at T
positions 0 .. T-1. Reading, labelling, prediction and drawing all ask here.
How positions relate to points of the pyramid is in `pyramid`.
"""

import dataclasses
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

# NumPy, or JAX where it is traced.
Array: TypeAlias = Any

# Half a thousandth of a frame: 0.1 s at 10 fps is frame 1, not 0.99999.
_ROUNDING = np.float32(5e-4)


@dataclasses.dataclass(frozen=True)
class Sampling:
  """Which T frames of a video are shown; see `config.data`.

  Attributes:
    kind: "linspace", T positions spread over all frames, the first and last
      included; or "rate", a position per 1/rate seconds, the first T of them.
    num_frames: T.
    rate: Positions per second of "rate".
  """

  kind: str
  num_frames: int
  rate: float

  @classmethod
  def from_config(cls, config: ml_collections.ConfigDict) -> "Sampling":
    """The sampling of a config."""
    data = config.data
    return cls(data.sampling, data.num_frames, data.rate)

  def frames(
    self, count: int, frame_rate: float
  ) -> tuple[np.ndarray, np.ndarray]:
    """Which frames of a video are shown.

    Args:
      count: N, at least 1.
      frame_rate: Frames per second.

    Returns:
      int32 [T], the frame at every position, and bool [T], False where the
      video has ended (its last frame stands there).
    """
    if self.kind == "linspace":
      # In integers: rounding must not give the frame before.
      index = np.arange(self.num_frames, dtype=np.int64) * (count - 1)
      index //= max(self.num_frames - 1, 1)
      return index.astype(np.int32), np.ones(self.num_frames, bool)
    rate = np.float32(self.rate or frame_rate)
    times = np.arange(self.num_frames, dtype=np.float32) / rate
    index = np.floor(times * np.float32(frame_rate) + _ROUNDING)
    index = index.astype(np.int32)
    return np.minimum(index, np.int32(count - 1)), index < count

  def to_positions(
    self, seconds: np.ndarray, count: int, frame_rate: float
  ) -> np.ndarray:
    """Seconds, float32 of any shape -> positions, the same shape."""
    if self.kind == "rate":
      return seconds * np.float32(self.rate or frame_rate)
    scale = np.float32(self.num_frames - 1) / np.float32(max(count - 1, 1))
    return seconds * (np.float32(frame_rate) * scale)

  def seconds_per_position(self, count: Array, frame_rate: Array) -> jax.Array:
    """Seconds between two positions of B videos.

    A video of one frame has no second position; there it is 0.

    Args:
      count: N of each, int32 [B].
      frame_rate: Frames per second, float32 [B].

    Returns:
      float32 [B].
    """
    count, frame_rate = jnp.asarray(count), jnp.asarray(frame_rate)
    if self.kind == "rate":
      return jnp.where(count > 1, 1 / (self.rate or frame_rate), 0.0)
    return (count - 1) / frame_rate / max(self.num_frames - 1, 1)


def to_seconds(
  segments: jax.Array, seconds_per_position: jax.Array, duration: jax.Array
) -> jax.Array:
  """Segments [B, ..., 2] in positions -> seconds, clipped to the video.

  Args:
    segments: float32 [B, ..., 2].
    seconds_per_position: float32 [B], see `Sampling`.
    duration: float32 [B], seconds.
  """
  shape = (-1,) + (1,) * (segments.ndim - 1)
  seconds = segments * seconds_per_position.reshape(shape)
  return jnp.clip(seconds, 0.0, duration.reshape(shape))


def frame_edges(times: np.ndarray, duration: float) -> np.ndarray:
  """Seconds [N + 1] between which each of N frames at `times` stands.

  That is what is nearer to it than to its neighbours, in a video of `duration`
  seconds.
  """
  inner = (times[1:] + times[:-1]) / 2
  return np.minimum(np.concatenate([[0.0], inner, [duration]]), duration)
