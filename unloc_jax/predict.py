"""Finds moments in video files.

    python -m unloc_jax.predict --export=DIR --video "*.mp4" \\
      --query "a player scores" --query "the crowd stands up" --format=srt

  --labels=FILE    one label a line: where any of them happens (detection)
  --segment        with --labels: cut videos into stretches of one label
  --plot=OUT.png   timelines; --clips=DIR cuts the moments out
  --encoded=DIR    keeps encoded videos: asked again, they are not read again
"""

import argparse
import dataclasses
import glob
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import tqdm

from unloc_jax.use import formats
from unloc_jax.use.answers import Answer, Moment
from unloc_jax.use.encoded import SUFFIX, EncodedVideo
from unloc_jax.use.questions import check_texts

if TYPE_CHECKING:
  from unloc_jax.localizer import Localizer

_LABELS_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Request:
  """What is asked of every video.

  Attributes:
    queries: Sentences; () where labels are asked.
    labels: Names of actions.
    segment: Stretches of labels rather than detections.
    top_k: Most moments of a query, or of a video where labels are asked.
    encoded: Folder that keeps encoded videos, or None.
  """

  queries: tuple[str, ...]
  labels: tuple[str, ...]
  segment: bool
  top_k: int
  encoded: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class Found:
  """What was found in a video.

  Attributes:
    path: The video.
    duration: Seconds.
    moments: In the order they are told.
    answers: By query, with relevance; () where labels were asked.
  """

  path: str
  duration: float
  moments: list[Moment]
  answers: tuple[Answer, ...]


def ask_video(localizer: "Localizer", path: str, request: Request) -> Found:
  """Asks one video file.

  Raises:
    ValueError: It cannot be read, or asked that.
  """
  video = _encoded(localizer, path, request.encoded)
  answers: list[Answer] = []
  if request.queries:
    answers = localizer.ask(video, request.queries, request.top_k)
    moments = [moment for answer in answers for moment in answer.moments]
  elif request.segment:
    moments = localizer.segment(video, request.labels)
  else:
    moments = localizer.detect(video, request.labels, request.top_k)
  return Found(path, video.duration, moments, tuple(answers))


def _encoded(
  localizer: "Localizer", path: str, folder: pathlib.Path | None
) -> EncodedVideo:
  """The encoded video, read from `folder` if it was kept there."""
  kept = None
  if folder is not None and os.path.exists(path):
    stat = os.stat(path)
    key = f"{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}"
    # Of the model, too: another one's would be refused.
    key += localizer.export.encoder_hash
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    kept = folder / f"{pathlib.Path(path).stem}-{name}{SUFFIX}"
    if kept.exists():
      return EncodedVideo.load(str(kept))
  with tqdm.tqdm(
    desc=f"Reading {pathlib.Path(path).name}",
    unit="s",
    bar_format="{desc}: {n:.0f} s of video, {elapsed}",
    leave=False,
    disable=None,  # Silent where nobody is watching.
  ) as bar:
    video = localizer.encode_video(
      path, lambda seconds: bar.update(seconds - bar.n) or None
    )
  if kept is not None:
    video.save(str(kept))
  return video


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


def clips(folder: pathlib.Path, found: Sequence[Found]) -> list[pathlib.Path]:
  """Cuts all moments out of their videos; returns the files."""
  from unloc_jax.use.clips import cut_clip

  wanted = [(item, moment) for item in found for moment in item.moments]
  paths = []
  for number, (item, moment) in enumerate(
    tqdm.tqdm(wanted, desc="Cutting", unit="clip", disable=None), start=1
  ):
    stem = _safe(f"{moment.video_id}_{number:03}_{moment.query}")
    path = folder / f"{stem}.mp4"
    cut_clip(item.path, path, moment.start, moment.end)
    paths.append(path)
  return paths


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


def write(text: str, out: str | None) -> None:
  """Prints, or writes beside and renames."""
  if out is None:
    print(text, end="" if text.endswith("\n") else "\n")
    return
  path = pathlib.Path(out)
  path.parent.mkdir(parents=True, exist_ok=True)
  beside = path.with_name(path.name + ".tmp")
  beside.write_text(text, encoding="utf-8")
  beside.rename(path)


def _tell(found: Sequence[Found], name: str, out: str | None) -> None:
  """Prints or writes what was found in the wanted format."""
  as_text = formats.FORMATS[name]
  if name in formats.SUBTITLES and len(found) > 1:
    if out is None:
      raise ValueError(
        f"--format {name} is one file a video; give --out FOLDER"
      )
    for item in found:
      path = pathlib.Path(out) / f"{pathlib.Path(item.path).stem}.{name}"
      write(as_text(item.moments), str(path))
    return
  write(as_text([m for item in found for m in item.moments]), out)


def run(flags: argparse.Namespace) -> int:
  """Does what the flags say; returns how many videos could not be asked."""
  request, paths = _request(flags), expand(flags.video)
  keep_programs()
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
  if flags.clips:
    for path in clips(pathlib.Path(flags.clips), found):
      print(f"{path}: cut", file=sys.stderr)
  return len(paths) - len(found)


def keep_programs() -> None:
  """Keeps compiled programs between runs, unless told where otherwise."""
  import jax

  if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "unloc_jax", "programs")
    jax.config.update("jax_compilation_cache_dir", folder)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def main(argv: Sequence[str] | None = None) -> None:
  """Finds moments; exits with 1 where a video could not be asked."""
  flags = _parser().parse_args(argv)
  try:
    failed = run(flags)
  except (ValueError, OSError) as error:
    sys.exit(f"error: {error}")
  sys.exit(1 if failed else 0)


if __name__ == "__main__":
  main()
