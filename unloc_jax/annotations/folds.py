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
from unloc_jax.annotations.frames import BACKGROUND
from unloc_jax.annotations.reading import (
  Document,
  as_seconds,
  as_window,
  fault,
  name_of,
)
from unloc_jax.annotations.records import AnnotationSet, by_class

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
  for entry in videos:
    _add(result, entry, _SEGMENTS + ending, document)
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


def _add(
  result: AnnotationSet, entry: Any, key: str, document: Document
) -> None:
  place = document.place(_CLASSES)
  reading.require(entry, ("id", "test_split", "fps", "T", key), place)
  where = f"{document.place()}: {entry['id']}"
  name = name_of(entry["id"])
  if not name or name in {video.video_id for video in result.videos}:
    what = "names two videos" if name else "is no id"
    raise fault(document.place(), f"{entry['id']!r} {what}")
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
  asked = by_class(labelled, index, result.classes)
  result.add(where, name, split, length / rate, asked)
