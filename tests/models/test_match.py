"""Agreement of sound and sentence, by names of classes."""

import numpy as np
import pytest

from tests.models.drawn import drawn
from unloc_jax.models.match import Match

_CLASSES, _WIDTH, _COUNT = 6, 4, 5


@pytest.fixture
def given():
  rng = np.random.default_rng(0)
  scores = rng.uniform(0, 1, (2, _COUNT, _CLASSES))
  cosines = rng.uniform(-0.2, 1, (2, 3, _CLASSES))
  rows = np.concatenate([scores, rng.normal(size=(2, _COUNT, _WIDTH))], -1)
  texts = np.concatenate([cosines, rng.normal(size=(2, 3, _WIDTH))], -1)
  mask = np.array([[1, 1, 1, 1, 0], [1] * 5], bool)
  model = Match(8, _CLASSES, 3)
  params = drawn(model, rows, mask, texts)
  return model, params, rows, mask, texts


def test_no_class_is_known_by_its_place(given):
  """What holds of the classes trained on holds of all others."""
  model, params, rows, mask, texts = given
  order = np.r_[np.random.default_rng(1).permutation(_CLASSES), 6:10]
  one = model.apply(params, rows, mask, texts)
  two = model.apply(params, rows[..., order], mask, texts[..., order])
  assert one.shape == (2, 3, _COUNT, 8)
  np.testing.assert_allclose(one, two, atol=1e-5)


def test_what_is_masked_changes_nothing_else(given):
  model, params, rows, mask, texts = given
  other = rows.copy()
  other[0, -1] = 0.5
  one = np.array(model.apply(params, rows, mask, texts))
  two = np.array(model.apply(params, other, mask, texts))
  np.testing.assert_allclose(one[0, :, :-1], two[0, :, :-1], atol=1e-6)
  assert np.abs(one[0, :, -1] - two[0, :, -1]).max() > 1e-3


def test_texts_for_all_recordings(given):
  model, params, rows, mask, texts = given
  shared = model.apply(params, rows, mask, texts[:1])
  own = model.apply(params, rows, mask, np.stack([texts[0]] * 2))
  np.testing.assert_allclose(shared, own, atol=1e-6)
