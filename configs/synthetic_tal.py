"""Temporal action localization on the embedded benchmark, in minutes.

    python -m data_preprocessing.build --dataset anet --data_dir DATA \
      --annotations RAW/annotations/activitynet13 --videos RAW/videos \
      --frame_rate 5 --short_side 48
    python -m unloc_jax.main --config=configs/synthetic_tal.py \
      --config.data.path=DATA/anet/1.0.0 \
      --config.init.weights=runs/towers/weights --workdir=runs/tal

Stage 2 after configs/synthetic_towers.py, as configs/synthetic_mr.py, with
classes such as "Circle moving left". `:split=zero-shot` trains without eight of
the 31 classes and evaluates on these eight. The table beside chance:

    python -m benchmarks.synthetic --workdir runs/tal
"""

import ml_collections

from configs import common, synthetic_mr

# All that are asked for, and of them one of each action and two of each shape
# that zero-shot training leaves out.
_ACTIONS = (
  "moving left",
  "moving right",
  "moving up",
  "moving down",
  "growing",
  "shrinking",
  "spinning",
  "blinking",
)
_UNSEEN = (
  "Circle moving left",
  "Circle shrinking",
  "Square growing",
  "Square spinning",
  "Triangle moving right",
  "Triangle blinking",
  "Bar moving up",
  "Bar moving down",
)
# A spinning circle shows nothing of it.
_SEEN = tuple(
  name
  for shape in ("Circle", "Square", "Triangle", "Bar")
  for action in _ACTIONS
  if (name := f"{shape} {action}") not in (*_UNSEEN, "Circle spinning")
)


def set_classes(c: ml_collections.ConfigDict) -> None:
  """Every video is asked for every class."""
  c.text.prompts = ("{}", "a {}")
  c.data.max_segments = 8
  c.eval.splits = ("val", "test")


def set_length(c: ml_collections.ConfigDict, steps: int) -> None:
  """Scores and keeps at the middle and the end."""
  c.train.length = steps
  c.eval.every = c.checkpoint.every = steps // 2


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """All classes, or a zero-shot split of them."""
  chosen = common.parse_argument(argument, {"split": ("", "zero-shot")})
  c = synthetic_mr.get_config().unlock()
  c.task = "temporal_localization"
  set_classes(c)
  # Of 31 classes a video shows two to four: eight teach as much as all of them,
  # in a third of the time. docs/results.md has the trials.
  c.text.sampled, c.text.sampled_for = 8, "video"
  c.model.head.num_layers = 2
  set_length(c, 1050)
  c.checkpoint.best_metric = "mAP@0.5"
  if chosen["split"]:
    c.data.classes = _SEEN
    c.eval.classes = _UNSEEN
  return c.lock()
