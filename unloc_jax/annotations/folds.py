"""Frame-wise labelled videos in folds: 50 Salads, GTEA.

One annotations.json: {"classes": [name, ...], "videos": [{"id", "test_split":
fold, "fps", "T": frames, "segments": [[first frame, the one after the last,
class], ...]}]}. The keys may end alike (`classes_mid`, `segments_mid`) where
labels are given more than once; the finest are taken. A fold is a split named
fold_N, to be tested on after training on the others.
"""

import pathlib
from typing import Any

from unloc_jax.annotations import reading
from unloc_jax.annotations.drafts import VideoDraft, as_seconds, as_window
from unloc_jax.annotations.frames import BACKGROUND
from unloc_jax.annotations.reading import Document, fault, name_of
from unloc_jax.annotations.records import AnnotationSet, VideoAnnotation

# Of a frame: ends lie before the frame that the next segment begins with.
_LESS = 1e-3
_CLASSES, _SEGMENTS = "classes", "segments"


def read(place: pathlib.Path) -> AnnotationSet:
  """Reads annotations.json. Raises AnnotationError."""
  path = reading.files_of(place, "annotations.json", "*.json")[0]
  document = reading.read_json(path)
  ending, names = _finest(document)
  result = AnnotationSet(classes=names, files=[path])
  videos = document.value.get("videos")
  if not isinstance(videos, list):
    raise fault(document.place("videos"), "'videos' must be a list")
  seen: set[str] = set()
  for entry in videos:
    video = _video(entry, _SEGMENTS + ending, result, document)
    if video.video_id in seen or not video.video_id:
      what = "is no id" if not video.video_id else "names two videos"
      raise fault(document.place(), f"{entry['id']!r} {what}")
    seen.add(video.video_id)
    result.videos.append(video)
  return result


def _finest(document: Document) -> tuple[str, list[str]]:
  """Ending of the keys of the most classes, and these but the background."""
  value = document.value if isinstance(document.value, dict) else {}
  lists = {
    key.removeprefix(_CLASSES): [name_of(each) for each in names]
    for key, names in value.items()
    if key.startswith(_CLASSES) and isinstance(names, list)
  }
  if not lists:
    raise fault(document.place(), "'classes' must be a list of names")
  ending = max(lists, key=lambda key: len(lists[key]))
  return ending, [name for name in lists[ending] if name != BACKGROUND]


def _video(
  entry: Any, key: str, result: AnnotationSet, document: Document
) -> VideoAnnotation:
  place = document.place(_CLASSES)
  reading.require(entry, ("id", "test_split", "fps", "T", key), place)
  where = f"{document.place()}: {entry['id']}"
  fold, rate, length = (
    as_seconds(entry[each]) for each in ("test_split", "fps", "T")
  )
  if fold is None or not rate or rate < 0 or length is None:
    what = "'fps', 'T' and 'test_split' must be numbers, fps above 0"
    raise fault(where, what)
  if not isinstance(entry[key], list):
    raise fault(where, f"'{key}' must be a list")
  split = f"fold_{fold:g}"
  index = {each: i for i, each in enumerate(result.classes)}
  labelled = []
  for segment in entry[key]:
    frames = as_window(segment[:2]) if isinstance(segment, list) else None
    label = name_of(segment[2]) if frames and len(segment) == 3 else ""
    if frames is None or label not in {*index, BACKGROUND}:
      what = f"{segment!r} is not [first, last, one of the classes]"
      raise fault(where, what)
    if label != BACKGROUND:
      first, last = frames
      labelled.append((label, [first / rate, (last - _LESS) / rate]))
  draft = VideoDraft(
    name_of(entry["id"]), split, length / rate, result.notes(split)
  )
  draft.add_classes(labelled, index, result.classes)
  return draft.done()
