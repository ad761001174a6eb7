"""Stage 1 of the embedded benchmark: tiny CLIP towers, from single frames.

    python -m unloc_jax.main --config=configs/synthetic_towers.py \
      --config.data.path=DATA/slideshows/anet/1.0.0 --workdir=runs/towers

Every frame of a slideshow is compared with phrases of state ("red circle left
of line 3"): contrastive pretraining with many positives. Both towers then know
what is where, which the localization of configs/synthetic_mr.py builds on.
"""

import ml_collections

from unloc_jax.config.keys import INF
from unloc_jax.config.schema import base


def set_tiny_model(c: ml_collections.ConfigDict) -> None:
  """The size that learns in minutes on two CPU cores."""
  c.data.num_frames = 64
  c.data.image_size = c.data.short_side = 32
  c.data.augment.random_crop = False
  c.data.max_tokens = 16
  c.model.width = 64
  image, text, fusion = c.model.image_tower, c.model.text_tower, c.model.fusion
  image.patch, image.width = 8, 64
  image.num_layers, image.num_heads = 2, 4
  # Any frame can be at any position: one class embedding serves all.
  image.per_frame_class = False
  text.max_tokens, text.width = 16, 64
  text.num_layers, text.num_heads = 1, 4
  fusion.num_layers, fusion.num_heads, fusion.mlp_dim = 2, 4, 256


def set_adamw(c: ml_collections.ConfigDict, rate: float, steps: int) -> None:
  """AdamW with warm-up and cosine decay over so many steps."""
  c.train.unit, c.train.length = "steps", steps
  c.optimizer.name, c.optimizer.beta2 = "adamw", 0.98
  c.optimizer.weight_decay = 0.01
  c.optimizer.rates = (("", rate),)
  c.optimizer.warmup, c.optimizer.schedule = 100, "cosine"


def get_config() -> ml_collections.ConfigDict:
  """Contrastive pretraining of both towers on slideshows."""
  c = base().unlock()
  c.task = "frame_tagging"
  set_tiny_model(c)
  set_adamw(c, rate=2e-3, steps=1600)
  c.data.max_tokens = 8  # Phrases are short.
  c.data.max_segments = 2688
  c.text.prompts = ("{}",)
  c.text.sampled = 256
  c.pyramid.ranges = ((0, INF),)
  c.model.fusion.kind = "none"
  c.model.fusion.similarity = "dot"
  c.model.head.num_layers = 0
  c.model.head.shared_across_levels = True
  c.model.head.relevance_bias = -2.0
  c.loss.relevance = "sigmoid"
  c.train.batch_size = 4
  c.eval.batch_size = 4
  c.eval.every = 800
  c.checkpoint.every = 800
  c.checkpoint.best_metric = "F1"
  return c.lock()
