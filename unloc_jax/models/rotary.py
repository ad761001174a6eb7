"""Rotary positions on a grid of patches (Su et al., 2021; Heo et al., 2024)."""

import typing

import jax
import jax.numpy as jnp
import numpy as np

_BASE = 10_000.0


class Grid(typing.NamedTuple):
  """Tokens that are turned: `leading` at the origin, then a grid by rows.

  With leading tokens the grid's rows and columns count from 1.
  """

  rows: int
  columns: int
  leading: int = 0


def rotate(x: jax.Array, grid: Grid) -> jax.Array:
  """Queries or keys [..., S, H, d], turned by where their tokens are.

  The first half of d tells the column, the second the row; of each, channels
  2 i and 2 i + 1 turn as a pair by place / 10000 ** (2 i / (d / 2)), as in
  Perception Encoder (Bolya et al., 2025).
  """
  angles = _angles(grid, x.shape[-1])[:, None]  # Of all heads.
  even, odd = x[..., ::2], x[..., 1::2]
  cos, sin = (jnp.asarray(f(angles), x.dtype) for f in (np.cos, np.sin))
  turned = jnp.stack([even * cos - odd * sin, odd * cos + even * sin], axis=-1)
  return turned.reshape(x.shape)


def _angles(grid: Grid, width: int) -> np.ndarray:
  """float32 [S, d / 2] of tokens whose heads have d channels.

  Raises ValueError where d is no multiple of 4.
  """
  if width % 4:
    raise ValueError(f"heads of {width} channels cannot tell rows and columns")
  half = width // 2
  rates = _BASE ** (-np.arange(0, half, 2, dtype=np.float32) / half)
  row, column = np.indices((grid.rows, grid.columns)) + (grid.leading > 0)
  places = np.stack([column.ravel(), row.ravel()], axis=-1)
  places = np.pad(places, ((grid.leading, 0), (0, 0)))
  angles = places[..., None] * rates
  return np.asarray(angles.reshape(len(places), half), np.float32)
