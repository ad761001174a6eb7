"""Action segmentation on the embedded benchmark, in minutes.

    python -m data_preprocessing.build --dataset coin --data_dir DATA \
      --annotations RAW/annotations/coin --videos RAW/videos \
      --frame_rate 5 --short_side 48
    python -m unloc_jax.main --config=configs/synthetic_as.py \
      --config.data.path=DATA/coin/1.0.0 \
      --config.init.weights=runs/towers/weights --workdir=runs/as

Stage 2 after configs/synthetic_towers.py, as configs/synthetic_mr.py.
"""

import ml_collections

from configs import synthetic_mr, synthetic_tal
from unloc_jax.config.keys import INF


def get_config() -> ml_collections.ConfigDict:
  """The action of every frame, or none."""
  c = synthetic_mr.get_config().unlock()
  c.task = "action_segmentation"
  synthetic_tal.set_classes(c)
  c.pyramid.ranges = ((0, INF),)
  c.model.fusion.kind = "transformer"
  # Motion shows between frames; tiny towers see single ones.
  c.model.head.num_layers = 2
  c.loss.relevance = "sigmoid"
  synthetic_tal.set_length(c, 1500)
  c.checkpoint.best_metric = "accuracy"
  return c.lock()
