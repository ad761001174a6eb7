"""Highlight detection of QVHighlights: HL-mAP and HIT@1.

Axes: Q queries, N clips of a video, A annotators (3).
"""

from collections.abc import Sequence

import numpy as np

from unloc_jax.annotations.arrays import QueryMoments

LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Average precision [Q, A] of clips, tied scores taken together, 0..1.

  Precision is made monotone and averaged over the levels of recall that are
  reached. Rows whose labels are all 0 give 0.

  Args:
    scores: [Q, N] predicted saliency.
    labels: [Q, N, A] bool.
  """
  order = np.argsort(-scores, axis=1, kind="stable")
  ordered = np.take_along_axis(scores, order, axis=1)
  labels = np.take_along_axis(labels, order[:, :, None], axis=1)
  last = np.ones(ordered.shape, bool)
  last[:, :-1] = ordered[:, :-1] != ordered[:, 1:]
  found = np.cumsum(labels, axis=1)
  ranks = np.arange(1, ordered.shape[1] + 1)[None, :, None]
  end = last[:, :, None]
  precision = np.where(end, found / ranks, 0.0)
  monotone = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
  reached = np.maximum.accumulate(np.where(end, found, 0), axis=1)
  before = np.concatenate(
    [np.zeros_like(reached[:, :1]), reached[:, :-1]], axis=1
  )
  steps = end & (found > before)
  count = np.maximum(steps.sum(axis=1), 1)
  mean: np.ndarray = (monotone * steps).sum(axis=1) / count
  return mean


def columns(queries: Sequence[QueryMoments]) -> dict[str, np.ndarray]:
  """Shares [Q] of "HL-min-Fair-mAP", "HL-min-Fair-Hit1" and so on.

  NaN where nobody gave scores; a query without predicted ones is a miss.
  """
  levels = np.array(list(LEVELS.values()))
  precision, hit = np.full((2, len(queries), len(levels)), np.nan)
  by_clips: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}
  for index, query in enumerate(queries):
    real, given = query.highlights, query.saliency
    if real is None:
      continue
    precision[index] = hit[index] = 0.0
    if given is not None and len(given) and len(real):
      by_clips.setdefault(len(real), []).append((index, given, real))
  for clips, asked in by_clips.items():
    chosen = [index for index, _, _ in asked]
    tops = np.array([int(np.argmax(given)) for _, given, _ in asked])
    # Cut to the clips of the video, or padded with 0.
    rows = [np.pad(s[:clips], (0, max(0, clips - len(s)))) for _, s, _ in asked]
    labels = np.stack([real for _, _, real in asked])[..., None] >= levels
    flat = labels.reshape(*labels.shape[:2], -1)
    by_annotator = average_precision(np.stack(rows), flat)
    precision[chosen] = by_annotator.reshape(-1, *labels.shape[2:]).mean(axis=1)
    top = labels[np.arange(len(chosen)), np.minimum(tops, clips - 1)]
    hit[chosen] = top.any(axis=1) & (tops < clips)[:, None]
  values = {}
  for index, name in enumerate(LEVELS):
    values[f"HL-min-{name}-mAP"] = precision[:, index]
    values[f"HL-min-{name}-Hit1"] = hit[:, index]
  return values
