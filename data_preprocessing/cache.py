"""The folder where examples wait for their shards: a file and a line a video.

`ab/abcd....json` says what became of a video. `ab/abcd....zip` holds its
example: `example.json`, frames as `0000000.jpg`, ..., and arrays as `NAME.npy`.
The name is a hash of all that the content depends on, and a file is there
whole or not at all: whatever is found was made by this build, or one like it.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from etils import epath

from data_preprocessing import examples, features, hearing, schema, text_files
from data_preprocessing.examples import Draft, Outcome
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax import files
from unloc_jax.annotations.records import VideoAnnotation

_EXAMPLE = "example.json"
_ARRAYS = {"embeddings", *hearing.ARRAYS, *text_files.ARRAYS}
# Workers share out lists of videos: so many, and no longer than this.
_LISTS = 1024
_MOST_IN_A_LIST = 64
_STRIDES, _STRIDE_VIDEOS = 1024, 16

Item = TypeVar("Item")


def strides(
  items: Iterable[Item], video_id: Callable[[Item], str]
) -> list[list[Item]]:
  """Deals things of videos out, in an order that follows from ids alone.

  It has no meaning, and is that of datasets built before: these are known to be
  finished, and the same seed draws the same batches.
  """
  ordered = sorted(
    items, key=lambda item: hashlib.sha256(video_id(item).encode()).digest()
  )
  count = min(_STRIDES, -(-len(ordered) // _STRIDE_VIDEOS))
  return [ordered[i::count] for i in range(count)]


def fingerprint(record: Any) -> str:
  """Returns a hash of plain values and dataclasses, the same on any machine.

  Absolute paths are left out: a moved folder holds the same videos, and a
  tower is named by its hash, wherever it lies.
  """
  text = json.dumps(record, default=_plain, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
  if isinstance(value, VideoJob):
    return [value.annotation, value.name, value.size]
  fields = dataclasses.asdict(value)
  if isinstance(value, Settings):
    del fields["checkpoint"], fields["sound"], fields["texts"]
    for kind in ("sound", "text"):
      if not fields[f"{kind}_hash"]:
        del fields[f"{kind}_hash"], fields[f"{kind}_width"]
    # Hashes of finished datasets have these for None, and name a format.
    fields["embedding_width"] = value.embedding_width or 0
    fields["tower_hash"] = value.tower_hash or ""
    fields["tfrecord"] = "example"
  return fields


def list_jobs(folder: epath.Path, jobs: Sequence[VideoJob]) -> list[str]:
  """Writes lists of videos; returns the names of the lists."""
  size = max(1, min(_MOST_IN_A_LIST, len(jobs) // _LISTS))
  names = []
  for start in range(0, len(jobs), size):
    records = [dataclasses.asdict(job) for job in jobs[start : start + size]]
    place = folder / f"videos-{start // size:06d}.list"
    files.write_text(place, json.dumps(records))
    names.append(os.fspath(place))
  return names


def listed_jobs(name: str) -> Iterator[VideoJob]:
  """Reads what `list_jobs` wrote."""
  for record in json.loads(epath.Path(name).read_text()):
    annotation = VideoAnnotation.from_json(record.pop("annotation"))
    yield VideoJob(annotation, **record)


def example_file(folder: str, job: VideoJob, settings: Settings) -> epath.Path:
  """Returns where the example of a video is, or will be."""
  key = fingerprint([settings, job])
  return epath.Path(folder) / key[:2] / f"{key}.zip"


def outcome(example: epath.Path) -> Outcome | None:
  """Returns what became of a video, None where it is not through."""
  line = example.with_suffix(".json")
  try:
    return Outcome(**json.loads(line.read_text(encoding="utf-8")))
  except FileNotFoundError:
    return None


def keep(example: epath.Path, made: Outcome) -> None:
  """Writes what became of a video. Raises BuildError where it cannot."""
  with explained(example):
    line = json.dumps(dataclasses.asdict(made), sort_keys=True)
    files.write_text(example.with_suffix(".json"), line)


def make(
  job: VideoJob, settings: Settings, folder: str
) -> Outcome | BuildError:
  """Makes the example of a video; runs in a process of its own.

  Returns what became of the video, or why the build cannot go on, which is not
  to be taken for a fault of the video. Raises VideoError where the video cannot
  be used.
  """
  place = example_file(folder, job, settings)
  try:
    with written(place) as path:
      with zipfile.ZipFile(path, "w") as archive:
        example, made = _draft(archive, job, settings)
        for name in example.keys() & _ARRAYS:
          with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            np.save(file, example.pop(name))
        archive.writestr(_EXAMPLE, json.dumps(example, ensure_ascii=False))
      size = os.path.getsize(path)
  except BuildError as error:
    return error
  return dataclasses.replace(made, bytes=size)


def _draft(
  archive: zipfile.ZipFile, job: VideoJob, settings: Settings
) -> Draft:
  """Makes all of an example but frames, which it writes."""

  def add(jpeg: bytes) -> None:
    archive.writestr(f"{len(archive.filelist):07d}.jpg", jpeg)

  if settings.texts:
    job, rows, faults = text_files.asked(job, settings)
  if settings.extract == schema.FRAMES:
    example, made = examples.frames_example(job, settings, add)
  elif settings.extract == schema.FEATURES:
    example, made = features.features_example(job, settings)
  else:
    example, made = hearing.sound_example(job, settings)
  if settings.sound and settings.extract != schema.SOUND:
    example |= hearing.beside(job, settings, made.frames)
  if settings.texts:
    texts = [rows[query] for query in example["queries"]["id"]]
    example["text_tokens"] = np.concatenate(texts)
    example["text_lengths"] = np.array(list(map(len, texts)), np.int64)
    said = "; ".join([*filter(None, [made.remark]), *faults])
    made = dataclasses.replace(made, remark=said)
  return example, made


def read(path: str) -> dict[str, Any]:
  """Returns an example as `schema.features` encodes it."""
  with epath.Path(path).open("rb") as file, zipfile.ZipFile(file) as archive:
    content = {name: archive.read(name) for name in archive.namelist()}
  example: dict[str, Any] = json.loads(content.pop(_EXAMPLE))
  for name in _ARRAYS:
    if stored := content.pop(f"{name}.npy", None):
      example[name] = np.load(io.BytesIO(stored), allow_pickle=False)
  if content or not example.keys() & _ARRAYS:
    example["frames"] = [io.BytesIO(jpeg) for jpeg in content.values()]
  return example


@contextlib.contextmanager
def written(path: epath.Path) -> Iterator[str]:
  """Gives a file of this machine that becomes `path`, wherever that is.

  Raises BuildError where the disk does not let it.
  """
  with explained(path), files.replacing(path) as beside:
    if "://" not in os.fspath(path):
      yield os.fspath(beside)
      return
    with tempfile.TemporaryDirectory() as folder:
      here = epath.Path(folder) / path.name
      yield os.fspath(here)
      try:
        here.copy(beside, overwrite=True)
      except Exception as error:
        # Every file system has errors of its own.
        raise OSError(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def explained(path: epath.Path) -> Iterator[None]:
  """Turns errors of the disk into a line that says what to do."""
  try:
    yield
  except OSError as error:
    raise BuildError(
      f"{path}: {error.strerror or error}; make room or give another"
      " --data_dir, then run the same command to go on"
    ) from error
