"""Kinetics-400, 600 and 700: the official CSV, one trimmed clip a line."""

import csv
import pathlib

from unloc_jax.annotations import common


def read(place: pathlib.Path) -> common.AnnotationSet:
  """Reads label,youtube_id,time_start,time_end,split from every CSV there.

  The label holds for the whole clip. Lines of the test split without a label
  are counted and left out.
  """
  result = common.AnnotationSet()
  rows: list[tuple[str, str, dict[str, str]]] = []
  for path in common.files_of(place, "*.csv"):
    with path.open(encoding="utf-8-sig", newline="") as file:
      for number, row in enumerate(csv.DictReader(file), 2):
        where = f"{path}, line {number}"
        common.require(row, ("youtube_id", "time_start", "time_end"), where)
        split = row["split"] if row.get("split") else path.stem
        rows.append((where, common.split_name(split), row))
    result.files.append(path)
  result.classes = sorted(
    {row["label"].strip() for _, _, row in rows if row.get("label")}
  )
  index = {name: i for i, name in enumerate(result.classes)}
  seen: set[tuple[str, str]] = set()
  for where, split, row in rows:
    _add(result, where, split, row, index, seen)
  return result


def _add(
  result: common.AnnotationSet,
  where: str,
  split: str,
  row: dict[str, str],
  index: dict[str, int],
  seen: set[tuple[str, str]],
) -> None:
  """Adds the clip of one line."""
  notes = result.notes(split)
  name = row["youtube_id"].strip()
  start, end = (common.as_seconds(row[k]) for k in ("time_start", "time_end"))
  if start is None or end is None or end <= start:
    raise common.AnnotationError(f"{where}: time_start, time_end not a window")
  label = row["label"].strip() if row.get("label") else ""
  if not label:
    notes.dropped["clip without a label"] += 1
    return
  video_id = f"{name}_{round(start):06d}_{round(end):06d}"
  if (split, video_id) in seen:
    notes.dropped["duplicate video id"] += 1
    notes.notes.append(f"{video_id}: twice; the first is kept")
    return
  seen.add((split, video_id))
  draft = common.VideoDraft(video_id, split, end - start, notes, names=(name,))
  common.class_queries(
    draft, [(label, [0.0, end - start])], index, result.classes
  )
  result.videos.append(draft.done())
