"""Classification pretraining on Kinetics-400, -600 or -700, UnLoc-B and -L.

`fusion=` is the kind of the config this pretrains for: simple_pyramid (the
default), fpn, or transformer for COIN.

There is no published accuracy: what it is for is the benchmark after it.
Length, schedule and loss are our choice; the spec of the paper leaves them
open.
"""

import ml_collections

from configs import common
from unloc_jax.annotations import class_lists
from unloc_jax.config.keys import INF
from unloc_jax.config.schema import RANGES_5

# About; videos vanish.
_TRAIN_VIDEOS = {"400": 240_000, "600": 390_000, "700": 545_000}


def get_config(argument: str = "B") -> ml_collections.ConfigDict:
  """Sizes B and L, three sets of classes, three kinds of fusion."""
  c, chosen = common.start(
    argument,
    "kinetics400",
    classes=tuple(_TRAIN_VIDEOS),
    fusion=("simple_pyramid", "fpn", "transformer"),
  )
  c.task = "classification"
  c.data.path = common.built(f"kinetics{chosen['classes']}")
  common.set_classes(c, class_lists.prompt_templates("action"), chunk=25)
  c.data.max_segments = 1
  c.model.fusion.kind = chosen["fusion"]
  c.model.head.num_layers = 0
  c.loss.relevance = "softmax"
  c.train.num_videos = _TRAIN_VIDEOS[chosen["classes"]]
  c.train.num_classes = int(chosen["classes"])
  c.checkpoint.best_metric = "top1"
  if chosen["size"] == "L":
    common.set_mean(c)
    c.data.num_frames = 160
    # In two parts it also fits eight GPUs; same gradient.
    c.train.accumulate = 2
    c.pyramid.ranges = RANGES_5
  if chosen["fusion"] == "transformer":
    c.pyramid.ranges = ((0, INF),)
  return c.lock()
