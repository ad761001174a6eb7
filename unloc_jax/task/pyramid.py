"""The temporal feature pyramid's geometry: the only place that knows it.

Level v of V has stride 2^v and T / 2^v points; a point at index i of level v
sits on sampled frame i * 2^v. All levels are laid out one after another,
finest first, in P points. Labelling (`targets`) and decoding (`decode`) read
the same table of points, so one is the inverse of the other.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def level_lengths(num_frames: int, num_levels: int) -> tuple[int, ...]:
  """Points of each level over so many frames, finest first."""
  return tuple(num_frames // 2**level for level in range(num_levels))


@dataclasses.dataclass(frozen=True)
class PyramidSpec:
  """Geometry of a feature pyramid (paper section 3.2).

  Attributes:
    num_frames: T, sampled frames per video.
    ranges: Per level, the half-open range [low, high) of the larger
      displacement (in frames) of segments that the level is in charge of.
    radius: Points further than `radius` strides from a segment's centre are
      not positive.

  Raises:
    ValueError: T is not divisible by the coarsest stride.
  """

  num_frames: int
  ranges: tuple[tuple[float, float], ...] = ((0.0, float("inf")),)
  radius: float = 3.0

  def __post_init__(self) -> None:
    coarsest = 2 ** (self.num_levels - 1)
    if self.num_frames % coarsest:
      raise ValueError(
        f"pyramid: {self.num_frames} frames are not divisible by {coarsest}, "
        f"the coarsest stride of {self.num_levels} levels; change "
        "data.num_frames or the number of levels"
      )

  @property
  def num_levels(self) -> int:
    return len(self.ranges)

  @property
  def strides(self) -> tuple[int, ...]:
    return tuple(2**v for v in range(self.num_levels))

  @property
  def lengths(self) -> tuple[int, ...]:
    return level_lengths(self.num_frames, self.num_levels)

  @property
  def num_points(self) -> int:
    return sum(self.lengths)

  @functools.cached_property
  def positions(self) -> np.ndarray:
    """Frame each point sits on, float32 [P]."""
    return np.concatenate(
      [
        np.arange(n, dtype=np.float32) * s
        for n, s in zip(self.lengths, self.strides, strict=True)
      ]
    )

  def per_point(self, per_level: Sequence[float]) -> np.ndarray:
    """Spreads one value per level over its points, float32 [P]."""
    values = np.asarray(per_level, np.float32)
    return np.repeat(values, self.lengths)

  @functools.cached_property
  def point_strides(self) -> np.ndarray:
    """Stride of each point's level in frames, float32 [P]."""
    return self.per_point(self.strides)

  @functools.cached_property
  def point_ranges(self) -> np.ndarray:
    """Displacement range of each point's level in frames, float32 [P, 2]."""
    lows, highs = zip(*self.ranges, strict=True)
    return np.stack([self.per_point(lows), self.per_point(highs)], axis=-1)

  def point_mask(self, frame_mask: jax.Array) -> jax.Array:
    """Valid frames [..., T] -> valid points [..., P].

    A point is valid iff the frame it sits on is.
    """
    return jnp.concatenate(
      [frame_mask[..., ::stride] for stride in self.strides], axis=-1
    )
