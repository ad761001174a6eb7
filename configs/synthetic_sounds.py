r"""Shapes that sound, asked by ear; sounds and pictures, or pictures alone.

    python -m data_preprocessing.synthetic.sounding --out RAW
    python -m data_preprocessing.build --dataset custom --annotations RAW \
      --videos RAW --data_dir DATA --frame_rate 5 --short_side 48 \
      --sound log_mel
    python -m unloc_jax.main --config=configs/synthetic_sounds.py \
      --config.data.path=DATA/custom/1.0.0 --workdir=runs/heard

`:silent` sees the same films and hears nothing. Figures: docs/sound.md.
"""

import ml_collections

from configs import common, synthetic_towers
from unloc_jax.config.schema import base


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """All from scratch, in minutes on two CPU cores."""
  chosen = common.parse_argument(argument, {"size": ("heard", "silent")})
  c = base().unlock()
  synthetic_towers.set_tiny_model(c)
  synthetic_towers.set_adamw(c, rate=2e-3, steps=500)
  c.task = "matched_moment_retrieval"
  c.data.path = "data/custom/1.0.0"
  # Points sit on the first: what answers is then where it is to be found.
  c.streams = ("sound", "frames") if chosen["size"] == "heard" else ("frames",)
  # 64 bands, 100 a second.
  c.data.sound_width = 64 * 100 // 5
  c.data.max_queries = c.data.max_segments = 4
  c.model.image_tower.patch, c.model.image_tower.num_layers = 16, 1
  c.model.sound_tower.num_layers, c.model.sound_tower.width = 2, 64
  c.model.fusion.pyramid_init = "identity"
  # Which word names which tone is learned many times faster than by fusing.
  c.model.fusion.kind, c.model.fusion.similarity = "late", "dot"
  c.model.head.num_layers = 1
  c.model.head.shared_across_levels = True
  c.model.head.relevance_bias = -3.0
  c.train.batch_size = 8
  c.eval.every = c.checkpoint.every = 0.0
  return c.lock()
