"""Trains and tests on every fold of a dataset, and scores all of it together.

    python -m benchmarks.folds --config configs/salads_as.py \
      --data DATA/50salads/1.0.0 --workdir runs/salads_as [--folds fold_1] \
      [--record salads_as]

Splits are the folds: each is tested on after training on the others. Finished
folds are not trained again. What the config says of splits, paths and widths
gives way to the dataset's manifest.
"""

import argparse
import json
import pathlib
import sys

import ml_collections
import numpy as np

from benchmarks import record
from unloc_jax import files
from unloc_jax.config import flags
from unloc_jax.config.parser import Parser
from unloc_jax.data.manifest import Manifest, read_manifest
from unloc_jax.metrics import __main__ as metrics
from unloc_jax.parallel import preemption
from unloc_jax.training import console
from unloc_jax.training.loop import train_and_evaluate

_SEGMENT_FIGURES = ("edit", "f1@10", "f1@25", "f1@50")
# What the figures depend on.
_MEASURES = tuple(
  f"unloc_jax/{room}" for room in ("task", "models", "data", "metrics")
)


def of_fold(
  config: ml_collections.ConfigDict,
  args: argparse.Namespace,
  manifest: Manifest,
  fold: str,
) -> ml_collections.ConfigDict:
  """The config, trained on all splits but one."""
  c = config.copy_and_resolve_references().unlock()
  c.seed, c.data.path = args.seed, args.data
  c.data.embedding_width = manifest.embedding_width or c.data.embedding_width
  c.data.train_split = "+".join(s for s in manifest.splits if s != fold)
  c.eval.splits = (fold,)
  return c.lock()


def score(results: list[pathlib.Path], out: pathlib.Path) -> None:
  """Scores what was found in all folds, as one set of videos."""
  if (results[0] / "predictions.npz").exists():
    arrays: dict[str, np.ndarray] = {}
    for folder in results:
      with np.load(folder / "predictions.npz") as found:
        arrays |= dict(found)
    files.write_arrays(out / "predictions.npz", **arrays)
    paths = ["predictions.npz"] * 2
    benchmark = "segmentation"
  else:
    paths = ["predictions.json", "ground_truth.json"]
    for name, key in zip(paths, ("results", "database"), strict=True):
      whole = json.loads((results[0] / name).read_text())
      for folder in results[1:]:
        whole[key] |= json.loads((folder / name).read_text())[key]
      files.write_json(out / name, whole)
    benchmark = "anet_tal"
  predictions, truth = (str(out / name) for name in paths)
  metrics.main(
    [
      *("--benchmark", benchmark, "--predictions", predictions),
      *("--ground_truth", truth, "--json", str(out / "metrics.json")),
    ]
  )


def keep(args: argparse.Namespace, folds: list[str]) -> None:
  """Writes the figures to benchmarks/results."""
  found = json.loads((args.workdir / "metrics.json").read_text())
  if "acc_frames" in found:
    figures = {"accuracy": found["acc_frames"]}
    figures |= {name: found["bg0"][name] for name in _SEGMENT_FIGURES}
  else:
    values = zip(found["tiou"], found["mAP"], strict=True)
    figures = {f"mAP@{tiou:g}": 100 * value for tiou, value in values}
  record.write(
    args.record,
    f"python -m benchmarks.folds --config {args.config} --record {args.record}",
    [*_MEASURES, args.config.partition(":")[0]],
    ["folds", *figures],
    [[len(folds), *(f"{value:.1f}" for value in figures.values())]],
    seeds=[args.seed],
  )


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns the exit status."""
  parser = Parser(__doc__, "benchmarks.folds")
  parser.add_argument("--data", required=True, help="a built dataset")
  parser.add_argument("--workdir", required=True, type=pathlib.Path)
  parser.add_argument("--folds", nargs="*", help="some splits; by default all")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--record", help="keep the figures under this name")
  args, config = flags.parse(parser, argv)
  console.configure()
  try:
    manifest = read_manifest(args.data)
    folds = args.folds or sorted(manifest.splits)
    results = []
    for fold in folds:
      if fold not in manifest.splits:
        raise ValueError(f"--folds {fold}: not of {sorted(manifest.splits)}")
      workdir = args.workdir / fold
      results.append(workdir / "results" / fold)
      if not (results[-1] / "metrics.json").exists():
        c = of_fold(config, args, manifest, fold)
        train_and_evaluate(c, str(workdir))
    score(results, args.workdir)
    if args.record:
      keep(args, folds)
  except preemption.PreemptedError as stopped:
    print(stopped)
  except (ValueError, FileNotFoundError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
