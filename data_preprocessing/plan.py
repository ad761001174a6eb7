"""Decides, before any long work, what a build will do and whether it may."""

import dataclasses
import hashlib
from collections.abc import Iterator

from etils import epath

from data_preprocessing import feature_files, features, lookup, records
from data_preprocessing.jobs import (
  NO_QUERY,
  BuildError,
  Outcome,
  Settings,
  ShardJob,
  VideoJob,
  fingerprint,
  plan_shards,
)
from unloc_jax.annotations import AnnotationSet, Benchmark
from unloc_jax.annotations.records import VideoAnnotation
from unloc_jax.media.errors import VideoError


@dataclasses.dataclass
class Plan:
  """A build, planned.

  Attributes:
    benchmark: What is built.
    annotations: What its annotation files say.
    settings: How videos become examples.
    shards: The work, by shard.
    absent: Split -> videos that are left out before any is opened.
    work: Folder of shards under way.
    final: Folder of the finished dataset.
  """

  benchmark: Benchmark
  annotations: AnnotationSet
  settings: Settings
  shards: list[ShardJob]
  absent: dict[str, list[Outcome]]
  work: epath.Path
  final: epath.Path

  @property
  def key(self) -> str:
    """Hash of all that the dataset's bytes depend on."""
    return fingerprint(
      [
        records.MANIFEST_FORMAT,
        self.settings,
        self.annotations.classes,
        [shard.key for shard in self.shards],
        {
          split: sorted(o.video_id for o in gone)
          for split, gone in sorted(self.absent.items())
        },
      ]
    )

  def sources(self) -> dict[str, str]:
    """Returns annotation file name -> hash of its bytes."""
    return {
      path.name: hashlib.sha256(path.read_bytes()).hexdigest()
      for path in self.annotations.files
    }

  def videos(self) -> Iterator[VideoJob]:
    """Yields every video that will be opened."""
    for shard in self.shards:
      yield from shard.videos


def make(
  benchmark: Benchmark,
  annotations: AnnotationSet,
  videos: str,
  data_dir: str,
  settings: Settings,
  allow_absolute_paths: bool = False,
) -> Plan:
  """Finds every video's file and deals them out to shards.

  Args:
    benchmark: What is built.
    annotations: What its annotation files say.
    videos: Folder of videos, or of features.
    data_dir: Where datasets are kept.
    settings: How videos become examples.
    allow_absolute_paths: Whether annotations may name files elsewhere.
  """
  home = epath.Path(data_dir) / dataset_folder(settings)
  work = home / f"{records.VERSION}.partial"
  importing = settings.extract == records.FEATURES and not settings.checkpoint
  kinds = feature_files.EXTENSIONS if importing else lookup.EXTENSIONS
  try:
    index = lookup.VideoIndex(videos, kinds, allow_absolute_paths)
  except FileNotFoundError as error:
    raise BuildError(str(error)) from error
  jobs: dict[str, list[VideoJob]] = {}
  absent: dict[str, list[Outcome]] = {}
  for video in annotations.videos:
    jobs.setdefault(video.split, [])
    gone = absent.setdefault(video.split, [])
    found = _find(video, index, importing)
    if isinstance(found, Outcome):
      gone.append(found)
    else:
      jobs[video.split].append(found)
  if settings.extract == records.FEATURES:
    settings = _with_tower(settings, [j for s in jobs.values() for j in s])
  shards = [
    shard
    for split in sorted(jobs)
    for shard in plan_shards(split, jobs[split], str(work), settings)
  ]
  return Plan(
    benchmark,
    annotations,
    settings,
    shards,
    absent,
    work,
    home / records.VERSION,
  )


def dataset_folder(settings: Settings) -> str:
  """Returns the name of the dataset's folder."""
  if settings.tfrecord == "sequence":
    return f"{settings.dataset}_mediasequence"
  return settings.dataset


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
    found = index.find(video)
  except VideoError as error:
    return Outcome(
      video.video_id,
      name=video.path or "",
      reason=str(error.reason),
      detail=error.detail,
      annotated=video.duration,
    )
  return VideoJob(video, found.path, found.name, found.size)


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


@dataclasses.dataclass(frozen=True)
class Threshold:
  """How many annotated videos may be left out.

  Attributes:
    count: Videos; None for no limit.
    share: Share of the annotated videos; None for no limit.
  """

  count: int | None = None
  share: float | None = None

  @classmethod
  def parse(cls, text: str) -> "Threshold":
    """Reads `12`, `5%` or "". Raises BuildError on anything else."""
    if not text:
      return cls()
    try:
      if text.endswith("%"):
        share = float(text[:-1]) / 100
        if 0 <= share <= 1:
          return cls(share=share)
      elif int(text) >= 0:
        return cls(count=int(text))
    except ValueError:
      pass
    raise BuildError(f"--max-missing {text}: give a number, or e.g. 5%")

  def check(self, out: int, total: int, where: str) -> None:
    """Raises BuildError where more videos are left out than allowed."""
    limit = self.count
    if self.share is not None:
      limit = int(self.share * total)
    if limit is not None and out > limit:
      raise BuildError(
        f"{out} of {total} videos are missing or broken, --max-missing allows"
        f" {limit}; see {where}"
      )


def finished(plan: Plan) -> bool:
  """Whether this very dataset is built. Raises BuildError if another is."""
  if not plan.final.exists():
    return False
  try:
    text = (plan.final / "manifest.json").read_text()
    made = records.Manifest.from_json(text)
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise BuildError(
      f"{plan.final}: holds something that is not a dataset of ours"
      f" ({error}); give another --data_dir"
    ) from error
  if made.source["fingerprint"] == plan.key:
    return True
  changed = [
    f"{name} {old} -> {new}"
    for name, old, new in (
      ("frame_rate", made.frame_rate, plan.settings.frame_rate),
      (
        "short_side",
        made.short_side,
        plan.settings.short_side * plan.settings.decodes,
      ),
      (
        "jpeg_quality",
        made.jpeg_quality,
        plan.settings.jpeg_quality * plan.settings.decodes,
      ),
      ("extract", made.extract, plan.settings.extract),
      ("tower_hash", made.tower_hash, plan.settings.tower_hash or None),
      ("normalisation", made.normalisation, plan.settings.normalisation),
    )
    if old != new
  ] or ["the annotations or the videos there"]
  raise BuildError(
    f"{plan.final}: was built from other input ({', '.join(changed)}); give"
    " another --data_dir, or --overwrite to build it again"
  )
