r"""Builds a dataset.

python -m data_preprocessing.build --dataset anet_captions \
      --annotations DIR --videos DIR --data_dir DIR
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence

from data_preprocessing import build_plan as plans
from data_preprocessing import command, features, places, schema
from data_preprocessing import report as reports
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.annotations import BENCHMARKS, benchmark
from unloc_jax.config.parser import Parser

_REQUIRED = {
  "dataset": f"one of {', '.join(BENCHMARKS)}",
  "annotations": "folder of official files, or one",
  "videos": "their folder, or that of features; several folders of features"
  " are brought to length 1 each and put side by side",
  "data_dir": f"the dataset is written to DATA_DIR/NAME/{schema.VERSION}",
}
# Flags that decide what a dataset holds; Settings has the defaults.
_WHAT = {
  "checkpoint": "with --extract features: the finished run, export or"
  " converted CLIP whose image tower makes them; without it, --videos holds"
  " .npy, .npz, .pt or .h5 files",
  "jpeg_quality": "1 to 95 (%(default)s)",
  "normalisation": "done to imported features (%(default)s)",
  "tower_hash": "names the maker of imported features",
  "sound": "extractor of the sound to store beside, or with --extract sound"
  " alone: 'log_mel', or a folder with YAMNet (docs/sound.md)",
  "texts": "features of the queries' texts, in place of a text tower: a folder"
  " of qidID.npz, or one .npz or .h5 by the queries' ids (docs/data.md)",
  "max_damaged": "share of a video that may be undecodable (%(default)s)",
}
_SWITCHES = {
  "allow_absolute_paths": "let a JSONL name videos outside --videos",
  "overwrite": "build again a dataset that was built from other input",
}


def parser() -> Parser:
  """Returns the command line."""
  flags = Parser(
    "Builds sharded TFRecord from videos and annotations.",
    "data_preprocessing.build",
  )
  add = flags.add_argument_group("what is built").add_argument
  for name, text in _REQUIRED.items():
    count = "+" if name == "videos" else None
    add(f"--{name}", required=True, nargs=count, help=text)
  add(
    "--extract",
    default="frames",
    choices=(schema.FRAMES, schema.FEATURES, schema.SOUND),
  )
  for name, text in _WHAT.items():
    default = getattr(Settings, name)
    kind = type(default or "")
    add(f"--{name}", type=kind, default=default, help=text)
  add(
    "--short_side",
    type=int,
    help="shorter side of stored frames, smaller videos keep their size; 0"
    f" keeps all ({Settings.short_side}, or what --checkpoint was trained on)",
  )
  add(
    "--frame_rate",
    type=float,
    help=f"positions a second ({Settings.frame_rate:g}); for imported features"
    " the rate they were made at",
  )
  # Of earlier versions; they are taken, and remarked upon in the report.
  add("--allow_no_duration", action="store_true", help=argparse.SUPPRESS)
  add = flags.add_argument_group("how it is built").add_argument
  cores = os.cpu_count() or 1
  add("--workers", type=int, default=cores, help="processes (%(default)s)")
  add(
    "--beam",
    default="",
    metavar="OPTIONS",
    help="options of another Beam runner, e.g. --beam --runner=FlinkRunner; all"
    " folders must then be on a file system its workers share",
  )
  text = "fail when more videos are missing or broken, e.g. 10 or 5%%"
  add("--max-missing", default="", metavar="N|PCT", help=text)
  text = "give a video up after so long without progress (%(default)s)"
  add("--stall_seconds", type=float, default=300.0, help=text)
  for name, text in _SWITCHES.items():
    add(f"--{name}", action="store_true", help=text)
  return flags


def settings_of(args: argparse.Namespace) -> Settings:
  """Returns the checked settings. Raises BuildError."""
  if args.checkpoint and args.extract != schema.FEATURES:
    raise BuildError("--checkpoint: makes features; add --extract features")
  imports = args.extract == schema.FEATURES and not args.checkpoint
  if len(args.videos) > 1 and not imports:
    raise BuildError("--videos: several folders can be of features alone")
  if args.sound and imports:
    raise BuildError("--sound: needs videos, not files of features")
  if args.extract == schema.SOUND and not args.sound:
    raise BuildError("--extract sound: give --sound log_mel, or a folder")
  if args.workers < 1:
    raise BuildError(f"--workers {args.workers}: at least 1")
  if not args.stall_seconds > 0:
    raise BuildError(f"--stall_seconds {args.stall_seconds}: above 0")
  rate, short_side = args.frame_rate, args.short_side
  if rate is None:
    if imports:
      raise BuildError(
        "--frame_rate: files of features do not say how many of them there are"
        " a second; give the rate they were made at"
      )
    rate = Settings.frame_rate
  if short_side is None:
    maker = features.embedder(args.checkpoint) if args.checkpoint else Settings
    short_side = maker.short_side
  return Settings(
    args.dataset,
    args.extract,
    rate,
    short_side=short_side,
    **{name: getattr(args, name) for name in _WHAT},
  )


def run(args: argparse.Namespace) -> str:
  """Builds what the flags ask for and returns a line that says what it is."""
  for flag in ("annotations", "texts", "data_dir"):
    places.check(f"--{flag}", getattr(args, flag))
  for folder in args.videos:
    places.check("--videos", folder)
  with places.annotations(args.annotations) as annotations:
    chosen = benchmark(args.dataset)
    settings = settings_of(args)
    said = chosen.read(annotations)
    if not said.videos:
      raise BuildError(f"{args.annotations}: annotates no video")
    most = reports.most_left_out(args.max_missing, len(said.videos))
    plan = plans.make(
      chosen,
      said,
      settings,
      args.videos,
      args.data_dir,
      args.allow_absolute_paths,
    )
    if args.overwrite and plan.final.exists():
      plan.final.rmtree()
    if plan.finished:
      return f"{plan.final}: built before from the same input; nothing to do"
    # TensorFlow takes seconds to import: not before the flags are known good.
    with _quiet():
      from data_preprocessing import beam_runner, builder

      runner = beam_runner.Runner(args.workers, args.beam, args.stall_seconds)
      report = builder.build(plan, runner, most)
  made = sum(p["built"]["videos"] for p in report["splits"].values())
  reasons = sorted(reports.left_out(report).items())
  out = ", ".join(f"{n} {why}" for why, n in reasons)
  bare = ", ".join(reports.without_segments(report))
  warning = f"WARNING, no segment in split {bare}. " if bare else ""
  warning = warning if made else "WARNING, the dataset is empty. "
  return (
    f"{warning}{plan.final}: {made} videos; left out: {out or 'none'}; see"
    f" {plan.final / 'report.md'}"
  )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps libraries from saying what they miss on import, and what we say.

  Beam logs the tracebacks of errors that we explain in a line.
  """
  logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)
  logging.disable(logging.WARNING)
  try:
    yield
  finally:
    logging.disable(logging.NOTSET)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
  """Reads the command line; what is not ours after `--beam` goes to Beam."""
  given = list(sys.argv[1:] if argv is None else argv)
  at = next((i for i, w in enumerate(given) if w.startswith("--beam")), None)
  if at is not None and given[at + 1 : at + 2] and given[at] == "--beam":
    # To argparse what begins with a dash is no value.
    given[at : at + 2] = [f"--beam={given[at + 1]}"]
  flags = parser()
  args, rest = flags.parse_known_args(given)
  unknown = rest if at is None else [w for w in rest if w in given[:at]]
  if unknown:
    flags.error(f"unrecognized arguments: {' '.join(unknown)}")
  args.beam = " ".join([args.beam, *rest]).strip()
  return args


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns the exit code."""
  args = parse(argv)
  return command.ended(lambda: run(args), args.data_dir)


if __name__ == "__main__":
  sys.exit(main())
