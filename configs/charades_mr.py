"""Moment retrieval on Charades-STA, UnLoc-B and -L.

    python -m data_preprocessing.build --dataset charades_sta \
      --annotations ANNOTATIONS --videos VIDEOS --data_dir DATA
    python -m unloc_jax.weights --from ViT-B-16.pt --to clip_b16
    python -m unloc_jax.main --config=configs/charades_mr.py:B \
      --config.data.path=DATA/charades_sta/1.0.0 \
      --config.init.weights=clip_b16 --workdir=runs/charades_mr

L starts from ViT-L-14.pt; its recipe is not published, so it has B's with the
head of the Large models. `:L,init=pretraining` starts from the weights of a run
of configs/kinetics_pretrain.py.

Expected (published, test): L R1@0.5 60.8, R1@0.7 38.4.
"""

import ml_collections

from configs import common


def get_config(argument: str = "B") -> ml_collections.ConfigDict:
  """Sizes B and L."""
  c, chosen = common.start(argument)
  c.data.max_tokens = 16
  # There is no validation split.
  c.data.eval_split = "test"
  c.eval.splits = ("test",)
  c.model.text_tower.frozen = True
  c.model.fusion.kind = "fpn"
  c.model.fusion.query_chunk = 4
  c.model.head.displacement_bias = 0.0
  c.train.num_videos = 5_336
  c.train.length = 30.0
  c.optimizer.warmup = 5.0
  if chosen["size"] == "L":
    c.model.head.num_layers = 4
    c.model.head.shared_across_levels = True
  return c.lock()
