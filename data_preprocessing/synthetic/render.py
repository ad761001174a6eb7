"""Draws a scene at a time into an array of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from data_preprocessing.synthetic import scenes

_NOISE_SIDE = 512


def _distance(
  shape: str, dx: np.ndarray, dy: np.ndarray, radius: float
) -> np.ndarray:
  """Signed distance to the outline of a shape, negative inside."""
  if shape == "circle":
    return np.sqrt(dx * dx + dy * dy) - radius
  if shape == "square":
    return np.maximum(np.abs(dx), np.abs(dy)) - 0.86 * radius
  if shape == "bar":
    return np.maximum(np.abs(dx) - 1.2 * radius, np.abs(dy) - 0.38 * radius)
  # An upright triangle: three half planes at 120 degrees.
  side = 0.866 * np.abs(dx) - 0.5 * dy
  return np.maximum(side, dy) - 0.6 * radius


class Renderer:
  """Renders one scene at one frame size.

  Attributes:
    height: Pixels.
    width: Pixels.
  """

  def __init__(self, scene: scenes.Scene, height: int, width: int):
    self.height, self.width = height, width
    self._scene = scene
    side = min(height, width)
    self._side = side
    # Pixel centres in the coordinates of the central square.
    self._xs = (np.arange(width) + 0.5 - (width - side) / 2) / side
    self._ys = (np.arange(height) + 0.5 - (height - side) / 2) / side
    self._xs = self._xs.astype(np.float32)
    self._ys = self._ys.astype(np.float32)
    rng = np.random.default_rng([scene.seed, 1])
    # A tile read at random offsets is much cheaper than fresh noise.
    self._noise = rng.standard_normal(
      (_NOISE_SIDE, width, 3), dtype=np.float32
    ) * np.float32(scene.background.noise)

  def _background(self, time: float) -> np.ndarray:
    background = self._scene.background
    image = np.empty((self.height, self.width, 3), np.float32)
    image[:] = background.base
    for fx, fy, speed, phase, *colour in background.waves:
      # sin(a + b) by its parts: two short vectors instead of a whole image.
      a = 2 * math.pi * (fx * self._xs + speed * time + phase)
      b = 2 * math.pi * fy * self._ys
      wave = np.sin(b)[:, None] * np.cos(a) + np.cos(b)[:, None] * np.sin(a)
      image += wave[:, :, None] * np.asarray(colour, np.float32)
    return image

  def _draw(self, image: np.ndarray, state: scenes.State) -> None:
    reach = 1.35 * state.radius
    x0, x1 = np.searchsorted(self._xs, (state.x - reach, state.x + reach))
    y0, y1 = np.searchsorted(self._ys, (state.y - reach, state.y + reach))
    if x0 == x1 or y0 == y1:
      return
    dx = (self._xs[x0:x1] - state.x)[None, :]
    dy = (self._ys[y0:y1] - state.y)[:, None]
    cos, sin = math.cos(state.angle), math.sin(state.angle)
    distance = _distance(
      state.shape, cos * dx + sin * dy, cos * dy - sin * dx, state.radius
    )
    alpha = np.clip(0.5 - distance * self._side, 0.0, 1.0)[:, :, None]
    patch = image[y0:y1, x0:x1]
    colour = np.asarray(scenes.COLOURS[state.colour], np.float32)
    patch += alpha * (colour - patch)

  def __call__(
    self, time: float, extra: Sequence[scenes.State] = ()
  ) -> np.ndarray:
    """The frame shown at a time.

    Args:
      time: Seconds since the start of the scene.
      extra: Objects to draw besides those of the scene.

    Returns:
      uint8 [height, width, 3].
    """
    image = self._background(time)
    for state in [*scenes.states_at(self._scene, time), *extra]:
      self._draw(image, state)
    tick = round(time * 1000)
    row = (tick * 2654435761 + self._scene.seed * 40503) % (
      _NOISE_SIDE - self.height
    )
    image += self._noise[row : row + self.height]
    return (np.clip(image, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
