"""Action localization: ActivityNet 1.3, THUMOS14 and COIN.

All three are {"database": {video: {"subset", annotations}}} with small turns.
"""

import csv
import pathlib
from collections.abc import Iterable
from typing import Any

from unloc_jax.annotations import common
from unloc_jax.annotations.records import VideoAnnotation

Database = dict[str, dict[str, Any]]


def read_anet(place: pathlib.Path) -> common.AnnotationSet:
  """Reads ActivityNet 1.3: the official JSON, or BSN's pair of files."""
  path = _database_file(place, "*activity*net*.json", "*anno_action.json")
  record = common.read_json(path)
  result = common.AnnotationSet(files=[path])
  if isinstance(record, dict) and "database" not in record:
    database = _bsn_database(record, path, result)
  else:
    database = _database(record, path)
  result.classes = _class_names(database, _leaves(record))
  return _read_labelled(database, record, path, result)


def read_thumos14(place: pathlib.Path) -> common.AnnotationSet:
  """Reads THUMOS14 as one JSON; its validation videos are those to train on."""
  path = _database_file(place, "*thumos*.json", "*.json")
  record = common.read_json(path)
  database = _database(record, path)
  subsets = {str(entry["subset"]).lower() for entry in database.values()}
  if "train" not in subsets and "training" not in subsets:
    # The untrimmed training videos of THUMOS14 are its validation set.
    for entry in database.values():
      if common.split_name(str(entry["subset"])) == "val":
        entry["subset"] = "train"
  result = common.AnnotationSet(files=[path])
  result.classes = _class_names(database, [])
  return _read_labelled(database, record, path, result)


def read_coin(place: pathlib.Path) -> common.AnnotationSet:
  """Reads COIN.json: the classes are the steps, by their own id."""
  path = _database_file(place, "*COIN*.json", "*coin*.json")
  record = common.read_json(path)
  database = _database(record, path, annotations="annotation")
  result = common.AnnotationSet(files=[path])
  labels: dict[int, str] = _coin_taxonomy(path.parent, result)
  for video_id, entry in database.items():
    for item in entry["annotation"]:
      common.require(item, ("id", "label"), f"{path}, {video_id}")
      labels.setdefault(_step(item, f"{path}, {video_id}"), item["label"])
  steps = sorted(labels)
  result.classes = [labels[step] for step in steps]
  index = {step: i for i, step in enumerate(steps)}
  for video_id, entry in database.items():
    notes = result.notes(common.split_name(str(entry["subset"])))
    draft = _draft(video_id, entry, notes)
    pairs = [
      (int(item["id"]), _field(item, "segment")) for item in entry["annotation"]
    ]
    rest: dict[str, Any] = {
      key: entry[key] for key in ("class", "recipe_type") if key in entry
    }
    common.class_queries(
      draft,
      pairs,
      index,
      result.classes,
      {step: {"step": step, **rest} for step, _ in pairs},
    )
    result.videos.append(draft.done())
  common.note_repeated(record["database"], next(iter(result.splits.values())))
  return result


def _read_labelled(
  database: Database,
  record: Any,
  path: pathlib.Path,
  result: common.AnnotationSet,
) -> common.AnnotationSet:
  """Reads videos whose annotations are {"segment", "label"}."""
  index = {name: i for i, name in enumerate(result.classes)}
  bare: dict[str, int] = {}
  for video_id, entry in database.items():
    split = common.split_name(str(entry["subset"]))
    if not entry["annotations"]:
      bare[split] = bare.setdefault(split, 0) + 1
      continue
    notes = result.notes(split)
    draft = _draft(video_id, entry, notes)
    pairs = []
    for item in entry["annotations"]:
      common.require(item, ("segment", "label"), f"{path}, {video_id}")
      pairs.append((item["label"], item["segment"]))
    common.class_queries(draft, pairs, index, result.classes)
    result.videos.append(draft.done())
  for split, count in bare.items():
    result.notes(split).notes.append(
      f"{count} videos have no annotations and are not built"
    )
  for split, notes in result.splits.items():
    notes.notes.append(
      _conventions(v for v in result.videos if v.split == split)
    )
    if not notes.videos:
      notes.notes.append("nothing of this split is annotated")
  if isinstance(record, dict) and "database" in record:
    common.note_repeated(record["database"], next(iter(result.splits.values())))
  return result


def _conventions(videos: Iterable[VideoAnnotation]) -> str:
  """Says how many annotations each published convention counts."""
  total = unique = count = 0
  for video in videos:
    count += 1
    total += len(video.segments)
    unique += len({(s.start, s.end, s.query) for s in video.segments})
  return (
    f"two conventions: all {total} annotations of {count} videos (built);"
    f" {unique} without exact duplicates"
  )


def _draft(
  video_id: str, entry: dict[str, Any], notes: common.SplitNotes
) -> common.VideoDraft:
  return common.VideoDraft(
    video_id,
    common.split_name(str(entry["subset"])),
    _field(entry, "duration"),
    notes,
  )


def _field(record: dict[str, Any], key: str) -> Any:
  return record.get(key)


def _step(item: dict[str, Any], where: str) -> int:
  try:
    return int(item["id"])
  except (TypeError, ValueError) as error:
    raise common.AnnotationError(
      f"{where}: step id {item['id']!r} is not a number"
    ) from error


def _database(
  record: Any, path: pathlib.Path, annotations: str = "annotations"
) -> Database:
  """Returns the checked database of an official file."""
  common.require(record, ("database",), str(path))
  database = record["database"]
  if not isinstance(database, dict) or not database:
    raise common.AnnotationError(f"{path}: 'database' holds no videos")
  for video_id, entry in database.items():
    common.require(entry, ("subset",), f"{path}, {video_id}")
    # The official test subset has an empty list, other copies none at all.
    entry.setdefault(annotations, [])
  return database


def _class_names(database: Database, listed: list[str]) -> list[str]:
  """Returns the listed classes if they cover the labels, else the labels."""
  labels = {
    str(item["label"])
    for entry in database.values()
    for item in entry["annotations"]
    if "label" in item
  }
  return sorted(listed if labels <= set(listed) else labels)


def _leaves(record: Any) -> list[str]:
  """Returns the classes of ActivityNet's taxonomy: nodes nobody descends."""
  taxonomy = _field(record, "taxonomy") if isinstance(record, dict) else None
  if not isinstance(taxonomy, list):
    return []
  parents = {node["parentId"] for node in taxonomy if "parentId" in node}
  return [
    node["nodeName"]
    for node in taxonomy
    if "nodeName" in node and _field(node, "nodeId") not in parents
  ]


def _bsn_database(
  record: dict[str, Any], path: pathlib.Path, result: common.AnnotationSet
) -> Database:
  """Returns BSN's {"v_ID": {"duration_second", ...}} in the official form."""
  info = path.parent / "video_info_new.csv"
  if not info.is_file():
    raise common.AnnotationError(
      f"{path}: has no 'database'; BSN's form needs {info.name} beside it"
    )
  with info.open(encoding="utf-8", newline="") as file:
    subsets = {row["video"]: row["subset"] for row in csv.DictReader(file)}
  result.files.append(info)
  database: Database = {}
  for name, entry in record.items():
    common.require(entry, ("annotations", "duration_second"), f"{path}, {name}")
    if name not in subsets:
      raise common.AnnotationError(f"{info}: no line for {name}")
    database[name.removeprefix("v_")] = {
      "subset": subsets[name],
      "duration": entry["duration_second"],
      "annotations": entry["annotations"],
    }
  return database


def _coin_taxonomy(
  folder: pathlib.Path, result: common.AnnotationSet
) -> dict[int, str]:
  """Returns step id -> label from a CSV of COIN's taxonomy, if one is there."""
  labels: dict[int, str] = {}
  for path in sorted(folder.glob("*taxonomy*.csv")):
    with path.open(encoding="utf-8-sig", newline="") as file:
      for row in csv.DictReader(file):
        if "action_id" in row and "action_label" in row:
          labels[int(row["action_id"])] = row["action_label"]
    result.files.append(path)
  return labels


def _database_file(place: pathlib.Path, *patterns: str) -> pathlib.Path:
  """Returns the one file that matches the first pattern that matches any."""
  if place.is_file():
    return place
  found: list[pathlib.Path] = []
  for pattern in (*patterns, "*.json"):
    found = sorted(place.glob(pattern)) if place.is_dir() else []
    if found:
      break
  if len(found) != 1:
    names = ", ".join(p.name for p in found) or "none"
    raise common.AnnotationError(
      f"{place}: expected one annotation file {patterns[0]}, found {names};"
      " give --annotations the file itself"
    )
  return found[0]
