r"""Finds moments in video files.

python -m unloc_jax.predict --export=DIR --video "*.mp4" \
      --query "a player scores" --query "the crowd stands up" --format=srt

--labels=FILE    one label a line: where any of them happens (detection)
--segment        with --labels: cut videos into stretches of one label
--plot=OUT.png   timelines; --clips=DIR cuts the moments out
--encoded=DIR    keeps encoded videos: asked again, they are not read again
"""

import argparse
import glob
import os
import pathlib
import sys
from collections.abc import Sequence

import tqdm

from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.use import formats, outputs
from unloc_jax.use.localizer import Localizer
from unloc_jax.use.questions import check_texts
from unloc_jax.use.requests import Request, ask_video

_LABELS_BYTES = 1 << 20


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m unloc_jax.predict",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add, path = parser.add_argument, pathlib.Path
  add("--export", required=True, help="folder of the exported model")
  add("--video", required=True, nargs="+", help="files or patterns")
  add("--query", action="append", default=[], help="a sentence; repeatable")
  add("--labels", metavar="FILE", help="labels to detect, one a line")
  add("--segment", action="store_true", help="stretches of labels")
  add("--top_k", type=int, default=5, help="moments of a query (5)")
  add("--format", choices=list(formats.FORMATS), default="table")
  add("--out", help="file for the result; subtitles of several videos: folder")
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
    found = [pattern] if exact else sorted(glob.glob(pattern, recursive=True))
    if not found:
      raise FileNotFoundError(f"--video {pattern}: there is no such file")
    paths |= dict.fromkeys(found)
  return list(paths)


def _labels(path: str) -> tuple[str, ...]:
  """Labels of a file, one a line; empty lines are left out."""
  file = pathlib.Path(path)
  try:
    if file.stat().st_size > _LABELS_BYTES:
      raise ValueError("larger than a list of labels is")
    lines = file.read_text(encoding="utf-8").splitlines()
  except (OSError, ValueError) as error:
    raise ValueError(
      f"--labels {path}: {error}; give a text file, one label a line"
    ) from error
  labels = tuple(line.strip() for line in lines if line.strip())
  check_texts(labels, f"--labels {path}: label")
  return labels


def _request(flags: argparse.Namespace, num_videos: int) -> Request:
  """What is asked; ValueError where no answer or place for it could be."""
  labels = _labels(flags.labels) if flags.labels else ()
  if flags.query and (labels or flags.segment):
    raise ValueError("--query and --labels are two questions; ask one")
  if flags.query:
    check_texts(flags.query, "--query")
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
  queries = tuple(flags.query)
  return Request(queries, labels, flags.segment, flags.top_k, flags.encoded)


def _run_beam(
  flags: argparse.Namespace, request: Request, paths: Sequence[str]
) -> int:
  """Asks a corpus; returns how many videos could not be asked."""
  from unloc_jax.use import corpus

  ending = "txt" if flags.format == "table" else flags.format
  jobs = dict(zip(paths, outputs.names(paths, ending), strict=True))
  failures = corpus.ask(
    flags.export, jobs, request, flags.format, flags.out, flags.beam
  )
  for line in failures:
    print(f"error: {line}", file=sys.stderr)
  asked = len(paths) - len(failures)
  print(f"{flags.out}: {asked} of {len(paths)} videos asked", file=sys.stderr)
  return len(failures)


def _run(
  flags: argparse.Namespace, request: Request, paths: Sequence[str]
) -> int:
  """Asks videos; returns how many could not be asked, or moments not cut."""
  localizer = Localizer.from_export(flags.export)
  request.check(localizer)
  found, failed = [], 0
  # None: silent where nobody is watching.
  is_silent = True if len(paths) == 1 else None
  for path in tqdm.tqdm(paths, unit="video", disable=is_silent):
    try:
      found.append(ask_video(localizer, path, request))
    except ValueError as error:
      print(f"error: {error}", file=sys.stderr)
      failed += 1
  if found:
    outputs.tell(found, flags.format, flags.out)
  if flags.plot:
    outputs.plot(found, flags.plot)
  if flags.clips:
    failed += outputs.cut(found, flags.clips)
  return failed


def main(argv: Sequence[str] | None = None) -> None:
  """Finds moments; exits with 1 where a video could not be asked or cut."""
  flags = _parser().parse_args(argv)
  try:
    paths = _paths(flags.video)
    request = _request(flags, len(paths))
    keep_programs()
    run = _run if flags.beam is None else _run_beam
    failed = run(flags, request, paths)
  except (ValueError, OSError) as error:
    sys.exit(f"error: {error}")
  sys.exit(1 if failed else 0)


if __name__ == "__main__":
  main()
