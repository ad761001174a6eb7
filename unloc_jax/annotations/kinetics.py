"""Kinetics-400, 600 and 700: the official CSV, one trimmed clip a line."""

import pathlib

from unloc_jax.annotations import reading
from unloc_jax.annotations.reading import (
  Place,
  as_seconds,
  fault,
  name_of,
  split_name,
)
from unloc_jax.annotations.records import AnnotationSet, by_class


def read(place: pathlib.Path) -> AnnotationSet:
  """Reads label,youtube_id,time_start,time_end,split from every CSV there.

  The label holds for the whole clip. Lines of the test split without a label
  are counted and left out.
  """
  result = AnnotationSet()
  rows: list[tuple[Place, str, dict[str, str]]] = []
  for path in reading.files_of(place, "*.csv"):
    columns = ("youtube_id", "time_start", "time_end")
    for where, row in reading.read_csv(path, columns):
      split = row.get("split", "").strip() or path.stem
      row["label"] = name_of(row.get("label", ""))
      rows.append((where, split_name(split, where), row))
    result.files.append(path)
  result.classes = sorted({row["label"] for _, _, row in rows} - {""})
  index = {name: i for i, name in enumerate(result.classes)}
  for where, split, row in rows:
    name = row["youtube_id"].strip()
    start, end = (as_seconds(row[key]) for key in ("time_start", "time_end"))
    if start is None or end is None or end <= start:
      raise fault(where, "time_start, time_end are not a window")
    if not name:
      raise fault(where, "no youtube_id")
    if not row["label"]:
      result.notes(split).dropped["clip without a label"] += 1
      continue
    video_id = f"{name}_{round(start):06d}_{round(end):06d}"
    shown = [(row["label"], [0.0, end - start])]
    asked = by_class(shown, index, result.classes)
    result.add(where, video_id, split, end - start, asked, names=(name,))
  return result
