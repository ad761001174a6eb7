"""Action localization: ActivityNet 1.3, THUMOS14 and COIN.

All three are {"database": {video: {"subset", "duration", annotations}}} with
small turns, of which `Database` knows.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from unloc_jax.annotations import reading
from unloc_jax.annotations.drafts import VideoDraft, split_name
from unloc_jax.annotations.reading import Document, fault, name_of
from unloc_jax.annotations.records import AnnotationSet

Entries = dict[str, dict[str, Any]]


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
  bare = document.value
  if isinstance(bare, dict) and isinstance(bare.get("database"), dict):
    bare = bare["database"]
  if not isinstance(bare, dict):
    what = "expected an object of videos"
    raise fault(document.place(), what, "give the benchmark's annotation file")
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
  path = _one_file(place, "*activity*net*.json", "*anno_action.json")
  database = _checked(path)
  return _labelled(database, database.classes())


def read_thumos14(place: pathlib.Path) -> AnnotationSet:
  """Reads THUMOS14 as one JSON; its validation videos are those to train on."""
  database = _checked(_one_file(place, "*thumos*.json"))
  entries = database.entries.values()
  if "train" not in {entry["split"] for entry in entries}:
    # The untrimmed training videos of THUMOS14 are its validation set.
    for entry in entries:
      if entry["split"] == "val":
        entry["split"] = "train"
  return _labelled(database, [])


def read_coin(place: pathlib.Path) -> AnnotationSet:
  """Reads COIN.json: the classes are the steps, by their own id."""
  path = _one_file(place, "*COIN*.json")
  database = _checked(path)
  labels: dict[int, str] = {}
  for table in sorted(path.parent.glob("*taxonomy*.csv")):
    for where, row in reading.read_csv(table, ()):
      if "action_id" in row and "action_label" in row:
        step = step_of({"id": row["action_id"]}, where)
        labels[step] = name_of(row["action_label"])
    database.files.append(table)
  pairs: dict[str, list[tuple[int, Any]]] = {}
  for video, entry in database.entries.items():
    where = database.document.place(video)
    pairs[video] = []
    for item in entry["annotations"]:
      reading.require(item, ("id", "label"), where, video)
      step = step_of(item, where)
      labels.setdefault(step, name_of(item["label"]))
      pairs[video].append((step, item.get("segment")))
  steps = sorted(labels)
  index = {step: i for i, step in enumerate(steps)}
  result = AnnotationSet(files=database.files)
  result.classes = [labels[step] for step in steps]
  if "" in result.classes:
    step = steps[result.classes.index("")]
    raise fault(path, f"step {step} has no label", "name it")
  for video, entry in database.entries.items():
    draft = _draft(video, entry, result)
    more = {key: entry[key] for key in ("class", "recipe_type") if key in entry}
    extra = {step: {"step": step, **more} for step, _ in pairs[video]}
    draft.add_classes(pairs[video], index, result.classes, extra)
    result.videos.append(draft.done())
  _note_repeated(result, database)
  return result


def step_of(item: Mapping[str, Any], where: object) -> int:
  """Returns COIN's id of a step. Raises AnnotationError if it is no number."""
  try:
    return int(name_of(item.get("id")))
  except ValueError as error:
    what = f"step id {item.get('id')!r} is not a number"
    raise fault(where, what, "correct it") from error


def _checked(path: pathlib.Path) -> Database:
  """Reads a database, and adds to every video its "split"."""
  database = read_database(path)
  if not database.entries:
    raise fault(path, "'database' holds no videos", "fetch it again")
  for video, entry in database.entries.items():
    place = database.document.place(video)
    reading.require(entry, ("subset",), place, video)
    entry["split"] = split_name(entry["subset"], place)
    # The official test subset has an empty list, other copies none at all.
    entry.setdefault("annotations", [])
  return database


def _labelled(database: Database, listed: list[str]) -> AnnotationSet:
  """Reads videos whose annotations are {"segment", "label"}.

  The classes that the file lists count if they cover the labels.
  """
  result = AnnotationSet(files=database.files)
  pairs: dict[str, list[tuple[str, Any]]] = {}
  for video, entry in database.entries.items():
    place = database.document.place(video)
    pairs[video] = []
    for item in entry["annotations"]:
      reading.require(item, ("segment", "label"), place, video)
      label = name_of(item["label"])
      if not label:
        what = f"label {item['label']!r} is no name"
        raise fault(f"{place}: {video}", what, "name it")
      pairs[video].append((label, item["segment"]))
  labels = {label for rows in pairs.values() for label, _ in rows}
  result.classes = sorted(listed if labels <= set(listed) else labels)
  index = {name: i for i, name in enumerate(result.classes)}
  bare: collections.Counter[str] = collections.Counter()
  for video, entry in database.entries.items():
    if not pairs[video]:
      bare[entry["split"]] += 1
      continue
    draft = _draft(video, entry, result)
    draft.add_classes(pairs[video], index, result.classes)
    result.videos.append(draft.done())
  for split, count in bare.items():
    result.notes(split).notes.append(
      f"{count} videos have no annotations and are not built"
    )
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
  _note_repeated(result, database)
  return result


def _note_repeated(result: AnnotationSet, database: Database) -> None:
  twice = database.document.repeated
  result.note_repeated(twice, next(iter(result.splits)))


def _draft(
  video: str, entry: Mapping[str, Any], result: AnnotationSet
) -> VideoDraft:
  split = entry["split"]
  return VideoDraft(video, split, entry.get("duration"), result.notes(split))


def _one_file(place: pathlib.Path, *patterns: str) -> pathlib.Path:
  """Returns the one file that matches the first pattern that matches any."""
  found = reading.files_of(place, *patterns, "*.json")
  if len(found) > 1:
    names = ", ".join(path.name for path in found)
    what = f"expected one annotation file {patterns[0]}, found {names}"
    raise fault(place, what, "give the file itself")
  return found[0]
