"""Action segmentation on COIN, UnLoc-L (and -B).

L takes class embeddings that `python -m unloc_jax.embed_classes` made once. B
has a frozen text tower in their place; its recipe is not published.

Expected (published, test): L frame mAP 47.7.
"""

import ml_collections

from configs import common
from unloc_jax.annotations import class_lists
from unloc_jax.config.keys import INF

_TRAIN_VIDEOS = 8_461
_EPOCH = _TRAIN_VIDEOS // 64


def get_config(argument: str = "L") -> ml_collections.ConfigDict:
  """Sizes B and L."""
  c, chosen = common.start(argument, "coin", size=("L", "B"))
  c.task = "action_segmentation"
  common.set_classes(c, class_lists.prompt_templates("step"), chunk=8)
  common.set_augmentation(c)
  c.data.num_frames = 512
  # 512 frames of 64 videos at once are too many for 8 GPUs; same gradient.
  c.train.accumulate = 8
  c.pyramid.ranges = ((0, INF),)
  c.model.fusion.kind = "transformer"
  c.model.head.num_layers = 0
  c.model.head.relevance_bias = -6.6
  c.loss.relevance = "sigmoid"
  # The published schedule counts steps: 55 epochs are 7,260.
  c.train.unit = "steps"
  c.train.num_videos = _TRAIN_VIDEOS
  c.train.num_classes = 778
  c.train.length = 55 * _EPOCH
  c.optimizer.warmup = 500
  common.set_steps(c, 6_600)
  c.eval.splits = ("test",)
  c.eval.every = c.checkpoint.every = 5 * _EPOCH
  c.checkpoint.best_metric = "frame mAP"
  if chosen["size"] == "L":
    common.set_mean(c)
    common.set_class_embeddings(c, "coin", chosen["towers"])
  return c.lock()
