"""Your own videos: JSONL, one video a line; or CSV, one segment a line."""

import pathlib
from collections.abc import Iterator
from typing import Any

from unloc_jax.annotations import reading
from unloc_jax.annotations.reading import (
  SPLIT_NAMES,
  Place,
  Problems,
  as_window,
  fault,
  split_name,
)
from unloc_jax.annotations.records import AnnotationSet, Asked

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
    split = split_name(split, path)
    result.files.append(path)
    result.notes(split)
    is_table = path.suffix.lower() == ".csv"
    rows = _table(path) if is_table else reading.read_rows(path, Problems())
    for where, row in rows:
      own = split_name(row["split"], where) if row.get("split") else split
      name = row.get("video")
      if not isinstance(name, str) or not name.strip():
        raise fault(where, "'video' must be a path", "correct it")
      name, asked = name.strip(), _asked(row, where)
      result.add(where, name, own, row.get("duration"), asked, path=name)
  return result


def _asked(row: reading.Row, place: Place) -> Iterator[Asked]:
  """Yields the texts of a video; of one given twice, none is asked for."""
  segments = [] if row.get("segments", "") is None else row.get("segments")
  if not isinstance(segments, list):
    raise fault(place, "'segments' must be a list", "correct it")
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
    yield f"{row['video'].strip()}#{i}", text, spans, rests.get(text, {})


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
