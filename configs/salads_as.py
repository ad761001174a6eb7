"""Action segmentation of 50 Salads on frame-wise scores, one fold at a time.

    python -m data_preprocessing.build --dataset 50salads --extract features \
      --annotations 50salads --videos 50salads/features --frame_rate 1 \
      --data_dir DATA
    python -m benchmarks.folds --config configs/salads_as.py \
      --data DATA/50salads/1.0.0 --workdir runs/salads_as

The second command trains on all folds but one, for each in turn, and scores
all videos together. Of one fold alone:

    python -m unloc_jax.main --config=configs/salads_as.py:fold=2 \
      --config.data.path=DATA/50salads/1.0.0 --workdir=runs/fold_2

With 40 videos to learn from overfitting decides: neighbourhood comes from
convolutions, and training never sees a video twice alike. Figures:
docs/results.md.
"""

import ml_collections

from configs import common
from configs.synthetic_towers import set_adamw
from unloc_jax.config.keys import INF
from unloc_jax.config.schema import base

_FOLDS = ("1", "2", "3", "4", "5")


def set_folds(c: ml_collections.ConfigDict, argument: str) -> None:
  """Trains on the other folds, tests on the chosen one."""
  fold = common.parse_argument(argument, {"fold": _FOLDS})["fold"]
  others = [f"fold_{each}" for each in _FOLDS if each != fold]
  c.data.train_split = "+".join(others)
  c.eval.splits = (f"fold_{fold}",)


def set_features(c: ml_collections.ConfigDict) -> None:
  """A small model of features, texts compared with the points."""
  c.streams = ("embeddings",)
  c.data.path = "data/50salads/1.0.0"
  c.data.embedding_width = 28
  c.data.sampling, c.data.rate = "rate", 0.0
  c.data.num_frames = 576
  c.data.max_segments = 64
  c.data.max_tokens = 16
  c.data.augment.shortest_window = 0.5
  c.data.augment.stretch = 0.2
  c.text.prompts = ("{}",)
  c.model.width = 64
  c.model.image_tower.num_layers = 0
  stem, text, fusion = c.model.stem, c.model.text_tower, c.model.fusion
  stem.num_layers, stem.width = 3, 64
  stem.dropout, stem.noise, stem.channel_dropout = 0.3, 0.3, 0.2
  text.max_tokens, text.width = 16, 64
  text.num_layers, text.num_heads = 1, 4
  fusion.kind, fusion.similarity = "late", "dot"
  fusion.pyramid_init = "identity"
  fusion.num_layers, fusion.num_heads, fusion.mlp_dim = 1, 4, 128
  fusion.dropout = 0.3
  set_adamw(c, rate=2e-3, steps=700)
  c.optimizer.weight_decay, c.optimizer.ema = 0.05, 0.99
  c.train.batch_size = c.eval.batch_size = 4
  # The test fold says nothing about when to stop.
  c.eval.every = c.checkpoint.every = 0.0


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The action of every second, or none."""
  c = base().unlock()
  c.task = "action_segmentation"
  set_features(c)
  set_folds(c, argument)
  c.pyramid.ranges = ((0, INF),)
  c.loss.relevance, c.loss.relevance_weight = "softmax", 1.0
  c.decode.switch_cost = 4.0
  c.checkpoint.best_metric = "accuracy"
  return c.lock()
