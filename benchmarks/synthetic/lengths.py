"""Lengths of events as a share of their video, in ranges [low, high)."""

import itertools

import numpy as np

_EDGES = (0.0, 0.06, 0.12, 0.25, 1.01)

RANGES = tuple(itertools.pairwise(_EDGES))


def name(low: float, high: float) -> str:
  """How a range is called in a table."""
  return f"{100 * low:.0f}-{100 * min(high, 1):.0f}% of the video"


def within(share: np.ndarray, low: float, high: float) -> np.ndarray:
  """bool [N]: which shares [N] lie in a range."""
  return (low <= share) & (share < high)
