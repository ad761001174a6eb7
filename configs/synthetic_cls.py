"""Classification pretraining on the embedded benchmark, in minutes.

    python -m unloc_jax.main --config=configs/synthetic_cls.py \
      --config.data.path=DATA/anet/1.0.0 \
      --config.init.weights=runs/towers/weights --workdir=runs/cls

Data as of configs/synthetic_tal.py. A video shows two to four actions; an
answer is right if it is one of them. The weights fine-tune into
configs/synthetic_tal.py with --config.init.take='.*_tower|.*_proj|fusion'.
"""

import ml_collections

from configs import synthetic_mr, synthetic_tal


def get_config() -> ml_collections.ConfigDict:
  """Which actions a video shows."""
  c = synthetic_mr.get_config().unlock()
  c.task = "classification"
  synthetic_tal.set_classes(c)
  c.model.head.num_layers = 0
  c.loss.relevance = "sigmoid"
  synthetic_tal.set_length(c, 800)
  c.checkpoint.best_metric = "top1"
  return c.lock()
