"""ActivityNet Captions: one JSON per split, sentences beside timestamps."""

import pathlib
from typing import Any

from unloc_jax.annotations import common, moments


def read(place: pathlib.Path) -> common.AnnotationSet:
  """Reads train.json, val_1.json, val_2.json and any other split's file.

  val_1 is the split `val` and val_2 is `test`; another file gives the split of
  its own name. A folder of JSONL files in the form of QVHighlights will do.
  """
  result = common.AnnotationSet()
  if place.suffix == ".jsonl" or (
    place.is_dir()
    and not any(place.glob("*.json"))
    and any(place.glob("*.jsonl"))
  ):
    return moments.read_jsonl(place)
  for path in common.files_of(place, "*.json"):
    result.merge(_read_file(path))
  return result


def _read_file(path: pathlib.Path) -> common.AnnotationSet:
  split = common.split_name(path.stem)
  result = common.AnnotationSet(files=[path])
  notes = result.notes(split)
  record = common.read_json(path)
  if not isinstance(record, dict):
    raise common.AnnotationError(f"{path}: expected an object of videos")
  common.note_repeated(record, notes)
  for video_id, entry in record.items():
    where = f"{path}, {video_id}"
    common.require(entry, ("timestamps", "sentences"), where)
    result.videos.append(_video(video_id, entry, split, notes, where))
  return result


def _video(
  video_id: str,
  entry: dict[str, Any],
  split: str,
  notes: common.SplitNotes,
  where: str,
) -> Any:
  """Reads one video. Lists beside the sentences go to their queries."""
  sentences, windows = entry["sentences"], entry["timestamps"]
  if not isinstance(sentences, list) or not isinstance(windows, list):
    raise common.AnnotationError(
      f"{where}: sentences and timestamps must be lists"
    )
  if len(sentences) != len(windows):
    notes.notes.append(
      f"{video_id}: {len(sentences)} sentences, {len(windows)} timestamps;"
      " those without a partner are dropped"
    )
    notes.dropped["sentence or timestamp without a partner"] += abs(
      len(sentences) - len(windows)
    )
  beside = {
    key: value
    for key, value in entry.items()
    if key not in ("sentences", "timestamps", "duration")
    and isinstance(value, list)
    and len(value) == len(sentences)
  }
  duration = entry.get("duration")
  draft = common.VideoDraft(video_id, split, duration, notes)
  # One of a pair may be lacking at the end.
  for i, (text, window) in enumerate(zip(sentences, windows, strict=False)):
    annotation = {key: value[i] for key, value in beside.items()}
    draft.add(f"{video_id}#{i}", text, [window], annotation)
  return draft.done()
