"""Decides, before any long work, what a build will do and whether it may."""

import dataclasses
from collections.abc import Sequence

from etils import epath

from data_preprocessing import (
  cache,
  features,
  hearing,
  lookup,
  schema,
  text_files,
)
from data_preprocessing.examples import NO_QUERY, Outcome
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.annotations import AnnotationSet, Benchmark
from unloc_jax.data import manifest as manifests
from unloc_jax.media.errors import VideoError
from unloc_jax.weights import feature_files

# Its files' names hold it, and no file system takes more than 255 bytes.
_LONGEST_SPLIT = 100


@dataclasses.dataclass
class Plan:
  """A build, planned."""

  benchmark: Benchmark  # What is built
  annotations: AnnotationSet  # What its annotation files say
  settings: Settings  # How videos become examples
  jobs: dict[str, list[VideoJob]]  # Split -> the videos to open
  # Split -> videos that are left out before any is opened
  absent: dict[str, list[Outcome]]
  final: epath.Path  # Folder of the finished dataset

  @property
  def work(self) -> epath.Path:
    """Folder of what is under way."""
    return self.final.parent / f"{self.final.name}.partial"

  @property
  def key(self) -> str:
    """Hash of all that the dataset holds."""
    groups = [
      cache.fingerprint([self.settings, part])
      for _, jobs in sorted(self.jobs.items())
      for part in cache.strides(jobs, lambda job: job.annotation.video_id)
    ]
    absent = {
      split: sorted(outcome.video_id for outcome in outcomes)
      for split, outcomes in self.absent.items()
    }
    classes = self.annotations.classes
    return cache.fingerprint(
      [manifests.FORMAT, self.settings, classes, groups, absent]
    )

  @property
  def source(self) -> manifests.Source:
    """What the stored videos will be."""
    names = [field.name for field in dataclasses.fields(manifests.Source)]
    kept = {name: getattr(self.settings, name) for name in names}
    if not self.settings.decodes:
      kept |= {"short_side": 0, "jpeg_quality": 0}
    return manifests.Source(**kept)

  @property
  def finished(self) -> bool:
    """Whether it is built. Raises BuildError if another is in its place."""
    if not self.final.exists():
      return False
    try:
      made = manifests.read_manifest(self.final)
      fingerprint = made.source["fingerprint"]
    except (OSError, ValueError, KeyError) as error:
      raise BuildError(
        f"{self.final}: holds something that is not a dataset of ours"
        f" ({error}); give another --data_dir"
      ) from error
    if fingerprint == self.key:
      return True
    changed = [
      f"{name} {getattr(made, name)} -> {new}"
      for name, new in dataclasses.asdict(self.source).items()
      if getattr(made, name) != new
    ] or ["the annotations or the videos there"]
    raise BuildError(
      f"{self.final}: was built from other input ({', '.join(changed)}); give"
      " another --data_dir, or --overwrite to build it again"
    )


def _found(
  annotations: AnnotationSet, index: lookup.VideoIndex, importing: bool
) -> tuple[dict[str, list[VideoJob]], dict[str, list[Outcome]]]:
  """Returns the videos that are there, and those that are not, by split."""
  jobs: dict[str, list[VideoJob]] = {}
  absent: dict[str, list[Outcome]] = {}
  read_by: dict[tuple[str, str], str] = {}  # Split and file -> the first video
  for video in annotations.videos:
    found = jobs.setdefault(video.split, [])
    left_out = absent.setdefault(video.split, [])
    if importing and video.path is not None:
      # The annotations name the video; its features have its name.
      names = (epath.Path(video.path).stem, *video.names)
      video = dataclasses.replace(video, path=None, names=names)
    name, reason, detail = "", NO_QUERY, ""
    if video.queries:
      try:
        job = index.find(video)
        found.append(job)
        remarks = annotations.notes(video.split).notes
        if others := ", ".join(index.others(job)):
          remarks.append(f"{video.video_id}: {job.name} is built, not {others}")
        first = read_by.setdefault((video.split, job.path), video.video_id)
        if first != video.video_id:
          line = f"{video.video_id}: {job.name} is read for {first} too"
          remarks.append(line)
        continue
      except VideoError as error:
        name, reason = video.path or "", str(error.reason)
        detail = error.detail
    left_out.append(
      Outcome(video.video_id, name, reason, detail, annotated=video.duration)
    )
  return jobs, absent


def make(
  benchmark: Benchmark,
  annotations: AnnotationSet,
  settings: Settings,
  videos: Sequence[str],
  data_dir: str,
  allow_absolute_paths: bool = False,
) -> Plan:
  """Finds the file of every video, or of its features, in folders `videos`.

  Of features there may be several, each a part of the channels; one file of all
  videos does as well as a folder.
  """
  main, *beside = videos
  importing = settings.extract == schema.FEATURES and not settings.decodes
  kinds = feature_files.EXTENSIONS if importing else lookup.EXTENSIONS
  if settings.extract == schema.SOUND:
    kinds = (*hearing.EXTENSIONS, *kinds)
  try:
    index = lookup.VideoIndex(main, kinds, allow_absolute_paths, beside)
  except FileNotFoundError as error:
    raise BuildError(str(error)) from error
  except VideoError as error:
    raise BuildError(f"--videos {error.detail}") from error
  jobs, absent = _found(annotations, index, importing)
  made = (main, *beside, *filter(None, [settings.texts]))
  if importing and len(made) > 1 and not settings.tower_hash:
    maker = "+".join(epath.Path(place).name for place in made)
    settings = dataclasses.replace(settings, tower_hash=maker)
  if settings.extract == schema.FEATURES:
    every = [job for split in jobs.values() for job in split]
    missing = [outcome.detail for split in absent.values() for outcome in split]
    fault = next(filter(None, missing), "none was found")
    settings = features.completed(settings, every, fault)
  for split in jobs:
    if len(split) > _LONGEST_SPLIT:
      raise BuildError(f"split {split}: longer than {_LONGEST_SPLIT} letters")
  if settings.texts:
    if annotations.classes:
      raise BuildError(
        "--texts: are of captions; features of classes are given in training"
        " (text.class_embeddings)"
      )
    settings = text_files.completed(settings, annotations.videos)
  if settings.sound:
    settings = hearing.completed(settings)
  final = epath.Path(data_dir) / settings.dataset / schema.VERSION
  return Plan(benchmark, annotations, settings, jobs, absent, final)
