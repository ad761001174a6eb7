"""Logits of frames -> the class of every frame, for segmentation."""

import numpy as np

BACKGROUND = 0


def frame_classes(logits: np.ndarray, switch_cost: float = 0.0) -> np.ndarray:
  """Class int [T] of each frame: 1 + its column, or BACKGROUND.

  Background has the logit 0, so that without a cost it stands where no other
  is above 0; the loss "softmax" learns the others' against it. With a cost
  the result is the most probable sequence when every change of class costs so
  much log-probability (Viterbi's algorithm on a Potts model): frames between
  others do not flicker.

  Args:
    logits: [T, C], of the classes but the background.
    switch_cost: At least 0.
  """
  num_frames = len(logits)
  scores = np.zeros((num_frames, logits.shape[1] + 1))
  scores[:, 1:] = logits
  if switch_cost <= 0 or not num_frames:
    # On a tie the background, as no logit is above its own.
    return scores.argmax(axis=1)
  came_from = np.zeros(scores.shape, int)
  total, stay = scores[0], np.arange(scores.shape[1])
  for t in range(1, num_frames):
    best = int(total.argmax())
    changed = total[best] - switch_cost > total
    came_from[t] = np.where(changed, best, stay)
    # Only differences within a frame matter: no normaliser, but no drift.
    total = np.where(changed, total[best] - switch_cost, total) - total[best]
    total = total + scores[t]
  found = np.zeros(num_frames, int)
  found[-1] = total.argmax()
  for t in range(num_frames - 1, 0, -1):
    found[t - 1] = came_from[t, found[t]]
  return found
