"""Moment retrieval on ActivityNet Captions, UnLoc-B and -L.

Expected (published, val_2 = test): R1@0.5 / R1@0.7 / R5@0.5 / R5@0.7
B 48.0 / 29.7 / 81.5 / 61.4, L 48.3 / 30.2 / 79.2 / 61.3.
"""

import ml_collections

from configs import common


def get_config(argument: str = "B") -> ml_collections.ConfigDict:
  """Sizes B and L."""
  c, chosen = common.start(argument, "anet_captions")
  c.train.num_videos = 10_009
  c.eval.splits = ("val", "test")
  # 64 videos meet the captions of all: fused in parts, for memory.
  c.model.fusion.query_chunk = 16
  if chosen["size"] == "B":
    c.model.image_tower.frozen = True
    return c.lock()
  common.set_mean(c)
  common.set_text_length(c, 16)
  c.model.text_tower.frozen = True
  c.model.fusion.kind = "fpn"
  c.model.fusion.query_chunk = 4
  c.model.head.num_layers = 4
  c.model.head.shared_across_levels = True
  c.train.length = 40.0
  c.optimizer.warmup = 5.0
  common.set_steps(c, 35)
  return c.lock()
