"""Your own videos: JSONL, one video a line; or CSV, one segment a line."""

import csv
import pathlib
from typing import Any

from unloc_jax.annotations import common


def read(place: pathlib.Path) -> common.AnnotationSet:
  """Reads {"video", "duration"?, "split"?, "segments": [...]} lines.

  A segment is {"start", "end", "text"}; other keys are kept. Segments of a
  video with the same text answer one query. A CSV has the columns video,
  start, end, text and, if you like, duration and split. Without a split,
  train.jsonl is `train`, and a file of another name the split of that name;
  a single file is `train`.
  """
  result = common.AnnotationSet()
  paths = _files(place)
  for path in paths:
    split = common.split_name(path.stem)
    if len(paths) == 1 and split not in ("train", "val", "test"):
      split = "train"
    result.merge(_read_file(path, split))
  return result


def _files(place: pathlib.Path) -> list[pathlib.Path]:
  if place.is_file():
    return [place]
  found = [*place.glob("*.jsonl"), *place.glob("*.csv")]
  return sorted(found) or common.files_of(place, "*.jsonl")


def _read_file(path: pathlib.Path, split: str) -> common.AnnotationSet:
  result = common.AnnotationSet(files=[path])
  result.notes(split)
  seen: set[tuple[str, str]] = set()
  rows = _csv_rows(path) if path.suffix == ".csv" else _jsonl_rows(path)
  for where, row in rows:
    own = split
    if row.get("split"):
      own = common.split_name(str(row["split"]))
    notes = result.notes(own)
    name = row.get("video")
    if not isinstance(name, str) or not name.strip():
      raise common.AnnotationError(f"{where}: 'video' must be a path")
    name = name.strip()
    if (own, name) in seen:
      notes.dropped["duplicate video id"] += 1
      notes.notes.append(f"{name}: again at {where}; the first is kept")
      continue
    seen.add((own, name))
    result.videos.append(_video(name, own, row, notes, where))
  return result


def _video(
  name: str,
  split: str,
  row: dict[str, Any],
  notes: common.SplitNotes,
  where: str,
) -> Any:
  """Reads one video."""
  segments = row.get("segments")
  if not isinstance(segments, list):
    raise common.AnnotationError(f"{where}: 'segments' must be a list")
  duration = row.get("duration")
  draft = common.VideoDraft(name, split, duration, notes, path=name)
  windows: dict[str, list[Any]] = {}
  rests: dict[str, dict[str, Any]] = {}
  for segment in segments:
    common.require(segment, ("start", "end", "text"), where)
    text = segment["text"] if isinstance(segment["text"], str) else ""
    windows.setdefault(text, []).append([segment["start"], segment["end"]])
    rests.setdefault(
      text,
      {
        key: value
        for key, value in segment.items()
        if key not in ("start", "end", "text")
      },
    )
  for i, (text, spans) in enumerate(windows.items()):
    draft.add(f"{name}#{i}", text, spans, rests[text])
  return draft.done()


def _jsonl_rows(path: pathlib.Path) -> list[tuple[str, dict[str, Any]]]:
  rows = []
  for number, row in common.read_lines(path):
    where = f"{path}, line {number}"
    if row is None:
      raise common.AnnotationError(
        f'{where}: not an object {{"video": ..., "segments": [...]}}'
      )
    rows.append((where, row))
  return rows


def _csv_rows(path: pathlib.Path) -> list[tuple[str, dict[str, Any]]]:
  """Groups the lines of a CSV by video, in order of appearance."""
  videos: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
  with path.open(encoding="utf-8-sig", newline="") as file:
    for number, row in enumerate(csv.DictReader(file), 2):
      where = f"{path}, line {number}"
      common.require(row, ("video", "start", "end", "text"), where)
      split = row["split"] if row.get("split") else ""
      key = (split, row["video"])
      if key not in videos:
        first: dict[str, Any] = {
          "video": row["video"],
          "segments": [],
          "split": split,
        }
        if row.get("duration"):
          first["duration"] = row["duration"]
        videos[key] = (where, first)
      videos[key][1]["segments"].append(
        {name: row[name] for name in ("start", "end", "text")}
      )
  return list(videos.values())
