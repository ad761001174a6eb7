"""The stem: what is padding stays apart from what is not."""

import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax.models.towers.temporal import TemporalStem


def test_padding_changes_nothing():
  stem = TemporalStem(
    num_layers=2, width=8, kernel=5, dropout=0.5, noise=0.3, channel_dropout=0.5
  )
  rows = np.random.default_rng(0).normal(size=(1, 12, 6)).astype(np.float32)
  params = stem.init(jax.random.key(0), rows, True)
  short = stem.apply(params, rows, True)
  padded = jnp.pad(rows, [(0, 0), (0, 7), (0, 0)])
  long = stem.apply(params, padded, True)
  np.testing.assert_allclose(long[:, :12], short, atol=1e-5)
  assert not np.any(long[:, 12:])
  rngs = {"dropout": jax.random.key(1)}
  disturbed = stem.apply(params, rows, False, rngs=rngs)
  assert not np.allclose(disturbed, short, atol=1e-2)
