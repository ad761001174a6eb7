"""Action localization: ActivityNet 1.3, THUMOS14 and COIN.

All three are {"database": {video: {"subset", "duration", annotations}}} with
small turns, of which `Database` knows.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unloc_jax.annotations import reading
from unloc_jax.annotations.reading import (
  Document,
  Place,
  fault,
  name_of,
  split_name,
)
from unloc_jax.annotations.records import AnnotationSet, by_class

Entries = dict[str, dict[str, Any]]
Pairs = dict[str, list[tuple[Any, Any]]]  # Video -> [(class, window)]


@dataclasses.dataclass(frozen=True)
class Database:
  """An annotation file of videos."""

  document: Document  # The file
  # Video -> {"subset"?: text, "duration"?, "annotations"?: list, ...}, by these
  # keys whatever the file calls them
  entries: Entries
  files: list[pathlib.Path]  # The file and what was read beside it

  def classes(self) -> list[str]:
    """Names of ActivityNet's taxonomy: of nodes that nobody descends."""
    taxonomy = self.document.value.get("taxonomy")
    nodes = taxonomy if isinstance(taxonomy, list) else []
    nodes = [node for node in nodes if isinstance(node, dict)]
    parents = {str(node.get("parentId")) for node in nodes}
    names = {
      name_of(node.get("nodeName"))
      for node in nodes
      if str(node.get("nodeId")) not in parents
    }
    return sorted(names - {""})


def read_database(path: reading.Path) -> Database:
  """Reads annotations of ActivityNet's form, COIN's or BSN's."""
  document = reading.read_json(path)
  files = [pathlib.Path(path)]
  bare = document.videos("database", do="give the benchmark's annotation file")
  document.repeated_in(bare)
  entries: Entries = {}
  for video, entry in bare.items():
    place = document.place(video)
    entries[video] = dict(reading.require(entry, (), place, video))
    if not isinstance(entry.get("subset", ""), str):
      raise fault(f"{place}: {video}", "'subset' must be a name")
    for key in ("annotation", "annotations"):
      if key in entry:
        listed = [] if entry[key] is None else entry[key]
        if not isinstance(listed, list):
          raise fault(f"{place}: {video}", f"{key!r} must be a list")
        entries[video]["annotations"] = listed
  subsets = files[0].parent / "video_info_new.csv"
  known = any("subset" in entry for entry in entries.values())
  if not known and subsets.is_file():
    files.append(subsets)
    entries = _with_subsets(entries, subsets)
  return Database(document, entries, files)


def _with_subsets(entries: Entries, path: pathlib.Path) -> Entries:
  """Adds the subsets of BSN's table to BSN's {"v_ID": {...}}."""
  rows = reading.read_csv(path, ("video", "subset"))
  subsets = {row["video"].strip(): row["subset"] for _, row in rows}
  whole: Entries = {}
  for name, entry in entries.items():
    if name not in subsets:
      raise fault(path, f"no line for {name}", "add it")
    length = entry.get("duration", entry.get("duration_second"))
    added = {"subset": subsets[name], "duration": length}
    whole[name.removeprefix("v_")] = {**entry, **added}
  return whole


def read_anet(place: pathlib.Path) -> AnnotationSet:
  """Reads ActivityNet 1.3: the official JSON, or BSN's pair of files."""
  database = _checked(place, "*activity*net*.json", "*anno_action.json")
  return _labelled(database, database.classes())


def read_thumos14(place: pathlib.Path) -> AnnotationSet:
  """Reads THUMOS14 as one JSON; its validation videos are those to train on."""
  database = _checked(place, "*thumos*.json")
  entries = database.entries.values()
  if "train" not in {entry["split"] for entry in entries}:
    # The untrimmed training videos of THUMOS14 are its validation set.
    for entry in entries:
      if entry["split"] == "val":
        entry["split"] = "train"
  return _labelled(database, [])


def _labelled(database: Database, listed: list[str]) -> AnnotationSet:
  """Reads videos whose annotations are {"segment", "label"}.

  The classes that the file lists count if they cover the labels.
  """
  pairs: Pairs = {video: [] for video in database.entries}
  for video, item, where in _items(database, ("segment", "label")):
    label = name_of(item["label"])
    if not label:
      what = f"label {item['label']!r} is no name"
      raise fault(f"{where}: {video}", what, "name it")
    pairs[video].append((label, item["segment"]))
  labels = {label for rows in pairs.values() for label, _ in rows}
  classes = sorted(listed if labels <= set(listed) else labels)
  return _built(database, pairs, {name: name for name in classes})


def read_coin(place: pathlib.Path) -> AnnotationSet:
  """Reads COIN.json: the classes are the steps, by their own id."""
  database = _checked(place, "*COIN*.json")
  labels: dict[int, str] = {}
  for table in sorted(database.files[0].parent.glob("*taxonomy*.csv")):
    for where, row in reading.read_csv(table, ()):
      if "action_id" in row and "action_label" in row:
        step = step_of({"id": row["action_id"]}, where)
        labels[step] = name_of(row["action_label"])
    database.files.append(table)

  pairs: Pairs = {video: [] for video in database.entries}
  for video, item, where in _items(database, ("id", "label")):
    step = step_of(item, where)
    if not labels.setdefault(step, name_of(item["label"])):
      raise fault(where, f"step {step} has no label", "name it")
    pairs[video].append((step, item.get("segment")))
  return _built(database, pairs, dict(sorted(labels.items())))


def step_of(item: Mapping[str, Any], where: object) -> int:
  """Returns COIN's id of a step. Raises AnnotationError if it is no number."""
  try:
    return int(name_of(item.get("id")))
  except ValueError as error:
    what = f"step id {item.get('id')!r} is not a number"
    raise fault(where, what, "correct it") from error


def _checked(place: pathlib.Path, *patterns: str) -> Database:
  """Reads the one file of a benchmark; adds to every video its "split"."""
  found = reading.files_of(place, *patterns, "*.json")
  if len(found) > 1:
    names = ", ".join(path.name for path in found)
    what = f"expected one annotation file {patterns[0]}, found {names}"
    raise fault(place, what, "give the file itself")
  database = read_database(found[0])
  if not database.entries:
    raise fault(found[0], "'database' holds no videos", "fetch it again")
  for video, entry in database.entries.items():
    where = database.document.place(video)
    reading.require(entry, ("subset",), where, video)
    entry["split"] = split_name(entry["subset"], where)
  return database


def _items(
  database: Database, keys: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any], Place]]:
  """(video, annotation with these keys, where) of all annotations."""
  for video, entry in database.entries.items():
    place = database.document.place(video)
    # The official test subset has an empty list, other copies none at all.
    for item in entry.get("annotations", ()):
      yield video, reading.require(item, keys, place, video), place


def _built(
  database: Database, pairs: Pairs, names: Mapping[Any, str]
) -> AnnotationSet:
  """Makes videos of what they show, (class, window); classes are in order."""
  result = AnnotationSet(files=database.files, classes=list(names.values()))
  index = {key: i for i, key in enumerate(names)}
  bare: collections.Counter[str] = collections.Counter()
  for video, entry in database.entries.items():
    more = {key: entry[key] for key in ("class", "recipe_type") if key in entry}
    asked = by_class(pairs[video], index, result.classes, more)
    if asked:
      where = database.document.place(video)
      result.add(where, video, entry["split"], entry.get("duration"), asked)
    else:
      bare[entry["split"]] += 1
  for split, count in bare.items():
    line = f"{count} videos have no annotations and are not built"
    result.notes(split).notes.append(line)
  for split, notes in result.splits.items():
    built = [video for video in result.videos if video.split == split]
    total = sum(len(video.segments) for video in built)
    unique = sum(
      len({(s.start, s.end, s.query) for s in video.segments})
      for video in built
    )
    notes.notes.append(
      f"two conventions: all {total} annotations of {len(built)} videos"
      f" (built); {unique} without exact duplicates"
    )
    if not notes.videos:
      notes.notes.append("nothing of this split is annotated")
  for video in database.document.repeated:
    next(iter(result.splits.values())).repeated(video, database.files[0].name)
  return result
