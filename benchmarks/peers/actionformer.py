"""Trains ActionFormer, its own code from a checkout, for a time.

Run from the repository's root by a Python that has PyTorch, what it needs, and
its compiled NMS (libs/utils/setup.py); imports nothing of ours:

    PYTHON -m benchmarks.peers.actionformer --checkout DIR \
      --features FEATURES --out OUT --cpu_seconds 300 --rate 1e-3 \
      --splits val test

Its config is that of THUMOS14 (configs/thumos_i3d.yaml) but for the width, the
features, a batch of 16 as for ActivityNet, and attention over the whole video:
windows of 19 do not divide 64 positions. Warm-up and cosine of its rate go by
the time, not by epochs. Its average of weights forgets faster at first, as
there are fewer steps than the 1,000 that it goes over; of it the state that is
best on the first split by its own mAP, looked at up to ten times, is kept. One
thread: others would wait at its cost.
"""

import json
import math

from benchmarks.peers.timed import Timed, fit, read_flags

WARM = 5 / 35  # Of the epochs, in its configs.


def settings(flags, truth):
  """Its config."""
  import numpy as np
  from libs.core.config import _update_config, load_config

  said = [each for v in truth.values() for each in v["annotations"]]
  video = np.load(next((flags.features / "videos").iterdir()))
  config = load_config(f"{flags.checkout}/configs/thumos_i3d.yaml")
  config["dataset"].update(
    json_file=str(flags.features / "truth.json"),
    feat_folder=str(flags.features / "videos"),
    num_classes=len({each["label"] for each in said}),
    input_dim=video.shape[1],
    feat_stride=2,
    num_frames=2,
    default_fps=1,
    max_seq_len=video.shape[0],
  )
  config["model"].update(
    embd_dim=flags.width,
    fpn_dim=flags.width,
    head_dim=flags.width,
    n_mha_win_size=-1,
  )
  config["opt"].update(learning_rate=flags.rate)
  return _update_config(config)


class Rate:
  """Its schedule, warm-up and cosine, by the share of the time."""

  def __init__(self, optimizer):
    self.optimizer = optimizer
    self.base = [group["lr"] for group in optimizer.param_groups]
    self(0.0)

  def __call__(self, share):
    if share < WARM:
      factor = max(share / WARM, 0.01)
    else:
      over = min((share - WARM) / (1 - WARM), 1.0)
      factor = 0.5 * (1 + math.cos(math.pi * over))
    for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
      group["lr"] = base * factor

  def step(self):
    """The time sets the rate, not the steps."""

  def get_last_lr(self):
    return [group["lr"] for group in self.optimizer.param_groups]


def batches(data, size, is_training):
  """As their loader, in this process."""
  from libs.datasets.data_utils import trivial_batch_collator
  from torch.utils.data import DataLoader

  return DataLoader(
    data,
    batch_size=size,
    collate_fn=trivial_batch_collator,
    shuffle=is_training,
    drop_last=is_training,
  )


def predict(model, data, names):
  """Detections by video, in clips' seconds."""
  import torch

  model.eval()
  found = {}
  with torch.no_grad():
    for batch in batches(data, 1, False):
      for row in model(batch):
        segments, scores = row["segments"].tolist(), row["scores"].tolist()
        found[row["video_id"]] = [
          {"segment": segment, "score": score, "label": names[label]}
          for segment, score, label in zip(
            segments, scores, row["labels"].tolist(), strict=True
          )
        ]
  return found


def mean_precision(found, meter, numbers):
  """Their mAP of detections."""
  import pandas

  rows = [
    (video, *each["segment"], numbers[each["label"]], each["score"])
    for video in found
    for each in found[video]
  ]
  columns = ("video-id", "t-start", "t-end", "label", "score")
  _, average, _ = meter.evaluate(
    pandas.DataFrame(rows, columns=columns), verbose=False
  )
  return float(average)


def run(flags):
  """Trains and predicts; what it took."""
  import numpy as np
  import torch
  from libs.datasets import make_dataset
  from libs.modeling import make_meta_arch
  from libs.utils import (
    ANETdetection,
    ModelEma,
    fix_random_seed,
    make_optimizer,
    train_one_epoch,
  )

  truth = json.loads((flags.features / "truth.json").read_text())["database"]
  said = [each for v in truth.values() for each in v["annotations"]]
  numbers = {each["label"]: each["label_id"] for each in said}
  names = {number: name for name, number in numbers.items()}
  config = settings(flags, truth)
  fix_random_seed(flags.seed, include_cuda=False)
  torch.set_num_threads(1)
  np.float = float  # Its name until NumPy 1.24.

  def data(split, is_training=False):
    return make_dataset("thumos", is_training, [split], **config["dataset"])

  model = make_meta_arch(config["model_name"], **config["model"])
  optimizer = make_optimizer(model, config["opt"])
  average = ModelEma(model)
  rate = Rate(optimizer)

  def each(share):
    rate(share)
    average.decay = min(0.999, (1 + train.steps) / (10 + train.steps))

  train = Timed(batches(data("train", True), 16, True), flags.cpu_seconds, each)
  valid = data(flags.splits[0])
  meter = ANETdetection(
    config["dataset"]["json_file"],
    flags.splits[0],
    tiou_thresholds=[0.5, 0.7],
    num_workers=1,
  )

  def score():
    return mean_precision(predict(average.module, valid, names), meter, numbers)

  def epoch(number):
    train_one_epoch(
      *(train, model, optimizer, rate, number),
      model_ema=average,
      clip_grad_l2norm=config["train_cfg"]["clip_grad_l2norm"],
      print_freq=10**9,
    )

  took = fit(average.module, train, epoch, score)
  for split in flags.splits:
    found = predict(average.module, data(split), names)
    (flags.out / f"{split}.json").write_text(json.dumps(found))
  return took


def main():
  """Trains, predicts every split, and says what it took."""
  flags = read_flags(__doc__, width=512)
  took = run(flags)
  (flags.out / "done.json").write_text(json.dumps(took))


if __name__ == "__main__":
  main()
