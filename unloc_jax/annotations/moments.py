"""Moment retrieval as JSONL (QVHighlights' form), and Charades-STA's own."""

import csv
import pathlib
import re
from typing import Any

from unloc_jax.annotations import common

_CHARADES_LINE = re.compile(r"^(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)$")


def read_jsonl(place: pathlib.Path) -> common.AnnotationSet:
  """Reads a JSONL file, or those of a folder: one query a line.

  The split is the one the file's name speaks of. Of two files of a split, the
  one with ground truth is read (`highlight_test_with_gt.jsonl`).
  """
  result = common.AnnotationSet()
  chosen: dict[str, pathlib.Path] = {}
  for path in common.files_of(place, "*.jsonl"):
    split = split_of(path)
    if split not in chosen or "with_gt" in path.stem:
      chosen[split] = path
  for split, path in chosen.items():
    result.merge(_read_jsonl_file(path, split))
  return result


def read_charades(place: pathlib.Path) -> common.AnnotationSet:
  """Reads Charades-STA: the official text files, or JSONL."""
  folder_has_text = place.is_dir() and any(place.glob("charades_sta_*.txt"))
  if place.suffix != ".txt" and not folder_has_text:
    return read_jsonl(place)
  result = common.AnnotationSet()
  for path in common.files_of(place, "charades_sta_*.txt"):
    result.merge(_read_charades_file(path, split_of(path)))
  return result


def split_of(path: pathlib.Path) -> str:
  """Returns the split that a file's name speaks of, else its whole stem."""
  for token in re.split(r"[^a-z0-9]+", path.stem.lower()):
    name = common.split_name(token)
    if name in ("train", "val", "test"):
      return name
  return common.split_name(path.stem)


def _read_jsonl_file(path: pathlib.Path, split: str) -> common.AnnotationSet:
  result = common.AnnotationSet(files=[path])
  notes = result.notes(split)
  drafts: dict[str, common.VideoDraft] = {}
  queries: set[str] = set()
  for number, row in common.read_lines(path):
    where = f"{path}, line {number}"
    if row is None:
      raise common.AnnotationError(f"{where}: not a JSON object")
    common.require(row, ("vid", "query"), where)
    video_id = str(row["vid"])
    query_id = str(row["qid"]) if "qid" in row else f"{video_id}#{number}"
    if query_id in queries:
      notes.dropped["duplicate query id"] += 1
      notes.notes.append(f"{video_id}: query {query_id} twice in {path.name}")
      continue
    queries.add(query_id)
    if video_id not in drafts:
      duration = row.get("duration")
      drafts[video_id] = common.VideoDraft(video_id, split, duration, notes)
    windows = row.get("relevant_windows", [])
    rest = {
      key: value
      for key, value in row.items()
      if key not in ("vid", "query", "qid", "duration", "relevant_windows")
    }
    drafts[video_id].add(query_id, row["query"], windows or [], rest)
  result.videos = [draft.done() for draft in drafts.values()]
  return result


def _read_charades_file(path: pathlib.Path, split: str) -> common.AnnotationSet:
  result = common.AnnotationSet(files=[path])
  notes = result.notes(split)
  lengths = _charades_lengths(path.parent, result)
  drafts: dict[str, common.VideoDraft] = {}
  try:
    lines = path.read_text(encoding="utf-8").split("\n")
  except (OSError, UnicodeDecodeError) as error:
    raise common.AnnotationError(f"{path}: cannot be read ({error})") from error
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    match = _CHARADES_LINE.match(line)
    if match is None:
      raise common.AnnotationError(
        f"{path}, line {number}: not 'VID start end##sentence'"
      )
    video_id, start, end, text = match.groups()
    if video_id not in drafts:
      length = lengths.get(video_id)
      drafts[video_id] = common.VideoDraft(video_id, split, length, notes)
    drafts[video_id].add(f"{split}_{number}", text, [[start, end]])
  result.videos = [draft.done() for draft in drafts.values()]
  return result


def _charades_lengths(
  folder: pathlib.Path, result: common.AnnotationSet
) -> dict[str, Any]:
  """Returns video id -> seconds from Charades_v1_*.csv, where it is there."""
  lengths: dict[str, Any] = {}
  for path in sorted(folder.glob("Charades_v1_*.csv")):
    with path.open(encoding="utf-8", newline="") as file:
      for row in csv.DictReader(file):
        common.require(row, ("id", "length"), str(path))
        lengths[row["id"]] = row["length"]
    result.files.append(path)
  return lengths
