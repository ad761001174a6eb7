"""Trains Moment-DETR or QD-DETR, their own code from a checkout, for a time.

Run by a Python that has PyTorch and what they need; imports nothing of ours:

    PYTHON detr.py --checkout DIR --package qd_detr --features FEATURES \
      --out OUT --cpu_seconds 300 --rate 2e-4 --splits val test

Everything is as they have it by default (sizes, losses, batch, their order of
a training epoch) but: features are read once; the rate falls to a tenth at 80 %
of the time, as they do by epochs; windows are not rounded to whole clips, as
the truth is not; the state that is best on the first split, looked at ten
times, is kept. Time is that of the processor in `train_epoch`.
"""

import argparse
import functools
import importlib
import json
import logging
import os
import pathlib
import sys
import time

BEST = (0.5, 0.7)


def module(package, name):
  """A module of theirs."""
  return importlib.import_module(f"{package}.{name}")


def options(flags):
  """Their options, as their train.sh gives them."""
  import numpy as np

  text = next((flags.features / "texts").iterdir())
  video = next((flags.features / "videos").iterdir())
  sys.argv[1:] = [
    *("--dset_name", "hl", "--exp_id", "x", "--ctx_mode", "video_tef"),
    *("--results_root", str(flags.out / "theirs"), "--num_workers", "0"),
    *("--device", "-1", "--no_pin_memory", "--lr", str(flags.rate)),
    *("--seed", str(flags.seed), "--hidden_dim", str(flags.width)),
    *("--dim_feedforward", str(4 * flags.width), "--n_epoch", "100000"),
    *("--v_feat_dirs", str(flags.features / "videos")),
    *("--v_feat_dim", str(np.load(video)["features"].shape[1])),
    *("--t_feat_dir", str(flags.features / "texts")),
    *("--t_feat_dim", str(np.load(text)["pooler_output"].shape[0])),
  ]
  return module(flags.package, "config").BaseOptions().parse()


def loader(flags, opt, split, shuffle):
  """Batches of a split, made by their dataset."""
  from torch.utils.data import DataLoader

  sets = module(flags.package, "start_end_dataset")
  data = sets.StartEndDataset(
    dset_name=opt.dset_name,
    data_path=str(flags.features / f"{split}.jsonl"),
    v_feat_dirs=opt.v_feat_dirs,
    q_feat_dir=opt.t_feat_dir,
    q_feat_type="last_hidden_state",
    max_q_l=opt.max_q_l,
    max_v_l=opt.max_v_l,
    ctx_mode=opt.ctx_mode,
    normalize_v=not opt.no_norm_vfeat,
    normalize_t=not opt.no_norm_tfeat,
    clip_len=opt.clip_length,
    max_windows=opt.max_windows,
    span_loss_type=opt.span_loss_type,
    txt_drop_ratio=0,
  )
  for name in ("_get_query_feat_by_qid", "_get_video_feat_by_vid"):
    read = functools.lru_cache(maxsize=None)(getattr(data, name))
    setattr(data, name, lambda key, read=read: read(key).clone())
  size = opt.bsz if shuffle else opt.eval_bsz
  return DataLoader(
    data, collate_fn=sets.start_end_collate, batch_size=size, shuffle=shuffle
  )


def predict(flags, model, batches, opt):
  """Rows of a submission, in clips as the features are."""
  inference = module(flags.package, "inference")
  found, _ = inference.compute_mr_results(model, batches, opt)
  keys = ("qid", "query", "vid", "pred_relevant_windows")
  return [{key: row[key] for key in keys} for row in found]


def recall(rows, data):
  """Mean of R1 at BEST, to choose by; what is published is scored elsewhere."""
  truth = {row["qid"]: row["relevant_windows"] for row in data}
  hits = 0
  for row in rows:
    start, end, _ = row["pred_relevant_windows"][0]
    best = 0.0
    for low, high in truth[row["qid"]]:
      both = max(min(end, high) - max(start, low), 0)
      best = max(best, both / max(max(end, high) - min(start, low), 1e-9))
    hits += sum(best >= m for m in BEST)
  return hits / len(BEST) / len(rows)


def sines(spans, width):
  """Sines and cosines of centres and lengths [N, B, 2] -> [N, B, width]."""
  import torch

  pair = torch.arange(width // 4).repeat_interleave(2) * 4 / width
  angle = 2 * torch.pi * spans[..., None] / 10000**pair
  even = torch.arange(width // 2) % 2 == 0
  return torch.where(even, angle.sin(), angle.cos()).flatten(2)


class Silent:
  """In place of TensorBoard's writer."""

  def add_scalar(self, *_):
    pass


class Timed:
  """Batches until the time is up, at a rate that falls once near its end."""

  def __init__(self, batches, optimizer, seconds):
    self.batches, self.optimizer, self.seconds = batches, optimizer, seconds
    self.spent, self.steps, self.fallen = 0.0, 0, False

  def __len__(self):
    return len(self.batches)

  def __iter__(self):
    for batch in self.batches:
      if self.spent >= self.seconds:
        return
      began = time.process_time()
      yield batch
      self.spent += time.process_time() - began
      self.steps += 1
      if self.spent > 0.8 * self.seconds and not self.fallen:
        self.fallen = True
        for group in self.optimizer.param_groups:
          group["lr"] *= 0.1


def train(flags, opt, model, criterion, optimizer):
  """Trains until the time is up; leaves the best state in the model."""
  epoch = module(flags.package, "train").train_epoch
  opt.train_log_txt_formatter = "{time_str} {epoch} {loss_str}\n"
  batches = loader(flags, opt, "train", True)
  batches = Timed(batches, optimizer, flags.cpu_seconds)
  valid = loader(flags, opt, flags.splits[0], False)
  epochs, looked, best = 0, 0, (-1.0, None, 0.0)
  while batches.spent < flags.cpu_seconds:
    epoch(model, criterion, batches, optimizer, opt, epochs, Silent())
    epochs += 1
    if batches.spent * 10 >= (looked + 1) * flags.cpu_seconds:
      looked = int(batches.spent * 10 / flags.cpu_seconds)
      score = recall(predict(flags, model, valid, opt), valid.dataset.data)
      print(f"{batches.steps} steps, {batches.spent:.0f} s: {100 * score:.1f}")
      if score > best[0]:
        state = {k: v.clone() for k, v in model.state_dict().items()}
        best = score, state, batches.spent
  model.load_state_dict(best[1])
  return {
    "cpu_seconds": batches.spent,
    "steps": batches.steps,
    "best_at": best[2],
    "val": 100 * best[0],
    "parameters": sum(p.numel() for p in model.parameters()),
  }


def main():
  """Trains, predicts every split, and says what it took."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--checkout", required=True, type=os.path.abspath)
  parser.add_argument("--package", required=True)
  parser.add_argument("--features", required=True, type=pathlib.Path)
  parser.add_argument("--out", required=True, type=pathlib.Path)
  parser.add_argument("--cpu_seconds", required=True, type=float)
  parser.add_argument("--rate", required=True, type=float)
  parser.add_argument("--width", default=256, type=int, help="theirs is 256")
  parser.add_argument("--seed", default=0, type=int)
  parser.add_argument("--splits", nargs="+", required=True)
  flags = parser.parse_args()
  flags.features = flags.features.resolve()
  flags.out = flags.out.resolve()
  flags.out.mkdir(parents=True, exist_ok=True)
  sys.path.insert(0, flags.checkout)
  os.chdir(flags.checkout)  # QD-DETR copies files of its own.
  opt = options(flags)
  logging.disable(logging.INFO)
  inference = module(flags.package, "inference")
  inference.tqdm = lambda x, **_: x
  inference.PostProcessorDETR = lambda **_: lambda rows: rows
  module(flags.package, "train").tqdm = lambda x, **_: x
  import torch

  torch.manual_seed(flags.seed)
  torch.Tensor.cuda = lambda tensor, *_, **__: tensor  # There is none.
  inner = module(flags.package, "transformer")
  if hasattr(inner, "gen_sineembed_for_position"):  # QD-DETR's is 256 wide.
    inner.gen_sineembed_for_position = lambda x: sines(x, flags.width)
  model, criterion, optimizer, _ = inference.setup_model(opt)
  found = train(flags, opt, model, criterion, optimizer)
  for split in flags.splits:
    rows = predict(flags, model, loader(flags, opt, split, False), opt)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (flags.out / f"{split}.jsonl").write_text(text)
  (flags.out / "done.json").write_text(json.dumps(found))


if __name__ == "__main__":
  main()
