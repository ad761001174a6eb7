"""The class of every frame, against trying all sequences."""

import itertools

import hypothesis
import numpy as np
from hypothesis import strategies as st

from unloc_jax.task.frame_classes import frame_classes


def test_background_is_where_no_logit_is_above_zero():
  logits = np.array([[1.0, 2.0], [-1.0, -0.5], [0.0, 0.0], [3.0, -1.0]])
  np.testing.assert_array_equal(frame_classes(logits), [2, 0, 0, 1])


@hypothesis.given(
  seed=st.integers(0, 999),
  num_frames=st.integers(1, 6),
  cost=st.floats(0.0, 5.0),
)
def test_the_cheapest_of_all_sequences(seed, num_frames, cost):
  logits = np.random.default_rng(seed).normal(size=(num_frames, 2)) * 3
  scores = np.pad(logits, [(0, 0), (1, 0)])

  def value(sequence):
    changes = sum(a != b for a, b in itertools.pairwise(sequence))
    return scores[np.arange(num_frames), sequence].sum() - cost * changes

  best = max(
    value(list(each)) for each in itertools.product(range(3), repeat=num_frames)
  )
  found = frame_classes(logits, cost)
  np.testing.assert_allclose(value(found), best, rtol=1e-9)


def test_nothing_of_no_frames():
  assert frame_classes(np.zeros((0, 3)), 1.0).shape == (0,)
