"""Moment retrieval and highlights on QVHighlights, UnLoc-B and -L.

    python -m data_preprocessing.build --dataset qvhighlights \
      --annotations ANNOTATIONS --videos VIDEOS --data_dir DATA
    python -m unloc_jax.weights --from ViT-B-16.pt --to clip_b16
    python -m unloc_jax.main --config=configs/qvhighlights_mr.py:B \
      --config.data.path=DATA/qvhighlights/1.0.0 \
      --config.init.weights=clip_b16 --workdir=runs/qvhighlights_mr
    python -m unloc_jax.evaluate --workdir=runs/qvhighlights_mr --split test

L starts from ViT-L-14.pt. The windows of the test split are only scored if it
was built from highlight_test_with_gt.jsonl; results/test holds the file to
submit either way. `:L,init=pretraining` starts from the weights of a run of
configs/kinetics_pretrain.py.

Expected (published, test): L R1@0.5 66.1, R1@0.7 46.7.
"""

import ml_collections

from configs import common
from unloc_jax.config.keys import INF

_RANGES = {
  "B": ((0, 6), (6, 18), (18, 32), (32, INF)),
  "L": ((0, 6), (6, 12), (12, 24), (24, INF)),
}


def get_config(argument: str = "B") -> ml_collections.ConfigDict:
  """Sizes B and L."""
  c, chosen = common.start(argument)
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
  return c.lock()
