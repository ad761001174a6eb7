"""Similarity of frames and texts -> segments, with nothing learned.

A baseline: a text's moments are where its curve stands out from what is around
it. NumPy; soft-NMS of what is proposed here is that of `detections.suppress`.
"""

import numpy as np
import scipy.ndimage

# A curve is cut at these shares of the way from its lowest to its highest.
_LEVELS = np.arange(1, 20) / 20
# Standard deviation of the Gaussian that smooths over time.
_SMOOTH_SECONDS = 0.25
MOST = 128  # Segments P of a text.


def calibrated(
  asked: np.ndarray, generic: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
  """Similarities of Q texts as z-scores over a pool: they and G generic ones.

  They are smoothed, and of each is subtracted what the pool's mean explains of
  it, by least squares: what makes a frame similar to any text. A constant added
  to all changes nothing. Where the pool says nothing of a text, as of towers
  that know few words, its curve stays as it is.

  Args:
    asked: [Q, T], of any scale.
    generic: [G, T], G at least 1.
    step: Seconds between two frames; 0 where there is one.

  Returns:
    The z-scores of both.
  """
  pool = np.concatenate([asked, generic]).astype(np.float64)
  if step:
    sigma = _SMOOTH_SECONDS / step
    pool = scipy.ndimage.gaussian_filter1d(pool, sigma, mode="nearest")
  pool -= pool.mean()
  common = pool.mean(axis=0)
  own = pool - pool.mean(axis=1, keepdims=True)
  share = own @ common / max(float(common @ common), 1e-9)
  pool -= np.clip(share, 0, 1)[:, None] * common
  pool /= max(float(pool.std()), 1e-9)
  return pool[: len(asked)], pool[len(asked) :]


def segments(
  curves: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """What stands out of each curve, cut at several levels.

  Args:
    curves: [Q, T]; only differences within one matter.
    edges: Seconds [T + 1], ascending: frame t stands for edges[t : t + 2].

  Returns:
    Segments float32 [Q, P, 2] in seconds, and scores float32 [Q, P], the best
    first: the logistic of a segment's mean above that of as much on either
    side. The whole video has 0.5; where the score is 0 there is none.
  """
  found = np.zeros((len(curves), MOST, 2), np.float32)
  scores = np.zeros((len(curves), MOST), np.float32)
  for q, curve in enumerate(curves):
    places = _places(curve)
    contrast = _contrast(curve, places)
    best = np.argsort(-contrast, kind="stable")[:MOST]
    found[q, : len(best)] = edges[places[best]]
    scores[q, : len(best)] = logistic(contrast[best])
  return found, scores


def logistic(values: np.ndarray) -> np.ndarray:
  """Values of any shape -> 0 to 1, float32."""
  return np.asarray(0.5 + 0.5 * np.tanh(values / 2), np.float32)


def _places(curve: np.ndarray) -> np.ndarray:
  """Runs [N, 2] above each level, and the whole; each once."""
  height = curve - curve.min()
  places = [np.array([[0, len(curve)]])]
  for level in _LEVELS:
    above = np.r_[False, height > level * height.max(), False]
    places.append(np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2))
  return np.unique(np.concatenate(places), axis=0)


def _contrast(curve: np.ndarray, places: np.ndarray) -> np.ndarray:
  """Mean inside runs [N, 2] minus that around; 0 where there is no around."""
  total = np.concatenate([[0.0], np.cumsum(curve - curve.mean())])
  first, last = places.T
  length = last - first
  before = np.maximum(first - length, 0)
  after = np.minimum(last + length, len(curve))
  inside = total[last] - total[first]
  outside = total[after] - total[before] - inside
  count = after - before - length
  mean = outside / np.maximum(count, 1)
  return np.where(count > 0, inside / length - mean, 0.0)
