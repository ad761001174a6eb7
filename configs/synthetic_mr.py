"""Moment retrieval on the embedded benchmark, in minutes on two CPU cores.

    python -m unloc_jax.main --config=configs/synthetic_mr.py \
      --config.data.path=DATA/anet_captions/1.0.0 \
      --config.init.weights=runs/towers/weights --workdir=runs/mr

`make demo` runs it after configs/synthetic_towers.py.
"""

import ml_collections

from configs.synthetic_towers import set_adamw, set_tiny_model
from unloc_jax.config.schema import base


def get_config() -> ml_collections.ConfigDict:
  """Frozen image tower; text tower, fusion and heads are trained."""
  c = base().unlock()
  set_tiny_model(c)
  set_adamw(c, rate=2e-3, steps=1500)
  c.task = "matched_moment_retrieval"
  c.data.max_queries = 2
  c.data.max_segments = 4
  c.model.image_tower.frozen = True
  # Beyond the paper: motion shows between frames, and what stage 1 taught the
  # towers to compare is not learned anew. docs/results.md has the trials.
  c.model.stem.num_layers, c.model.stem.kernel = 3, 7
  c.model.fusion.product = True
  c.model.fusion.pyramid_init = "identity"
  c.model.head.num_layers = 1
  c.model.head.shared_across_levels = True
  c.model.head.relevance_bias = -3.0
  c.train.batch_size = 16
  c.train.cache_frame_tokens = True
  c.eval.every = 750
  c.eval.splits = ("val", "test", "unseen")
  c.checkpoint.every = 750
  return c.lock()
