"""Builds a dataset: python -m data_preprocessing.build --dataset anet_captions
--annotations DIR --videos DIR --data_dir DIR
"""

import argparse
import logging
import os
import pathlib
import sys
from collections.abc import Sequence

from data_preprocessing import features, places, schema
from data_preprocessing import plan as plans
from data_preprocessing import report as reports
from data_preprocessing.settings import BuildError, Settings, Threshold
from unloc_jax.annotations import BENCHMARKS, AnnotationError, benchmark

_SHORT_SIDE = Settings(dataset="").short_side


def parser() -> argparse.ArgumentParser:
  """Returns the command line."""
  flags = argparse.ArgumentParser(
    prog="python -m data_preprocessing.build",
    description="Builds sharded TFRecord from videos and annotations.",
  )
  add = flags.add_argument
  add(
    "--dataset",
    required=True,
    metavar="NAME",
    help=f"one of {', '.join(BENCHMARKS)}",
  )
  add(
    "--annotations",
    required=True,
    help="folder of the official annotation files, or one file",
  )
  add(
    "--videos",
    required=True,
    help="folder of the videos, or of the features to import",
  )
  add(
    "--data_dir",
    required=True,
    help="the dataset is written to DATA_DIR/NAME/" + schema.VERSION,
  )
  add(
    "--extract",
    default=schema.FRAMES,
    choices=(schema.FRAMES, schema.FEATURES),
  )
  add(
    "--checkpoint",
    default="",
    help="with --extract features: the finished run, export or converted"
    " CLIP whose image tower makes them; without it, --videos holds .npy,"
    " .npz, .pt or .h5 files",
  )
  add(
    "--frame_rate",
    type=float,
    default=10.0,
    help="stored positions per second (%(default)s)",
  )
  add(
    "--short_side",
    type=int,
    help="shorter side of stored frames, smaller videos keep their size;"
    f" 0 keeps all ({_SHORT_SIDE}, or what --checkpoint was trained on)",
  )
  add("--jpeg_quality", type=int, default=90, help="1 to 95 (%(default)s)")
  add(
    "--normalisation",
    default="none",
    help="with imported features: what was done to them, for the manifest",
  )
  add(
    "--tower_hash",
    default="",
    help="with imported features: names their extractor in the manifest",
  )
  add(
    "--workers",
    type=int,
    default=os.cpu_count() or 1,
    help="local worker processes (%(default)s)",
  )
  add(
    "--beam",
    default="",
    metavar="OPTIONS",
    help="options of another Beam runner, e.g. '--runner=FlinkRunner'; all"
    " folders must then be on a file system its workers share",
  )
  add(
    "--max-missing",
    default="",
    metavar="N|PCT",
    dest="max_missing",
    help="fail when more videos are missing or broken, e.g. 10 or 5%%",
  )
  add(
    "--max_damaged",
    type=float,
    default=0.01,
    help="share of a video that may be undecodable (%(default)s)",
  )
  add(
    "--allow_no_duration",
    action="store_true",
    help="take files that declare no duration: they may be truncated",
  )
  add(
    "--allow_absolute_paths",
    action="store_true",
    help="let a JSONL name videos outside --videos",
  )
  add(
    "--stall_seconds",
    type=float,
    default=300.0,
    help="give a video up after so long without progress (%(default)s)",
  )
  add(
    "--overwrite",
    action="store_true",
    help="build again a dataset that was built from other input",
  )
  return flags


def settings_of(args: argparse.Namespace) -> Settings:
  """Returns the checked settings. Raises BuildError."""
  if args.checkpoint and args.extract != schema.FEATURES:
    raise BuildError("--checkpoint: makes features; add --extract features")
  if args.workers < 1:
    raise BuildError(f"--workers {args.workers}: at least 1")
  short_side = args.short_side
  if short_side is None:
    short_side = _SHORT_SIDE
    if args.checkpoint:
      short_side = features.embedder(args.checkpoint).short_side
  return Settings(
    dataset=args.dataset,
    extract=args.extract,
    frame_rate=args.frame_rate,
    short_side=short_side,
    jpeg_quality=args.jpeg_quality,
    max_damaged=args.max_damaged,
    need_duration=not args.allow_no_duration,
    normalisation=args.normalisation,
    checkpoint=args.checkpoint,
    tower_hash=args.tower_hash,
  )


def run(args: argparse.Namespace) -> str:
  """Builds what the flags ask for and returns a line that says what it is."""
  for flag in ("annotations", "videos", "data_dir"):
    places.check(f"--{flag}", getattr(args, flag))
  with places.annotations(args.annotations) as annotations:
    return _run(args, annotations)


def _run(args: argparse.Namespace, annotations: pathlib.Path) -> str:
  chosen = benchmark(args.dataset)
  settings = settings_of(args)
  threshold = Threshold.parse(args.max_missing)
  plan = plans.make(
    chosen,
    chosen.read(annotations),
    args.videos,
    args.data_dir,
    settings,
    args.allow_absolute_paths,
  )
  if not plan.annotations.videos:
    raise BuildError(f"{args.annotations}: annotates no video")
  if args.overwrite and plan.final.exists():
    plan.final.rmtree()
  if plans.finished(plan):
    return f"{plan.final}: built before from the same input; nothing to do"
  # TensorFlow takes seconds to import: not before the flags are known good.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  # Both say on import what they miss that nobody here needs.
  logging.getLogger().setLevel(logging.ERROR)
  logging.getLogger("absl").setLevel(logging.ERROR)
  from data_preprocessing import builder as builders

  builder = builders.VideoDataset(
    plan, args.workers, args.beam, threshold, args.stall_seconds
  )
  folder = builders.build(builder)
  made = sum(p["built"]["videos"] for p in builder.report["splits"].values())
  reasons = reports.left_out_reasons(builder.report)
  out = ", ".join(f"{n} {why}" for why, n in sorted(reasons.items()))
  warning = "" if made else "WARNING, the dataset is empty. "
  return (
    f"{warning}{folder}: {made} videos; left out: {out or 'none'}; see"
    f" {folder / 'report.md'}"
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns the exit code."""
  args = parser().parse_args(argv)
  try:
    print(run(args))
  except (BuildError, AnnotationError, ValueError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  except OSError as error:
    # Of the data set's own folder: what is wrong with videos is in the report.
    print(
      f"error: {error.filename or args.data_dir}: "
      f"{error.strerror or error}; make room or correct the path, then run"
      " the same command to go on",
      file=sys.stderr,
    )
    return 1
  except KeyboardInterrupt:
    print("stopped; run the same command to go on", file=sys.stderr)
    return 130
  return 0


if __name__ == "__main__":
  sys.exit(main())
