"""Turns one video and its annotation into an example, in little memory."""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from fractions import Fraction
from typing import IO

from data_preprocessing import tfrecord
from data_preprocessing.jobs import Outcome, Settings, VideoJob
from unloc_jax.annotations.records import Query, Segment, VideoAnnotation
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.jpeg import jpegs
from unloc_jax.media.video import FrameStream

# Frames of a video beyond this wait on disk, not in memory.
_SPOOL_BYTES = 32 << 20

Beat = Callable[[], None]


@dataclasses.dataclass
class Draft:
  """One encoded example, and what became of its video.

  Attributes:
    features: Encoded features by key.
    outcome: Its line in the log, but for its place in the file.
    cut: The queries and segments stored.
  """

  features: dict[str, tfrecord.Payload]
  outcome: Outcome
  cut: "Cut"


def spool_file(folder: str) -> IO[bytes]:
  """Opens where a video's frames wait until their number is known.

  Short videos stay in memory; long ones go to a nameless file in `folder`.
  """
  return tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=folder)


def frames_example(
  job: VideoJob, settings: Settings, file: IO[bytes], beat: Beat
) -> Draft:
  """Decodes a video into an example of JPEG frames.

  Args:
    job: The video.
    settings: Rate, size and quality.
    file: Where frames wait, see `spool_file`; read when the example is
      written.
    beat: Called at every frame, so that a hung decoder can be told.

  Raises:
    VideoError: The video cannot be used.
  """
  stream = FrameStream(
    job.path,
    settings.frame_rate,
    settings.short_side,
    threads=1,
    max_damaged=settings.max_damaged,
    need_duration=settings.need_duration,
    hold_until=job.annotation.duration or 0.0,
  )
  spool = tfrecord.Spool(file)
  for jpeg in jpegs(stream, settings.jpeg_quality):
    spool.append(jpeg)
    beat()
  draft = describe(job, settings, stream.duration, stream.frame_count)
  draft.features["frames"] = spool
  draft.outcome = dataclasses.replace(draft.outcome, damaged=stream.damaged)
  return draft


def describe(
  job: VideoJob, settings: Settings, duration: float, count: int
) -> Draft:
  """Returns an example of everything but frames or embeddings.

  Args:
    job: The video.
    settings: For the rate of positions.
    duration: Decoded seconds.
    count: Stored positions N.
  """
  annotation = job.annotation
  cut = within(annotation, duration)
  rate = Fraction(str(settings.frame_rate)).limit_denominator(1_000_000)
  features: dict[str, tfrecord.Payload] = {
    "video_id": tfrecord.texts([annotation.video_id]),
    "duration": tfrecord.doubles([duration]),
    "frame_rate": tfrecord.doubles([settings.frame_rate]),
    "frame_count": tfrecord.integers([count]),
    "timestamps": tfrecord.doubles(float(i / rate) for i in range(count)),
    "queries/id": tfrecord.texts(q.id for q in cut.queries),
    "queries/text": tfrecord.texts(q.text for q in cut.queries),
    "queries/annotation": tfrecord.texts(
      json.dumps(q.annotation, sort_keys=True, ensure_ascii=False)
      for q in cut.queries
    ),
    "segments/start": tfrecord.doubles(s.start for s in cut.segments),
    "segments/end": tfrecord.doubles(s.end for s in cut.segments),
    "segments/query": tfrecord.integers(s.query for s in cut.segments),
  }
  outcome = Outcome(
    annotation.video_id,
    job.name,
    size=job.size,
    duration=duration,
    annotated=annotation.duration,
    frames=count,
    queries=len(cut.queries),
    segments=len(cut.segments),
    clipped=cut.clipped,
    dropped=cut.dropped,
  )
  return Draft(features, outcome, cut)


@dataclasses.dataclass
class Cut:
  """An annotation cut to the video that is really there.

  Attributes:
    queries: Those that keep a segment, or never had one.
    segments: In seconds; their `query` indexes `queries`.
    clipped: Segments cut at the end of the video.
    dropped: Segments that begin after it.
  """

  queries: list[Query]
  segments: list[Segment]
  clipped: int = 0
  dropped: int = 0


def within(annotation: VideoAnnotation, duration: float) -> Cut:
  """Cuts segments at `duration` seconds.

  Raises:
    VideoError: No query is left.
  """
  cut = Cut([], [])
  for index, query in enumerate(annotation.queries):
    own = [s for s in annotation.segments if s.query == index]
    kept = [s for s in own if s.start < duration]
    cut.dropped += len(own) - len(kept)
    if own and not kept:
      continue
    cut.clipped += sum(s.end > duration for s in kept)
    cut.segments += [
      Segment(s.start, min(s.end, duration), len(cut.queries)) for s in kept
    ]
    cut.queries.append(query)
  if not cut.queries:
    raise VideoError(
      Reason.TOO_SHORT, f"{duration:.2f} s, every segment begins later"
    )
  return cut
