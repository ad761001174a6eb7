"""Temporal action localization on the embedded benchmark, in minutes.

    python -m data_preprocessing.build --dataset anet --data_dir DATA \
      --annotations RAW/annotations/activitynet13 --videos RAW/videos \
      --frame_rate 5 --short_side 48
    python -m unloc_jax.main --config=configs/synthetic_tal.py \
      --config.data.path=DATA/anet/1.0.0 \
      --config.init.weights=runs/towers/weights --workdir=runs/tal

Stage 2 after configs/synthetic_towers.py, as configs/synthetic_mr.py, with the
actions as class prompts. `:unseen=2` trains without the last two classes of
`ACTIONS` and evaluates on these.
"""

import ml_collections

from configs import common, synthetic_mr

ACTIONS = (
  "Moving left",
  "Growing",
  "Moving down",
  "Blinking",
  "Shrinking",
  "Spinning",
  "Moving right",
  "Moving up",
)


def set_actions(c: ml_collections.ConfigDict) -> None:
  """Every video is asked for every action."""
  c.data.texts = "classes"
  c.text.prompts = ("{}", "an object is {}")
  c.data.max_segments = 8
  c.eval.splits = ("val", "test")


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """All classes, or a zero-shot split of them."""
  chosen = common.parse_argument(argument, {"unseen": ("0", "1", "2", "3")})
  c = synthetic_mr.get_config().unlock()
  c.task = "temporal_localization"
  set_actions(c)
  c.checkpoint.best_metric = "mAP@0.5"
  if unseen := int(chosen["unseen"]):
    c.data.classes = ACTIONS[:-unseen]
    c.eval.classes = ACTIONS[-unseen:]
  return c.lock()
