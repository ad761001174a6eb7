"""What was found in videos, as files: text, timelines, clips."""

import os
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tqdm

from unloc_jax import files
from unloc_jax.media.clips import SOUND_ENDING, cut_clip, cut_sound, is_sound
from unloc_jax.media.pool import Pool, PoolError
from unloc_jax.use import naming
from unloc_jax.use.console import fault, one_line
from unloc_jax.use.frames import DEFAULT_LIMITS
from unloc_jax.use.requests import Found

_DRAWN = 5  # Moments of a query.
# Bytes of the parts of a clip's name.
_CLIP_VIDEO, _CLIP_QUERY = 100, 80


def check_place(flag: str, path: pathlib.Path, is_folder: bool) -> None:
  """Raises ValueError where nothing could be written, before any work."""
  if path.exists() and path.is_dir() != is_folder:
    said = "no folder; name a folder" if is_folder else "a folder; name a file"
    raise ValueError(f"{flag} {path} is {said}")
  if _is_special(path):
    return
  above = path if is_folder else path.parent
  while not os.path.lexists(above):
    above = above.parent
  if not above.is_dir() or not os.access(above, os.W_OK):
    raise ValueError(f"{flag} {path}: nothing can be written to {above}")


def write(path: pathlib.Path, text: str) -> None:
  """Writes text: whole or not at all, but to devices and through links."""
  if not _is_special(path):
    files.write_text(path, text)
    return
  try:
    path.write_text(text, encoding="utf-8")
  except OSError as error:
    error.filename = str(path)
    raise


def _is_special(path: pathlib.Path) -> bool:
  return path.is_symlink() or (path.exists() and not path.is_file())


def picture(path: pathlib.Path) -> pathlib.Path:
  """A picture's path, in PNG by default; ValueError if none can be of it."""
  from matplotlib.backend_bases import FigureCanvasBase

  path = path.with_suffix(path.suffix or ".png")
  known = FigureCanvasBase.get_supported_filetypes()
  if path.suffix[1:].lower() not in known:
    raise ValueError(f"--plot {path}: ends in none of {', '.join(known)}")
  return path


def plot(found: Sequence[Found], out: pathlib.Path) -> None:
  """Draws a timeline of each video and query: OUT, or OUT_1, OUT_2, ..."""
  from unloc_jax.results.drawing import figures  # Matplotlib takes its time.

  wanted = [(item, answer) for item in found for answer in item.answers]
  for number, (item, answer) in enumerate(wanted, start=1):
    path = out
    if len(wanted) > 1:
      path = out.with_name(f"{out.stem}_{number}{out.suffix}")
    shown = [(m.start, m.end, m.score) for m in answer.moments[:_DRAWN]]
    best = np.array(shown).reshape(-1, 3)
    figure = figures.timeline(
      one_line(f"“{answer.query}”  —  {item.video_id}"),
      figures.Seen(item.duration, answer.times, None),
      None,
      best[:, :2],
      best[:, 2],
      answer.relevance,
    )
    figures.save(figure, path)
    print(f"{path}: drawn", file=sys.stderr)


def cut(found: Sequence[Found], folder: pathlib.Path) -> int:
  """Cuts all moments out of their videos; returns how many could not be."""
  wanted = [(item, moment) for item in found for moment in item.moments]
  only_sound = {item.path for item, _ in wanted if is_sound(item.path)}
  stems = []
  for number, (item, moment) in enumerate(wanted, start=1):
    video = naming.cut(item.video_id, _CLIP_VIDEO)
    name = f"{video}_{number:03}_{naming.cut(moment.query, _CLIP_QUERY)}"
    # No folder in the name, no sign that shells or systems take amiss.
    stems.append("".join(c if c.isalnum() or c in "-_" else "_" for c in name))
  bar = tqdm.tqdm(wanted, desc="Cutting", unit="clip", disable=None)
  failed, processes = 0, Pool(1)
  names = naming.file_names(stems, "mp4")
  for (item, moment), name in zip(bar, names, strict=True):
    path, cut_part = folder / name, cut_clip
    if item.path in only_sound:
      path, cut_part = path.with_suffix(f".{SOUND_ENDING}"), cut_sound
    try:
      asked = item.path, path, moment.start, moment.end
      stall = DEFAULT_LIMITS.stall_seconds
      processes.run(cut_part, *asked, stall_seconds=stall)
      print(f"{path}: cut", file=sys.stderr)
    except (ValueError, OSError, PoolError) as error:
      print(f"error: {path} is not made: {fault(error)}", file=sys.stderr)
      failed += 1
  processes.close()
  return failed
