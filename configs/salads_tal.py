"""Action localization in 50 Salads on frame-wise scores, one fold at a time.

    python -m benchmarks.folds --config configs/salads_tal.py \
      --data DATA/50salads/1.0.0 --workdir runs/salads_tal

Data and folds as in configs/salads_as.py.
"""

import ml_collections

from configs import salads_as
from unloc_jax.config.keys import INF
from unloc_jax.config.schema import base


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """Every class is asked of every video."""
  c = base().unlock()
  c.task = "temporal_localization"
  salads_as.set_features(c)
  salads_as.set_folds(c, argument)
  c.pyramid.ranges = ((0, 8), (8, 16), (16, 32), (32, INF))
  c.model.head.num_layers = 2
  c.model.head.shared_across_levels = True
  c.model.head.relevance_bias = -2.0
  c.checkpoint.best_metric = "mAP@0.5"
  return c.lock()
