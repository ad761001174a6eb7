"""What was found in videos, as files: text, timelines, clips."""

import collections
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tqdm

from unloc_jax import files
from unloc_jax.media.clips import cut_clip
from unloc_jax.use import formats
from unloc_jax.use.requests import Found

_DRAWN = 5  # Moments of a query.


def names(paths: Sequence[str], ending: str) -> list[str]:
  """A file name for each video's result; no two the same."""
  made: list[str] = []
  taken: collections.Counter[str] = collections.Counter()
  for path in paths:
    stem = pathlib.Path(path).stem
    taken[stem] += 1
    again = f"_{taken[stem]}" if taken[stem] > 1 else ""
    made.append(f"{stem}{again}.{ending}")
  return made


def tell(found: Sequence[Found], form: str, out: str | None) -> None:
  """Writes what was found in videos to `out`, in a format; None prints.

  For subtitles of several videos `out` is a folder.
  """
  as_text = formats.FORMATS[form]
  if form in formats.SUBTITLES and len(found) > 1:
    assert out is not None
    paths = [item.path for item in found]
    for item, name in zip(found, names(paths, form), strict=True):
      files.write_text(pathlib.Path(out, name), as_text(item.moments))
    return
  text = as_text([m for item in found for m in item.moments])
  if out is None:
    print(text, end="" if text.endswith("\n") else "\n")
  else:
    files.write_text(out, text)


def plot(found: Sequence[Found], out: pathlib.Path) -> None:
  """Draws a timeline of each video and query: OUT, or OUT_1, OUT_2, ..."""
  from unloc_jax.results.drawing import figures  # Matplotlib takes its time.

  out = out.with_suffix(out.suffix or ".png")
  wanted = [(item, answer) for item in found for answer in item.answers]
  for number, (item, answer) in enumerate(wanted, start=1):
    path = out
    if len(wanted) > 1:
      path = out.with_name(f"{out.stem}_{number}{out.suffix}")
    shown = [(m.start, m.end, m.score) for m in answer.moments[:_DRAWN]]
    best = np.array(shown).reshape(-1, 3)
    figure = figures.timeline(
      f"“{answer.query}”  —  {pathlib.Path(item.path).name}",
      figures.Seen(item.duration, answer.times, None),
      None,
      best[:, :2],
      best[:, 2],
      answer.relevance,
    )
    with files.replacing(path) as beside:
      figure.savefig(beside)
    print(f"{path}: drawn", file=sys.stderr)


def cut(found: Sequence[Found], folder: pathlib.Path) -> int:
  """Cuts all moments out of their videos; returns how many could not be."""
  wanted = [(item, moment) for item in found for moment in item.moments]
  bar = tqdm.tqdm(wanted, desc="Cutting", unit="clip", disable=None)
  failed = 0
  for number, (item, moment) in enumerate(bar, start=1):
    # No folder in the name, no sign that shells or systems take amiss.
    name = f"{moment.video_id}_{number:03}_{moment.query}"
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    path = folder / f"{name[:80]}.mp4"
    try:
      cut_clip(item.path, path, moment.start, moment.end)
      print(f"{path}: cut", file=sys.stderr)
    except ValueError as error:
      print(f"error: {error}", file=sys.stderr)
      failed += 1
  return failed
