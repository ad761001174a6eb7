"""Temporal action localization on ActivityNet 1.3, UnLoc-B and -L.

L takes class embeddings that `python -m unloc_jax.embed_classes` made once.

Zero-shot: `:B,split=50-0` trains on the 50% of classes that are seen in the
first (0) of ten random splits, and tests on the unseen; 75-0 to 75-9 see 75%.
Report the mean of the ten.

Expected (published, val): mAP@0.5 L 59.3; zero-shot 50/50 B 36.9, L 43.2,
75/25 B 40.2, L 47.4.
"""

import ml_collections

from configs import common
from unloc_jax.annotations import class_lists
from unloc_jax.config.schema import RANGES_5

_TRAIN_VIDEOS = 10_024
_SPLITS = tuple(f"{seen}-{i}" for seen in (50, 75) for i in range(10))


def get_config(argument: str = "B") -> ml_collections.ConfigDict:
  """Sizes B and L, zero-shot splits."""
  c, chosen = common.start(argument, "anet", split=("", *_SPLITS))
  c.task = "temporal_localization"
  common.set_classes(c, class_lists.prompt_templates("action"), chunk=25)
  common.set_augmentation(c)
  c.model.head.num_layers = 4
  c.model.head.shared_across_levels = True
  c.model.head.relevance_bias = -5.0
  c.train.num_videos = _TRAIN_VIDEOS
  c.train.num_classes = 200
  c.checkpoint.best_metric = "mAP@0.5"
  if chosen["split"]:
    _set_split(c, chosen["split"])
  if chosen["size"] == "B":
    c.optimizer.warmup = 2.5
    common.set_steps(c, 18)
    return c.lock()
  common.set_mean(c)
  common.set_class_embeddings(c, "anet", chosen["towers"])
  c.data.num_frames = 160
  # In two parts it also fits eight GPUs; same gradient.
  c.train.accumulate = 2
  c.pyramid.ranges = RANGES_5
  c.train.length = 30.0
  c.optimizer.rates = (("", 0.01),)
  c.optimizer.warmup = 5.0
  return c.lock()


def _set_split(c: ml_collections.ConfigDict, name: str) -> None:
  """Trains on the seen classes of a split, evaluates on the unseen."""
  seen, number = map(int, name.split("-"))
  split = class_lists.zero_shot_splits("anet", 100 - seen)[number]
  c.data.classes = split.seen
  c.eval.classes = split.unseen
  # Classes have about as many videos each.
  c.train.num_videos = _TRAIN_VIDEOS * seen // 100
