"""Draws a scene at a time into an array of pixels."""

import math
from collections.abc import Sequence

import numpy as np

from data_preprocessing.synthetic import scenes

_NOISE_SIDE = 512


def _distance(
  shape: str, dx: np.ndarray, dy: np.ndarray, radius: float
) -> np.ndarray:
  """Signed distance to the outline of a shape, negative inside."""
  x, y = np.abs(dx), np.abs(dy)
  distance: np.ndarray
  if shape == "circle":
    distance = np.sqrt(dx * dx + dy * dy) - radius
  elif shape == "square":
    distance = np.maximum(x, y) - 0.86 * radius
  elif shape == "bar":
    distance = np.maximum(x - 1.2 * radius, y - 0.38 * radius)
  else:
    # An upright triangle: three half planes at 120 degrees.
    distance = np.maximum(0.866 * x - 0.5 * dy, dy) - 0.6 * radius
  return distance


def _centres(count: int, side: int) -> np.ndarray:
  """Pixel centres along an axis, in coordinates of the central square."""
  centres = (np.arange(count) + 0.5 - (count - side) / 2) / side
  return centres.astype(np.float32)


class Renderer:
  """Renders one scene at one frame size, in pixels."""

  def __init__(self, scene: scenes.Scene, height: int, width: int):
    self.height, self.width = height, width
    self._scene = scene
    side = min(height, width)
    self._side = side
    self._xs = _centres(width, side)
    self._ys = _centres(height, side)
    background = scene.background
    waves = np.asarray(background.waves, np.float32).reshape(-1, 7)
    # Of sin(a + b) = sin(b) cos(a) + cos(b) sin(a) time changes a alone, which
    # is of columns: [sin b, cos b] [H, 2 K], a at time 0 [K, W], its change a
    # second [K, 1], colours of 0..255 [K, 1, 3].
    turn = np.float32(2 * math.pi)
    b = turn * self._ys[:, None] * waves[:, 1]
    self._rows = np.concatenate([np.sin(b), np.cos(b)], axis=1)
    self._phases = turn * (waves[:, 0, None] * self._xs + waves[:, 3, None])
    self._speeds = turn * waves[:, 2, None]
    self._colours = waves[:, None, 4:] * 255
    self._base = np.tile(np.asarray(background.base, np.float32) * 255, width)
    rng = np.random.default_rng([scene.seed, 1])
    # A tile read at random offsets is much cheaper than fresh noise.
    self._noise = rng.standard_normal(
      (_NOISE_SIDE, width, 3), dtype=np.float32
    ) * np.float32(255 * background.noise)

  def _background(self, time: float) -> np.ndarray:
    """float32 [H, W, 3] of 0..255; waves of rows and columns, one product."""
    a = self._phases + self._speeds * np.float32(time)
    parts = [np.cos(a)[:, :, None], np.sin(a)[:, :, None]]
    columns = np.concatenate([part * self._colours for part in parts])
    image: np.ndarray = self._rows @ columns.reshape(
      len(columns), 3 * self.width
    )
    image += self._base
    return image.reshape(self.height, self.width, 3)

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
    colour = np.asarray(scenes.COLOURS[state.colour], np.float32) * 255
    patch += alpha * (colour - patch)

  def __call__(
    self, time: float, extra: Sequence[scenes.State] = ()
  ) -> np.ndarray:
    """The frame at some second, uint8 [H, W, 3], with `extra` objects."""
    image = self._background(time)
    for state in [*scenes.states_at(self._scene, time), *extra]:
      self._draw(image, state)
    tick = round(time * 1000)
    row = (tick * 2654435761 + self._scene.seed * 40503) % (
      _NOISE_SIDE - self.height
    )
    image += self._noise[row : row + self.height]
    image += 0.5
    return np.clip(image, 0.0, 255.0, out=image).astype(np.uint8)
