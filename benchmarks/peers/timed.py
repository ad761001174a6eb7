"""Trains a peer for a time; runs where PyTorch is, imports nothing of ours."""

import argparse
import os
import pathlib
import sys
import time


def read_flags(doc, width):
  """The command line of a driver; `width` is the peer's own."""
  parser = argparse.ArgumentParser(description=doc.split("\n")[0])
  add = parser.add_argument
  add("--checkout", required=True, type=os.path.abspath)
  add("--features", required=True, type=pathlib.Path)
  add("--out", required=True, type=pathlib.Path)
  add("--cpu_seconds", required=True, type=float)
  add("--rate", required=True, type=float)
  add("--width", default=width, type=int, help="theirs is %(default)s")
  add("--seed", default=0, type=int)
  add("--splits", nargs="+", required=True)
  flags = parser.parse_args()
  flags.features, flags.out = flags.features.resolve(), flags.out.resolve()
  flags.out.mkdir(parents=True, exist_ok=True)
  sys.path.insert(0, flags.checkout)
  return flags


class Timed:
  """Batches until the time is up; time is the processor's, in training only."""

  def __init__(self, batches, seconds, each):
    """`each` is told the share of the time that is over, after every step."""
    self.batches, self.seconds, self.each = batches, seconds, each
    self.spent, self.steps = 0.0, 0

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
      self.each(self.spent / self.seconds)


def fit(model, batches, epoch, score):
  """Runs epochs until the time is up; what it took, as in done.json.

  Between epochs, at most ten times, `score` is asked; the state that it likes
  best, of equal ones the last, is left in the model.
  """
  if not len(batches):
    sys.exit("error: fewer videos to train on than a batch has")
  epochs, looked, best = 0, 0, (-1.0, None, 0.0)
  while batches.spent < batches.seconds:
    epoch(epochs)
    epochs += 1
    if batches.spent * 10 >= (looked + 1) * batches.seconds:
      looked = int(batches.spent * 10 / batches.seconds)
      found = max(0.0, score())  # Also where it is NaN.
      print(
        f"{batches.steps} steps, {batches.spent:.0f} s: {100 * found:.1f}",
        flush=True,
      )
      if best[1] is None or found >= best[0]:
        state = {k: v.clone() for k, v in model.state_dict().items()}
        best = found, state, batches.spent
  model.load_state_dict(best[1])
  return {
    "cpu_seconds": batches.spent,
    "steps": batches.steps,
    "best_at": best[2],
    "val": 100 * best[0],
    "parameters": sum(p.numel() for p in model.parameters()),
  }
