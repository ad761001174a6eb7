"""Your own videos: JSONL, one video a line; or CSV, one segment a line."""

import pathlib
from typing import Any

from unloc_jax.annotations import reading
from unloc_jax.annotations.drafts import VideoDraft, split_name
from unloc_jax.annotations.reading import AnnotationError, Place, Problems
from unloc_jax.annotations.records import (
  AnnotationSet,
  SplitNotes,
  VideoAnnotation,
)

_SEGMENT = ("start", "end", "text")


def read(place: pathlib.Path) -> AnnotationSet:
  """Reads {"video", "duration"?, "split"?, "segments": [...]} lines.

  A segment is {"start", "end", "text"}; other keys are kept. Segments of a
  video with the same text answer one query. A CSV has the columns video,
  start, end, text and, if you like, duration and split. Without a split,
  train.jsonl is `train`, and a file of another name the split of that name;
  a single file is `train`.
  """
  result = AnnotationSet()
  paths = [place]
  if not place.is_file():
    paths = sorted([*place.glob("*.jsonl"), *place.glob("*.csv")])
    paths = paths or reading.files_of(place, "*.jsonl")
  for path in paths:
    split = split_name(path.stem)
    if len(paths) == 1 and split not in ("train", "val", "test"):
      split = "train"
    result.merge(_read_file(path, split))
  return result


def _read_file(path: pathlib.Path, split: str) -> AnnotationSet:
  result = AnnotationSet(files=[path])
  result.notes(split)
  seen: set[tuple[str, str]] = set()
  is_table = path.suffix.lower() == ".csv"
  rows = _table(path) if is_table else reading.read_rows(path, Problems())
  for place, row in rows:
    own = split_name(str(row["split"])) if row.get("split") else split
    notes = result.notes(own)
    name = row.get("video")
    if not isinstance(name, str) or not name.strip():
      raise AnnotationError(f"{place}: 'video' must be a path; correct it")
    name = name.strip()
    if (own, name) in seen:
      line = f"{name}: again at {place}; the first is kept"
      notes.drop("duplicate video id", line)
      continue
    seen.add((own, name))
    result.videos.append(_video(name, own, row, notes, place))
  return result


def _video(
  name: str, split: str, row: reading.Row, notes: SplitNotes, place: Place
) -> VideoAnnotation:
  """Reads one video."""
  segments = row.get("segments")
  if not isinstance(segments, list):
    raise AnnotationError(f"{place}: 'segments' must be a list; correct it")
  draft = VideoDraft(name, split, row.get("duration"), notes, path=name)
  windows: dict[str, list[Any]] = {}
  rests: dict[str, dict[str, Any]] = {}
  for segment in segments:
    reading.require(segment, _SEGMENT, place)
    text = segment["text"] if isinstance(segment["text"], str) else ""
    windows.setdefault(text, []).append([segment["start"], segment["end"]])
    rest = {key: segment[key] for key in segment if key not in _SEGMENT}
    rests.setdefault(text, rest)
  for i, (text, spans) in enumerate(windows.items()):
    draft.add(f"{name}#{i}", text, spans, rests[text])
  return draft.done()


def _table(path: pathlib.Path) -> list[tuple[Place, reading.Row]]:
  """Groups the lines of a CSV by video, in order of appearance."""
  videos: dict[tuple[str, str], tuple[Place, reading.Row]] = {}
  for place, row in reading.read_csv(path, ("video", *_SEGMENT)):
    split = row.get("split", "")
    first = {"video": row["video"], "segments": [], "split": split}
    if row.get("duration"):
      first["duration"] = row["duration"]
    _, video = videos.setdefault((split, row["video"]), (place, first))
    video["segments"].append({name: row[name] for name in _SEGMENT})
  return list(videos.values())
