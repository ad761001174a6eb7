"""Features of texts that others made, found by the ids of their queries.

A folder holds a file a query, `qidID.npz` or `ID.npz`, with the tokens
`last_hidden_state` [L, E] or `pooler_output` [E]; one `.npz` or `.h5` file
holds such an array a query, under `ID` or `qidID`.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from data_preprocessing import lookup
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.annotations.records import Segment, VideoAnnotation
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.weights import feature_files

# What an example holds of them: tokens of all texts, and how many are whose.
ARRAYS = ("text_tokens", "text_lengths")


@functools.cache
def _opened(place: str) -> Mapping[str, Any]:
  """Lists a folder, or opens a file, once a process; name -> path, or array.

  Raises BuildError.
  """
  path, kinds = epath.Path(place), feature_files.EXTENSIONS
  try:
    if path.is_dir():
      found = (path / name for name in lookup.walked(path))
      return {p.stem: str(p) for p in found if p.suffix.lower() in kinds}
    if path.suffix.lower() in feature_files.PACKS:
      return feature_files.opened(place)
  except VideoError as error:
    raise BuildError(f"--texts {error.detail}") from error
  raise BuildError(f"--texts {place}: give a folder, or one .npz or .h5 file")


def _read(place: str, query: str) -> np.ndarray:
  """Returns float32 [L, E] of a query; VideoError where it has none."""
  held, names = _opened(place), (query, f"qid{query}")
  name = next((name for name in names if name in held), None)
  if name is None:
    said = f"{epath.Path(place).name} has neither {' nor '.join(names)}"
    raise VideoError(Reason.FEATURES, f"query {query}: {said}")
  path = held[name] if isinstance(held, dict) else f"{place}/{name}"
  with feature_files.told(f"query {query}: {feature_files.short(path)}"):
    return feature_files.read(path, feature_files.OF_TEXTS)


def completed(
  settings: Settings, videos: Iterable[VideoAnnotation]
) -> Settings:
  """Adds what only the files can tell. Raises BuildError."""
  held, fault = _opened(settings.texts), "no query was found"
  paths = held.values() if isinstance(held, dict) else [settings.texts]
  size = sum(int(epath.Path(path).stat().length) for path in paths)
  digest = hashlib.sha256(repr((size, sorted(held))).encode()).hexdigest()
  for query in (query for video in videos for query in video.queries):
    try:
      width = _read(settings.texts, query.id).shape[1]
      return dataclasses.replace(settings, text_width=width, text_hash=digest)
    except VideoError as error:
      fault = error.detail
  raise BuildError(f"--texts: no features of a text can be read; {fault}")


def asked(
  job: VideoJob, settings: Settings
) -> tuple[VideoJob, dict[str, np.ndarray], list[str]]:
  """Finds the features of a video's queries, float32 [L, E] by id.

  Returns the video with the queries that have some, these, and a line for each
  of the others. Raises VideoError where none has, BuildError for bad `texts`.
  """
  video, width = job.annotation, settings.text_width
  rows: dict[str, np.ndarray] = {}
  faults: list[str] = []
  for query in video.queries:
    try:
      found = _read(settings.texts, query.id)
    except VideoError as error:
      faults.append(error.detail)
      continue
    if found.shape[1] == width:
      rows[query.id] = found
    else:
      said = f"{found.shape[1]} channels, the dataset's texts have {width}"
      faults.append(f"query {query.id}: {said}: made by another extractor?")
  if not rows:
    raise VideoError(Reason.FEATURES, "; ".join(faults))
  kept = [i for i, query in enumerate(video.queries) if query.id in rows]
  video = dataclasses.replace(
    video,
    queries=tuple(video.queries[i] for i in kept),
    segments=tuple(
      Segment(s.start, s.end, kept.index(s.query))
      for s in video.segments
      if s.query in kept
    ),
  )
  return dataclasses.replace(job, annotation=video), rows, faults
