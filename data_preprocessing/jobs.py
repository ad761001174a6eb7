"""What is to be built: settings, the work of each shard, its outcomes.

Plain values that travel to workers; no TensorFlow, no Beam.
"""

import dataclasses
import functools
import hashlib
import json
from typing import Any

from data_preprocessing import records
from unloc_jax.annotations.records import VideoAnnotation

# One shard per so many videos, so that workers can share out a small set ...
_VIDEOS_PER_SHARD = 16
# ... and no more shards than this in a large one.
_MAX_SHARDS = 1024
# Why a video is left out for which nothing is asked; no fault of the video.
NO_QUERY = "no usable query"


class BuildError(RuntimeError):
  """A build cannot go on; the message says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Settings:
  """How videos are turned into examples.

  Attributes:
    dataset: Name of the benchmark.
    extract: records.FRAMES or records.FEATURES.
    frame_rate: Stored positions per second.
    short_side: Shorter side of stored frames in pixels; smaller videos are not
      enlarged, 0 keeps every size.
    jpeg_quality: 1 to 95.
    max_damaged: Share of a video that may be undecodable.
    need_duration: Leave out files that declare no duration.
    normalisation: What was done to imported features.
    checkpoint: Folder of the tower that makes features; "" to import them.
    tower_hash: Which tower made the features; "" for frames.
    embedding_width: Channels of the features; 0 for frames.
    tfrecord: "example", or "sequence" for MediaSequence.
  """

  dataset: str
  extract: str = records.FRAMES
  frame_rate: float = 10.0
  short_side: int = 256
  jpeg_quality: int = 90
  max_damaged: float = 0.01
  need_duration: bool = True
  normalisation: str = "none"
  checkpoint: str = ""
  tower_hash: str = ""
  embedding_width: int = 0
  tfrecord: str = "example"

  @property
  def decodes(self) -> bool:
    """Whether videos are decoded, not features of others imported."""
    return self.extract == records.FRAMES or bool(self.checkpoint)

  def __post_init__(self) -> None:
    if self.extract not in (records.FRAMES, records.FEATURES):
      raise BuildError(f"--extract {self.extract}: frames or features")
    if not self.frame_rate > 0:
      raise BuildError(f"--frame_rate {self.frame_rate}: must be positive")
    if self.short_side < 0:
      raise BuildError(f"--short_side {self.short_side}: pixels, or 0")
    if not 1 <= self.jpeg_quality <= 95:
      raise BuildError(f"--jpeg_quality {self.jpeg_quality}: from 1 to 95")
    if not 0 <= self.max_damaged <= 1:
      raise BuildError(f"--max_damaged {self.max_damaged}: a share, 0 to 1")


@dataclasses.dataclass(frozen=True)
class VideoJob:
  """One video to turn into an example.

  Attributes:
    annotation: What is known of it.
    path: The file to read.
    name: The file relative to the folder of videos.
    size: Bytes of the file.
  """

  annotation: VideoAnnotation
  path: str
  name: str
  size: int


@dataclasses.dataclass(frozen=True)
class ShardJob:
  """The videos of one TFRecord file.

  Attributes:
    split: Its split.
    index: Its number within the split.
    folder: Where the file and its log are written.
    videos: In the order in which they are stored.
    settings: How to turn them into examples.
  """

  split: str
  index: int
  folder: str
  videos: tuple[VideoJob, ...]
  settings: Settings

  @property
  def stem(self) -> str:
    """Name of the shard's files, without extension."""
    return f"{self.split}-{self.index:05d}"

  @functools.cached_property
  def key(self) -> str:
    """Hash of all that the shard's bytes depend on."""
    return fingerprint([self.settings, self.videos])


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of one video; a line of a shard's log.

  Attributes:
    video_id: The video.
    name: Its file, relative to the folder of videos; "" if not found.
    reason: "" if it was built, else why it was left out.
    detail: More about the reason.
    end: Length of the shard's file once this video is in it, bytes.
    size: Bytes of the source file.
    duration: Decoded seconds.
    annotated: Annotated seconds, None where not annotated.
    frames: Stored positions.
    queries: Stored queries.
    segments: Stored segments.
    clipped: Segments cut at the end of the decoded video.
    dropped: Segments that begin after the end of the decoded video.
    damaged: Seconds without a wholly decoded frame.
    bytes: Length of the record.
    width: Channels of the features; 0 for frames.
  """

  video_id: str
  name: str = ""
  reason: str = ""
  detail: str = ""
  end: int = 0
  size: int = 0
  duration: float = 0.0
  annotated: float | None = None
  frames: int = 0
  queries: int = 0
  segments: int = 0
  clipped: int = 0
  dropped: int = 0
  damaged: float = 0.0
  bytes: int = 0
  width: int = 0

  def to_line(self) -> str:
    """Returns one line of JSON."""
    return json.dumps(dataclasses.asdict(self), sort_keys=True)

  @classmethod
  def from_line(cls, line: str) -> "Outcome":
    """Reads `to_line`."""
    return cls(**json.loads(line))


def fingerprint(record: Any) -> str:
  """Returns a hash of plain values and dataclasses, the same on any machine.

  Absolute paths are left out: a moved folder holds the same videos.
  """
  text = json.dumps(record, default=_plain, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
  if isinstance(value, VideoJob):
    return [value.annotation, value.name, value.size]
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    # Not asdict(), which would turn the jobs inside into dictionaries too. A
    # tower is named by its hash, wherever it lies.
    return {
      f.name: getattr(value, f.name)
      for f in dataclasses.fields(value)
      if f.name != "checkpoint"
    }
  raise TypeError(f"{type(value).__name__} has no fingerprint")


def plan_shards(
  split: str, videos: list[VideoJob], folder: str, settings: Settings
) -> list[ShardJob]:
  """Deals the videos of a split out to shards, in an order of no meaning.

  The order and the number of shards depend on the videos alone, so that the
  bytes do not depend on the workers.
  """
  ordered = sorted(
    videos,
    key=lambda v: hashlib.sha256(v.annotation.video_id.encode()).digest(),
  )
  count = min(_MAX_SHARDS, -(-len(ordered) // _VIDEOS_PER_SHARD))
  return [
    ShardJob(split, i, folder, tuple(ordered[i::count]), settings)
    for i in range(count)
  ]
