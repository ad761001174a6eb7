r"""Finds moments in video files.

python -m unloc_jax.predict --export=DIR --video "*.mp4" \
      --query "a player scores" --query "the crowd stands up" \
      --format=srt --out=found/

--labels=FILE    one label a line: where any of them happens (detection)
--segment        with --labels: cut videos into stretches of one label
--weights=DIR    in place of --export: towers that nobody trained for this, a
                 baseline; what python -m unloc_jax.weights converted
--out=FILE       one file for all videos; --out=DIR/, ending in /, a file for
                 each, and so for subtitles and --beam, however it ends
--plot=OUT.png   timelines; --clips=DIR cuts the moments out
--encoded=DIR    keeps encoded videos: asked again, they are not read again
--text_features=FILE  of each query, where the model was trained on features;
                 --video then is files of features, those of one name are of one
                 video, in the order of training (docs/data.md)

A video is called by its file's name without the ending; where two have the
same, by the path.
"""

import argparse
import glob
import logging
import os
import pathlib
import sys
from collections.abc import Sequence

import tqdm

from unloc_jax import files
from unloc_jax.annotations.reading import read_text
from unloc_jax.config.parser import Parser, show
from unloc_jax.media import listing
from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.use import formats, outputs
from unloc_jax.use.console import fault, one_line
from unloc_jax.use.outputs import check_place
from unloc_jax.use.questions import checked_text, checked_texts
from unloc_jax.use.requests import (
  Job,
  Request,
  ask_video,
  jobs,
  text_features,
)
from unloc_jax.use.untrained import load

_LABELS_BYTES = 1 << 20


def _parser() -> Parser:
  parser = Parser(__doc__, "unloc_jax.predict")
  add, path = parser.add_argument, pathlib.Path
  model = parser.add_mutually_exclusive_group(required=True)
  model.add_argument(
    "--export", default="", help="folder of the exported model"
  )
  model.add_argument(
    "--weights", metavar="DIR", default="", help="folder of towers"
  )
  add("--video", required=True, nargs="+", help="files or patterns")
  add("--query", action="append", default=[], help="a sentence; repeatable")
  add("--labels", metavar="FILE", help="labels to detect, one a line")
  add("--text_features", metavar="FILE", action="append", default=[])
  add(
    "--text_weights",
    metavar="DIR",
    default="",
    help="text tower, for sentences that the model does not know by heart"
    " (weights/minilm)",
  )
  add("--segment", action="store_true", help="stretches of labels")
  add("--top_k", type=int, default=5, help="moments of a query (5)")
  add("--format", choices=list(formats.FORMATS), default="table")
  add("--out", help="file for all, or folder/ for a file each; see above")
  add("--plot", metavar="PNG", type=path, help="draws timelines")
  add("--clips", metavar="DIR", type=path, help="cuts the moments out")
  add("--encoded", metavar="DIR", type=path, help="keeps encoded videos")
  beam = "a file a video under --out; options of its runner, '' to run here"
  add("--beam", metavar="OPTIONS", help=f"asks on Apache Beam, {beam}")
  return parser


def _paths(patterns: Sequence[str]) -> list[str]:
  """Video paths of names and patterns, each once, in order."""
  paths: dict[str, None] = {}
  for pattern in patterns:
    # A name is itself even where it looks like a pattern.
    exact = os.path.exists(pattern) or not glob.has_magic(pattern)
    found = [pattern] if exact else listing.matches(pattern)
    if not found:
      raise FileNotFoundError(f"--video {pattern}: there is no such file")
    paths |= dict.fromkeys(found)
  return list(paths)


def _labels(path: str) -> tuple[str, ...]:
  """Labels of a file, one a line, each once; blank lines are left out."""
  advice = "give a text file, one label a line"
  file = pathlib.Path(path)
  if file.exists() and not file.is_file():
    raise ValueError(f"--labels {path}: not a file; {advice}")
  if file.exists() and file.stat().st_size > _LABELS_BYTES:
    raise ValueError(f"--labels {path}: larger than labels are; {advice}")
  try:
    lines = [line.strip() for line in read_text(path).split("\n")]
  except ValueError as error:
    raise ValueError(f"--labels {error}; {advice}") from error
  for number, line in enumerate(lines, start=1):
    if line:
      checked_text(line, f"--labels {path}:{number}")
  labels = tuple(dict.fromkeys(line for line in lines if line))
  if not labels:
    raise ValueError(f"--labels {path}: there is none; {advice}")
  return labels


def _request(flags: argparse.Namespace, num_videos: int) -> Request:
  """What is asked; ValueError where no answer or place for it could be."""
  labels = () if flags.labels is None else _labels(flags.labels)
  if flags.query and (labels or flags.segment):
    raise ValueError("--query and --labels are two questions; ask one")
  checked_texts(flags.query, "--query")
  if flags.top_k < 1:
    raise ValueError(f"--top_k {flags.top_k}: at least 1")
  if flags.plot and not flags.query:
    raise ValueError("--plot draws the relevance of a --query; give one")
  if flags.format in formats.SUBTITLES and num_videos > 1 and not flags.out:
    raise ValueError(
      f"--format {flags.format} is one file a video; give --out FOLDER"
    )
  if flags.beam is not None and not flags.out:
    raise ValueError("--beam writes a file a video; give --out FOLDER")
  if flags.beam is not None and (flags.plot or flags.clips):
    raise ValueError("--beam neither plots nor cuts; leave --plot and --clips")
  return Request(
    tuple(flags.query),
    labels,
    flags.segment,
    flags.top_k,
    flags.encoded,
    text_features(flags.text_features, len(flags.query)),
  )


def _check_places(flags: argparse.Namespace, paths: Sequence[str]) -> None:
  """Raises ValueError where a result could not be written."""
  if flags.out is not None:
    check_place("--out", pathlib.Path(flags.out), _is_folder(flags))
  for name in ("clips", "encoded"):
    if getattr(flags, name):
      check_place(f"--{name}", getattr(flags, name), is_folder=True)
  if flags.plot:
    flags.plot = outputs.picture(flags.plot)
    check_place("--plot", flags.plot, is_folder=False)
  for flag, out in (("--out", flags.out), ("--plot", flags.plot)):
    if out and files.is_one_of(out, paths):
      raise ValueError(f"{flag} {out} is a video to be read; name another file")


def _is_folder(flags: argparse.Namespace) -> bool:
  """Whether --out is a folder, with a file for each video."""
  is_one_each = flags.format in formats.SUBTITLES or flags.beam is not None
  return flags.out is not None and (is_one_each or flags.out.endswith("/"))


def _run_beam(
  flags: argparse.Namespace, request: Request, asked: Sequence[Job]
) -> int:
  """Asks a corpus; returns how many videos could not be asked."""
  logging.disable(logging.WARNING)  # Of Google's cloud, which nobody asked for.
  from unloc_jax.use import corpus

  logging.disable(logging.NOTSET)
  model = flags.export, flags.weights, flags.text_weights
  failures = corpus.ask(
    model, asked, request, flags.format, flags.out, flags.beam
  )
  for line in failures:
    print(f"error: {line}", file=sys.stderr)
  done = len(asked) - len(failures)
  print(f"{flags.out}: {done} of {len(asked)} videos asked", file=sys.stderr)
  return len(failures)


def _run(
  flags: argparse.Namespace, request: Request, asked: Sequence[Job]
) -> int:
  """Asks videos; returns how many could not be asked, or moments not cut."""
  localizer = load(flags.export, flags.weights, flags.text_weights)
  request.check(localizer)
  as_text, found, failed = formats.FORMATS[flags.format], [], 0
  # None: silent where nobody is watching.
  is_silent = True if len(asked) == 1 else None
  for job in tqdm.tqdm(asked, unit="video", disable=is_silent):
    try:
      found.append(ask_video(localizer, job, request))
      if _is_folder(flags):
        path = pathlib.Path(flags.out, job.result)
        outputs.write(path, as_text(found[-1].moments))
        print(one_line(f"{path}: of {job.path}"), file=sys.stderr)
    except (ValueError, OSError) as error:
      print(f"error: {fault(error)}", file=sys.stderr)
      failed += 1
  if found and not _is_folder(flags):
    text = as_text([moment for item in found for moment in item.moments])
    if flags.out is None:
      show(text)
    else:
      outputs.write(pathlib.Path(flags.out), text)
  if flags.plot:
    outputs.plot(found, flags.plot)
  if flags.clips:
    failed += outputs.cut(found, flags.clips)
  return failed


def main(argv: Sequence[str] | None = None) -> None:
  """Finds moments; exits with 1 where a video could not be asked or cut."""
  given = list(sys.argv[1:] if argv is None else argv)
  if "--beam" in given[:-1]:
    # To argparse what begins with a dash is no value.
    at = given.index("--beam")
    given[at : at + 2] = [f"--beam={given[at + 1]}"]
  flags = _parser().parse_args(given)
  try:
    paths = _paths(flags.video)
    request = _request(flags, len(paths))
    _check_places(flags, paths)
    ending = "txt" if flags.format == "table" else flags.format
    keep_programs()
    run = _run if flags.beam is None else _run_beam
    failed = run(flags, request, jobs(paths, ending))
  except (ValueError, OSError) as error:
    sys.exit(f"error: {fault(error)}")
  sys.exit(1 if failed else 0)


if __name__ == "__main__":
  main()
