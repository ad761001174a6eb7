"""Trains Moment-DETR or QD-DETR, their own code from a checkout, for a time.

Run from the repository's root by a Python that has PyTorch and what they need;
imports nothing of ours:

    PYTHON -m benchmarks.peers.detr --checkout DIR --features FEATURES \
      --out OUT --cpu_seconds 300 --rate 2e-4 --splits val test

Everything is as they have it by default (sizes, losses, batch, their order of
a training epoch) but: features are read once; the rate falls to a tenth at 80 %
of the time, as they do by epochs; windows are not rounded to whole clips, as
the truth is not; the state that is best on the first split, looked at up to ten
times, is kept. One thread: others would wait at its cost.
"""

import functools
import importlib
import json
import logging
import os
import sys

from benchmarks.peers.timed import Timed, fit, read_flags

PACKAGES = ("moment_detr", "qd_detr")
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


def train(flags, opt, model, criterion, optimizer):
  """Trains until the time is up; leaves the best state in the model."""
  opt.train_log_txt_formatter = "{time_str} {epoch} {loss_str}\n"
  base = [group["lr"] for group in optimizer.param_groups]

  def fall(share):
    for group, rate in zip(optimizer.param_groups, base, strict=True):
      group["lr"] = rate * (0.1 if share > 0.8 else 1.0)

  batches = Timed(loader(flags, opt, "train", True), flags.cpu_seconds, fall)
  valid = loader(flags, opt, flags.splits[0], False)
  theirs = module(flags.package, "train").train_epoch

  def epoch(number):
    theirs(model, criterion, batches, optimizer, opt, number, Silent())

  def score():
    return recall(predict(flags, model, valid, opt), valid.dataset.data)

  return fit(model, batches, epoch, score)


def main():
  """Trains, predicts every split, and says what it took."""
  flags = read_flags(__doc__, width=256)
  found = [n for n in PACKAGES if os.path.isdir(f"{flags.checkout}/{n}")]
  if not found:
    sys.exit(f"error: {flags.checkout} holds none of {', '.join(PACKAGES)}")
  flags.package = found[0]
  os.chdir(flags.checkout)  # QD-DETR copies files of its own.
  opt = options(flags)
  logging.disable(logging.INFO)
  inference = module(flags.package, "inference")
  inference.tqdm = lambda x, **_: x
  inference.PostProcessorDETR = lambda **_: lambda rows: rows
  module(flags.package, "train").tqdm = lambda x, **_: x
  import torch

  torch.set_num_threads(1)
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
