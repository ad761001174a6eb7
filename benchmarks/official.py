"""QVHighlights' official script and NMS beside ours, in turn.

    python -m benchmarks.official --checkout MOMENT_DETR [--python PYTHON]

PYTHON has scikit-learn, which the official script needs. The submission is of
the size of the split val, drawn from a seed. Prints medians, wall and of all
processors: the official script takes eight processes.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import jax
import numpy as np

from benchmarks import clock
from unloc_jax.annotations import pairing
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import qvhighlights
from unloc_jax.task import decode

# Of val: queries, clips of 2 s of each, answers to each.
QUERIES, CLIPS, ANSWERS = 1550, 75, 10
# Of NMS: lists of candidates, the points of a pyramid over 64 frames.
LISTS, CANDIDATES = 1000, 126

_CLOCK = """
import os, sys, time
import numpy as np
np.float = float  # Its name until NumPy 1.24.
def clock():
  return time.perf_counter(), sum(os.times()[:4])
"""
# Run beside ours, in the checkout; what it took is printed last.
_OFFICIAL = {
  "metrics": """
from standalone_eval.eval import eval_submission
from standalone_eval.utils import load_jsonl
began = clock()
eval_submission(*map(load_jsonl, sys.argv[1:]), verbose=False)
print(*np.subtract(clock(), began))
""",
  "nms": """
from utils.temporal_nms import temporal_nms
lists = np.load(sys.argv[1]).tolist()
began = clock()
for each in lists:
  temporal_nms(each, 0.5, 100)
print(*np.subtract(clock(), began))
""",
}


def write_moments(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
  """Draws a submission and its ground truth; returns their files."""
  rng = np.random.default_rng(0)
  predictions, truth = [], []
  for qid in range(QUERIES):
    starts = rng.integers(0, 60, rng.integers(1, 4)) * 2
    ends = np.minimum(starts + 2 * rng.integers(1, 40, len(starts)), 2 * CLIPS)
    windows = np.stack([starts, ends], axis=1).tolist()
    ids = sorted({c for s, e in windows for c in range(s // 2, e // 2)})
    base = {"qid": qid, "query": "a query", "vid": f"video_{qid}"}
    said = {
      "duration": 2 * CLIPS,
      "relevant_windows": windows,
      "relevant_clip_ids": ids,
      "saliency_scores": rng.integers(0, 5, (len(ids), 3)).tolist(),
    }
    guesses = rng.uniform(0, 75, (ANSWERS, 2)).round(2)
    guesses[:, 1] += guesses[:, 0]
    scores = np.sort(rng.random((ANSWERS, 1)).round(4), axis=0)[::-1]
    found = {
      "pred_relevant_windows": np.hstack([guesses, scores]).tolist(),
      "pred_saliency_scores": rng.normal(size=CLIPS).round(4).tolist(),
    }
    truth.append({**base, **said})
    predictions.append({**base, **found})
  paths = folder / "p.jsonl", folder / "g.jsonl"
  for path, rows in zip(paths, (predictions, truth), strict=True):
    path.write_text("\n".join(map(json.dumps, rows)))
  return paths


def official(
  flags: argparse.Namespace, what: str, *given: pathlib.Path
) -> list[float]:
  """Wall and processor seconds of an official script, imports left out."""
  command = [flags.python, "-c", _CLOCK + _OFFICIAL[what], *map(str, given)]
  done = subprocess.run(
    command, cwd=flags.checkout, check=False, capture_output=True, text=True
  )
  if done.returncode:
    sys.exit(f"error: {flags.python}: {done.stderr.splitlines()[-1]}")
  return [float(word) for word in done.stdout.split()[-2:]]


def compare(folder: pathlib.Path, flags: argparse.Namespace) -> None:
  """Prints ratios of medians, ours and the official script in turn."""
  paths = write_moments(folder)
  drawn = np.random.default_rng(0).random((LISTS, CANDIDATES, 3))
  drawn[..., 1] = drawn[..., 0] + 0.3 * drawn[..., 1]
  np.save(folder / "nms.npy", drawn)
  segments, scores = np.split(drawn[None].astype(np.float32), [2], axis=-1)

  def scored() -> None:
    qvhighlights.evaluate(pairing.read(*paths, Problems())[0])

  def nms() -> None:
    kept = decode.detect_per_query(
      segments,
      scores[..., 0],
      sigma=0.0,
      score_threshold=0.0,
      max_detections=100,
    )
    jax.block_until_ready(kept)

  nms()  # Compiles.
  for name, ours, given in (
    ("metrics", scored, paths),
    ("nms", nms, (folder / "nms.npy",)),
  ):
    taken = [
      (clock.timed(ours)[1], official(flags, name, *given))
      for _ in range(flags.repeats)
    ]
    middle = np.median(taken, axis=0).T
    for unit, (own, other) in zip(("wall", "processor"), middle, strict=True):
      print(
        f"QVHighlights, {name}, {unit}: official {other:.2f} s, "
        f"ours {own:.3f} s, {other / own:.0f}x"
      )


def main() -> None:
  """Prints the ratios."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--checkout", required=True, help="of moment_detr")
  parser.add_argument("--python", default=sys.executable)
  parser.add_argument("--repeats", type=int, default=3)
  flags = parser.parse_args()
  flags.python = os.path.abspath(shutil.which(flags.python) or flags.python)
  with tempfile.TemporaryDirectory() as folder:
    compare(pathlib.Path(folder), flags)


if __name__ == "__main__":
  main()
