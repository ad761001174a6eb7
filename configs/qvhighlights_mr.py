"""Moment retrieval and highlights on QVHighlights, UnLoc-B and -L.

`:features` learns from the published features of videos (SlowFast and CLIP, a
row a clip of 2 s) and texts (CLIP) in place of pixels and words; docs/data.md
says how they are built.

The windows of the test split are only scored if it was built from
highlight_test_with_gt.jsonl; results/test holds the file to submit either way.

Expected (published, test): L R1@0.5 66.1, R1@0.7 46.7.
"""

import ml_collections

from configs import common, synthetic_towers
from unloc_jax.config.keys import INF

_RANGES = {
  "B": ((0, 6), (6, 18), (18, 32), (32, INF)),
  "L": ((0, 6), (6, 12), (12, 24), (24, INF)),
}


def get_config(argument: str = "B") -> ml_collections.ConfigDict:
  """Sizes B and L, or a small model of published features."""
  sizes = ("B", "L", "features")
  c, chosen = common.start(argument, "qvhighlights", size=sizes)
  c.task = "highlight_retrieval"
  # 144 of the 150 seconds: a length that halves three times.
  c.data.num_frames = 144
  c.data.sampling = "rate"
  c.data.rate = 1.0
  # Nearly every video has one query; the others take several rows.
  c.data.max_queries = 1
  c.pyramid.ranges = _RANGES[chosen["size"]]
  c.model.head.shared_across_levels = True
  c.model.image_tower.frozen = chosen["size"] == "L"
  c.train.num_videos = 7_100
  c.train.length = 30.0
  c.optimizer.schedule = "cosine"
  c.checkpoint.best_metric = "MR-full-R1@0.5"
  if chosen["towers"] == "features":
    _set_features(c)
  return c.lock()


def _set_features(c: ml_collections.ConfigDict) -> None:
  """Widths and schedule of Moment-DETR (2021), two towers' worth smaller."""
  c.streams = ("embeddings",)
  c.data.embedding_width, c.data.text_width = 2304 + 512, 512
  # All 75 clips, and a length that halves three times.
  c.data.num_frames, c.data.rate = 80, 0.0
  c.pyramid.ranges = ((0, 3), (3, 9), (9, 16), (16, INF))
  model, fusion = c.model, c.model.fusion
  model.width, model.text_part, model.dtype = 256, "all", "float32"
  model.image_tower.num_layers = model.text_tower.num_layers = 0
  stem = model.stem
  stem.num_layers, stem.width, stem.kernel, stem.dropout = 1, 256, 3, 0.3
  fusion.num_layers, fusion.num_heads, fusion.mlp_dim = 3, 8, 1024
  fusion.pyramid_init, fusion.dropout = "identity", 0.1
  model.head.relevance_bias = -2.0
  c.init.weights = ""
  synthetic_towers.set_adamw(c, rate=3e-4, steps=9_000)
  c.train.batch_size = 32
  c.eval.every = c.checkpoint.every = 900.0
