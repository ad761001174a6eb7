"""Your own videos: JSONL, one video a line; or CSV, one segment a line."""

import pathlib
from typing import Any

from unloc_jax.annotations import reading
from unloc_jax.annotations.drafts import (
  SPLIT_NAMES,
  VideoDraft,
  as_window,
  split_name,
)
from unloc_jax.annotations.reading import Place, Problems, fault
from unloc_jax.annotations.records import (
  AnnotationSet,
  SplitNotes,
  VideoAnnotation,
)

_SEGMENT = ("start", "end", "text")
_PLACE = "\n"  # Key of the line of a segment; no column has it


def read(place: pathlib.Path) -> AnnotationSet:
  """Reads {"video", "duration"?, "split"?, "segments": [...]} lines.

  A segment is {"start", "end", "text"}; other keys are kept. Segments of a
  video with the same text answer one query; a list "absent" holds texts that
  nothing in the video answers, to learn from. A CSV has the columns video,
  start, end, text and, if you like, duration and split. Without a split,
  train.jsonl is `train`, and a file of another name the split of that name;
  a single file is `train`.
  """
  result = AnnotationSet()
  paths = reading.files_of(place, "*.jsonl *.csv")
  for path in paths:
    stem = path.stem.lower()
    split = SPLIT_NAMES.get(stem, stem)
    if len(paths) == 1 and split not in ("train", "val", "test"):
      split = "train"
    result.merge(_read_file(path, split_name(split, path)))
  return result


def _read_file(path: pathlib.Path, split: str) -> AnnotationSet:
  result = AnnotationSet(files=[path])
  result.notes(split)
  seen: set[tuple[str, str]] = set()
  is_table = path.suffix.lower() == ".csv"
  rows = _table(path) if is_table else reading.read_rows(path, Problems())
  for place, row in rows:
    own = split_name(row["split"], place) if row.get("split") else split
    notes = result.notes(own)
    name = row.get("video")
    if not isinstance(name, str) or not name.strip():
      raise fault(place, "'video' must be a path", "correct it")
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
  segments = [] if row.get("segments", "") is None else row.get("segments")
  if not isinstance(segments, list):
    raise fault(place, "'segments' must be a list", "correct it")
  draft = VideoDraft(name, split, row.get("duration"), notes, path=name)
  windows: dict[str, list[Any]] = {}
  rests: dict[str, dict[str, Any]] = {}
  for segment in segments:
    where = segment.pop(_PLACE, place) if isinstance(segment, dict) else place
    start, end, text = (
      reading.require(segment, _SEGMENT, where)[key] for key in _SEGMENT
    )
    if not isinstance(text, str):
      raise fault(where, f"'text' {text!r} is no text", "correct it")
    if as_window([start, end]) is None:
      what = f"'start' {start!r} and 'end' {end!r} are not both seconds"
      raise fault(where, what, "correct them")
    windows.setdefault(text.strip(), []).append([start, end])
    rest = {key: segment[key] for key in segment if key not in _SEGMENT}
    rests.setdefault(text.strip(), rest)
  absent = row.get("absent", [])
  texts = absent if isinstance(absent, list) else [None]
  if not all(isinstance(text, str) for text in texts):
    raise fault(place, "'absent' must be a list of texts", "correct it")
  for text in absent:
    windows.setdefault(text.strip(), [])
  for i, (text, spans) in enumerate(windows.items()):
    draft.add(f"{name}#{i}", text, spans, rests.get(text, {}))
  return draft.done()


def _table(path: pathlib.Path) -> list[tuple[Place, reading.Row]]:
  """Groups the lines of a CSV by video, in order of appearance."""
  videos: dict[tuple[str, str], tuple[Place, reading.Row]] = {}
  for place, row in reading.read_csv(path, ("video", *_SEGMENT)):
    name, split = row.pop("video").strip(), row.pop("split", "").strip()
    first = {"video": name, "segments": [], "split": split}
    _, video = videos.setdefault((split, name), (place, first))
    duration = row.pop("duration", "").strip()
    if duration and duration != video.setdefault("duration", duration):
      what = f"duration {duration}, but {video['duration']} before"
      raise fault(place, what, "correct one")
    video["segments"].append({_PLACE: place, **row})
  return list(videos.values())
