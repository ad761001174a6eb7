"""Decides, before any long work, what a build will do and whether it may."""

import dataclasses
import hashlib

from etils import epath

from data_preprocessing import cache, feature_files, features, lookup, schema
from data_preprocessing.examples import NO_QUERY, Outcome
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.annotations import AnnotationSet, Benchmark
from unloc_jax.annotations.records import VideoAnnotation
from unloc_jax.data import manifest as manifests
from unloc_jax.media.errors import VideoError


@dataclasses.dataclass
class Plan:
  """A build, planned.

  Attributes:
    benchmark: What is built.
    annotations: What its annotation files say.
    settings: How videos become examples.
    jobs: Split -> the videos to open.
    absent: Split -> videos that are left out before any is opened.
    final: Folder of the finished dataset.
  """

  benchmark: Benchmark
  annotations: AnnotationSet
  settings: Settings
  jobs: dict[str, list[VideoJob]]
  absent: dict[str, list[Outcome]]
  final: epath.Path

  @property
  def work(self) -> epath.Path:
    """Folder of what is under way."""
    return self.final.parent / f"{self.final.name}.partial"

  @property
  def total(self) -> int:
    """Annotated videos."""
    opened = sum(len(jobs) for jobs in self.jobs.values())
    return opened + sum(len(gone) for gone in self.absent.values())

  @property
  def key(self) -> str:
    """Hash of all that the dataset holds.

    Videos are hashed in groups, as they once were stored, so that datasets
    finished then are still known to be finished.
    """
    groups = []
    for split in sorted(self.jobs):
      ordered = sorted(
        self.jobs[split],
        key=lambda job: hashlib.sha256(
          job.annotation.video_id.encode()
        ).digest(),
      )
      count = min(1024, -(-len(ordered) // 16))
      groups += [
        cache.fingerprint([self.settings, ordered[i::count]])
        for i in range(count)
      ]
    absent = {
      split: sorted(o.video_id for o in self.absent[split])
      for split in sorted(self.absent)
    }
    classes = self.annotations.classes
    return cache.fingerprint(
      [manifests.FORMAT, self.settings, classes, groups, absent]
    )

  def sources(self) -> dict[str, str]:
    """Returns annotation file name -> hash of its bytes."""
    return {
      path.name: hashlib.sha256(path.read_bytes()).hexdigest()
      for path in self.annotations.files
    }


def make(
  benchmark: Benchmark,
  annotations: AnnotationSet,
  videos: str,
  data_dir: str,
  settings: Settings,
  allow_absolute_paths: bool = False,
) -> Plan:
  """Finds every video's file.

  Args:
    benchmark: What is built.
    annotations: What its annotation files say.
    videos: Folder of videos, or of features.
    data_dir: Where datasets are kept.
    settings: How videos become examples.
    allow_absolute_paths: Whether annotations may name files elsewhere.
  """
  importing = not settings.decodes
  kinds = feature_files.EXTENSIONS if importing else lookup.EXTENSIONS
  try:
    index = lookup.VideoIndex(videos, kinds, allow_absolute_paths)
  except FileNotFoundError as error:
    raise BuildError(str(error)) from error
  jobs: dict[str, list[VideoJob]] = {}
  absent: dict[str, list[Outcome]] = {}
  for video in annotations.videos:
    jobs.setdefault(video.split, [])
    absent.setdefault(video.split, [])
    found = _find(video, index, importing)
    if isinstance(found, Outcome):
      absent[video.split].append(found)
    else:
      jobs[video.split].append(found)
  if settings.extract == schema.FEATURES:
    settings = _with_tower(settings, [j for s in jobs.values() for j in s])
  final = epath.Path(data_dir) / settings.dataset / schema.VERSION
  return Plan(benchmark, annotations, settings, jobs, absent, final)


def _find(
  video: VideoAnnotation, index: lookup.VideoIndex, importing: bool
) -> VideoJob | Outcome:
  """Returns the work of one video, or why there is none."""
  if not video.queries:
    return Outcome(video.video_id, reason=NO_QUERY, annotated=video.duration)
  if importing and video.path is not None:
    # The annotations name the video; its features have its name.
    stem = epath.Path(video.path).stem
    video = dataclasses.replace(video, path=None, names=(stem, *video.names))
  try:
    return index.find(video)
  except VideoError as error:
    return Outcome(
      video.video_id,
      name=video.path or "",
      reason=str(error.reason),
      detail=error.detail,
      annotated=video.duration,
    )


def _with_tower(settings: Settings, jobs: list[VideoJob]) -> Settings:
  """Adds to the settings what only the tower or the files can tell."""
  settings = dataclasses.replace(
    settings, embedding_width=features.width(jobs, settings)
  )
  if settings.checkpoint:
    tower = features.embedder(settings.checkpoint)
    settings = dataclasses.replace(
      settings, tower_hash=tower.tower_hash, normalisation=tower.normalisation
    )
  return settings


def source(settings: Settings) -> manifests.Source:
  """Returns what the stored videos will be."""
  frames = settings.extract == schema.FRAMES
  return manifests.Source(
    dataset=settings.dataset,
    extract=settings.extract,
    frame_rate=settings.frame_rate,
    short_side=settings.short_side * settings.decodes,
    jpeg_quality=settings.jpeg_quality * settings.decodes,
    embedding_width=None if frames else settings.embedding_width,
    tower_hash=settings.tower_hash or None,
    normalisation=settings.normalisation,
  )


def finished(plan: Plan) -> bool:
  """Whether this very dataset is built. Raises BuildError if another is."""
  if not plan.final.exists():
    return False
  try:
    made = manifests.read_manifest(plan.final)
    fingerprint = made.source["fingerprint"]
  except (OSError, ValueError, KeyError) as error:
    raise BuildError(
      f"{plan.final}: holds something that is not a dataset of ours"
      f" ({error}); give another --data_dir"
    ) from error
  if fingerprint == plan.key:
    return True
  changed = [
    f"{name} {getattr(made, name)} -> {new}"
    for name, new in dataclasses.asdict(source(plan.settings)).items()
    if getattr(made, name) != new
  ] or ["the annotations or the videos there"]
  raise BuildError(
    f"{plan.final}: was built from other input ({', '.join(changed)}); give"
    " another --data_dir, or --overwrite to build it again"
  )
