"""Finds moments in video files.

    python -m unloc_jax.predict --export=DIR --video "*.mp4" \\
      --query "a player scores" --query "the crowd stands up" --format=srt

  --labels=FILE    one label a line: where any of them happens (detection)
  --segment        with --labels: cut videos into stretches of one label
  --plot=OUT.png   timelines; --clips=DIR cuts the moments out
  --encoded=DIR    keeps encoded videos: asked again, they are not read again
"""

import argparse
import collections
import glob
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import tqdm

from unloc_jax.use import formats
from unloc_jax.use.questions import check_texts
from unloc_jax.use.requests import Found, Request, ask_video, write

if TYPE_CHECKING:
  from unloc_jax.localizer import Localizer

_LABELS_BYTES = 1 << 20


def expand(patterns: Sequence[str]) -> list[str]:
  """Video paths of names and patterns, each once, in order.

  Raises:
    FileNotFoundError: A pattern matches nothing.
  """
  paths: dict[str, None] = {}
  for pattern in patterns:
    # A name is itself even where it looks like a pattern.
    exact = os.path.exists(pattern) or not glob.has_magic(pattern)
    found = [pattern] if exact else sorted(glob.glob(pattern, recursive=True))
    if not found:
      raise FileNotFoundError(f"--video {pattern}: there is no such file")
    paths |= dict.fromkeys(found)
  return list(paths)


def read_labels(path: str) -> tuple[str, ...]:
  """Labels of a file, one a line; empty lines are left out.

  Raises:
    ValueError: It is no such file.
  """
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


def ask_all(
  localizer: "Localizer", paths: Sequence[str], request: Request
) -> Iterator[Found | ValueError]:
  """What was found in each video, or why it could not be asked."""
  for path in tqdm.tqdm(paths, unit="video", disable=_few(paths)):
    try:
      yield ask_video(localizer, path, request)
    except ValueError as error:
      yield error


def _few(paths: Sequence[str]) -> bool | None:
  return True if len(paths) == 1 else None


def plot(out: pathlib.Path, found: Sequence[Found]) -> list[pathlib.Path]:
  """Draws a timeline per video and query; returns the files.

  One question gives `out` itself, several OUT_1.png, OUT_2.png, ...
  """
  from unloc_jax.use.timelines import draw

  wanted = [(item, answer) for item in found for answer in item.answers]
  paths = []
  for number, (item, answer) in enumerate(wanted, start=1):
    path = out
    if len(wanted) > 1:
      path = out.with_name(f"{out.stem}_{number}{out.suffix or '.png'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(answer, item.duration, pathlib.Path(item.path).name).savefig(path)
    paths.append(path)
  return paths


def clips(folder: pathlib.Path, found: Sequence[Found]) -> int:
  """Cuts all moments out of their videos; returns how many could not be."""
  from unloc_jax.media.clips import cut_clip

  wanted = [(item, moment) for item in found for moment in item.moments]
  failed = 0
  for number, (item, moment) in enumerate(
    tqdm.tqdm(wanted, desc="Cutting", unit="clip", disable=None), start=1
  ):
    stem = _safe(f"{moment.video_id}_{number:03}_{moment.query}")
    path = folder / f"{stem}.mp4"
    try:
      cut_clip(item.path, path, moment.start, moment.end)
    except ValueError as error:
      print(f"error: {error}", file=sys.stderr)
      failed += 1
    else:
      print(f"{path}: cut", file=sys.stderr)
  return failed


def _safe(name: str) -> str:
  """A file name: no folder, no sign that shells or systems take amiss."""
  kept = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
  return kept[:80] or "clip"


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m unloc_jax.predict",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add("--export", required=True, help="folder of the exported model")
  add("--video", required=True, nargs="+", help="files or patterns")
  add("--query", action="append", default=[], help="a sentence; repeatable")
  add("--labels", metavar="FILE", help="labels to detect, one a line")
  add("--segment", action="store_true", help="stretches of labels")
  add("--top_k", type=int, default=5, help="moments of a query (5)")
  add("--format", choices=list(formats.FORMATS), default="table")
  add("--out", help="file for the result; subtitles of several videos: folder")
  add("--plot", metavar="PNG", help="draws timelines")
  add("--clips", metavar="DIR", help="cuts the moments out")
  add("--encoded", metavar="DIR", help="keeps encoded videos")
  add(
    "--beam",
    metavar="OPTIONS",
    help="asks on Apache Beam, a file a video "
    "under --out; options of its runner, or '' for this machine",
  )
  return parser


def _request(flags: argparse.Namespace) -> Request:
  """Raises ValueError where the flags do not make a question."""
  labels = read_labels(flags.labels) if flags.labels else ()
  if flags.query and (labels or flags.segment):
    raise ValueError("--query and --labels are two questions; ask one")
  if flags.query:
    check_texts(flags.query, "--query")
  if flags.top_k < 1:
    raise ValueError(f"--top_k {flags.top_k}: at least 1")
  if flags.plot and not flags.query:
    raise ValueError("--plot draws the relevance of a --query; give one")
  encoded = pathlib.Path(flags.encoded) if flags.encoded else None
  return Request(
    tuple(flags.query), labels, flags.segment, flags.top_k, encoded
  )


def out_names(paths: Sequence[str], ending: str) -> list[str]:
  """A file name for each video's result; no two the same."""
  names: list[str] = []
  taken: collections.Counter[str] = collections.Counter()
  for path in paths:
    stem = pathlib.Path(path).stem
    taken[stem] += 1
    again = f"_{taken[stem]}" if taken[stem] > 1 else ""
    names.append(f"{stem}{again}.{ending}")
  return names


def _tell(found: Sequence[Found], name: str, out: str | None) -> None:
  """Prints or writes what was found in the wanted format."""
  as_text = formats.FORMATS[name]
  if name in formats.SUBTITLES and len(found) > 1:
    assert out is not None
    names = out_names([item.path for item in found], name)
    for item, file in zip(found, names, strict=True):
      write(as_text(item.moments), pathlib.Path(out) / file)
    return
  text = as_text([m for item in found for m in item.moments])
  if out is None:
    print(text, end="" if text.endswith("\n") else "\n")
  else:
    write(text, pathlib.Path(out))


def _check_outputs(flags: argparse.Namespace, count: int) -> None:
  """Raises ValueError, before any work, where a result has no place."""
  if flags.format in formats.SUBTITLES and count > 1 and not flags.out:
    raise ValueError(
      f"--format {flags.format} is one file a video; give --out FOLDER"
    )
  if flags.beam is None:
    return
  if not flags.out:
    raise ValueError("--beam writes a file a video; give --out FOLDER")
  if flags.plot or flags.clips:
    raise ValueError("--beam neither plots nor cuts; leave --plot and --clips")


def _on_beam(flags: argparse.Namespace, request: Request, paths) -> int:
  """Asks a corpus; returns how many videos could not be asked."""
  from unloc_jax.use import corpus

  names = out_names(paths, formats.ENDINGS[flags.format])
  jobs = dict(zip(paths, names, strict=True))
  failures = corpus.ask(
    flags.export, jobs, request, flags.format, flags.out, flags.beam
  )
  for line in failures:
    print(f"error: {line}", file=sys.stderr)
  print(
    f"{flags.out}: {len(paths) - len(failures)} of {len(paths)} videos asked",
    file=sys.stderr,
  )
  return len(failures)


def run(flags: argparse.Namespace) -> int:
  """Does what the flags say; returns how much of it could not be done."""
  request, paths = _request(flags), expand(flags.video)
  _check_outputs(flags, len(paths))
  keep_programs()
  if flags.beam is not None:
    return _on_beam(flags, request, paths)
  from unloc_jax.localizer import Localizer

  localizer = Localizer.from_export(flags.export)
  if not request.queries:
    # Said before the first video is read.
    localizer.known_labels(request.labels)
  found = []
  for item in ask_all(localizer, paths, request):
    if isinstance(item, ValueError):
      print(f"error: {item}", file=sys.stderr)
    else:
      found.append(item)
  if found:
    _tell(found, flags.format, flags.out)
  if flags.plot:
    for path in plot(pathlib.Path(flags.plot), found):
      print(f"{path}: drawn", file=sys.stderr)
  failed = len(paths) - len(found)
  if flags.clips:
    failed += clips(pathlib.Path(flags.clips), found)
  return failed


def keep_programs() -> None:
  """Keeps compiled programs between runs, unless told where otherwise."""
  import jax

  if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "unloc_jax", "programs")
    jax.config.update("jax_compilation_cache_dir", folder)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def main(argv: Sequence[str] | None = None) -> None:
  """Finds moments; exits with 1 where a video could not be asked or cut."""
  flags = _parser().parse_args(argv)
  try:
    failed = run(flags)
  except (ValueError, OSError) as error:
    sys.exit(f"error: {error}")
  sys.exit(1 if failed else 0)


if __name__ == "__main__":
  main()
