"""Turns one video and its annotation into an example, in little memory."""

import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import Settings
from unloc_jax.annotations.records import Query, Segment, VideoAnnotation
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.jpeg import jpegs
from unloc_jax.media.video import FrameStream

# Why a video is left out for which nothing is asked; no fault of the video.
NO_QUERY = "no usable query"
# A protocol buffer may not be longer; a mebibyte is left for the annotation.
_MAX_BYTES = (1 << 31) - (1 << 20)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
  """What became of one video."""

  video_id: str
  name: str = ""  # Its file, relative to the folder of videos; "" if not found
  reason: str = ""  # "" if it was built, else why it was left out
  detail: str = ""
  size: int = 0  # Bytes of the source file
  duration: float = 0.0  # Decoded seconds
  annotated: float | None = None  # Annotated seconds, None where not annotated
  frames: int = 0  # Stored positions; so are queries and segments
  queries: int = 0
  segments: int = 0
  clipped: int = 0  # Segments cut at the end of the decoded video
  dropped: int = 0  # Segments that begin after the end of the decoded video
  damaged: float = 0.0  # Seconds without a wholly decoded frame
  remark: str = ""  # What was made of what the file leaves open
  # Length of the file that holds its example until shards are written
  bytes: int = 0


# All of an example but its frames, by the keys of `schema.features`, its arrays
# as such and the rest fit for JSON; and what became of its video.
Draft = tuple[dict[str, Any], Outcome]


def frames_example(
  job: VideoJob, settings: Settings, keep: Callable[[bytes], None]
) -> Draft:
  """Decodes a video; gives the JPEG of every position to `keep`, in order.

  Raises VideoError where the video cannot be used.
  """
  stream = open_stream(job, settings)
  size = 0
  for jpeg in jpegs(stream, settings.jpeg_quality):
    size += len(jpeg) + 8
    if size > _MAX_BYTES:
      raise VideoError(
        Reason.TOO_LONG,
        f"2.14 GB is the most a record may hold, reached at {stream.duration}"
        " s; lower the frame rate, short side or quality",
      )
    keep(jpeg)
  return describe(job, settings, stream.duration, stream.frame_count, stream)


def open_stream(job: VideoJob, settings: Settings) -> FrameStream:
  """Returns the frames of a video at the settings' rate and size."""
  return FrameStream(
    job.path,
    settings.frame_rate,
    settings.short_side,
    threads=1,
    max_damaged=settings.max_damaged,
    hold_until=job.annotation.duration or 0.0,
  )


def describe(
  job: VideoJob,
  settings: Settings,
  duration: float,
  count: int,
  stream: FrameStream | None = None,
) -> Draft:
  """Returns the example of so many seconds and N positions, read from there.

  Raises VideoError where no query is left within the decoded `duration`.
  """
  annotation = job.annotation
  queries, segments, clipped, dropped = within(annotation, duration)
  rate = Fraction(str(settings.frame_rate)).limit_denominator(1_000_000)
  example = {
    "video_id": annotation.video_id,
    "duration": duration,
    "frame_rate": settings.frame_rate,
    "frame_count": count,
    "timestamps": [float(i / rate) for i in range(count)],
    "queries": {
      "id": [q.id for q in queries],
      "text": [q.text for q in queries],
      "annotation": [
        json.dumps(q.annotation, sort_keys=True, ensure_ascii=False)
        for q in queries
      ],
    },
    "segments": {
      "start": [float(s.start) for s in segments],
      "end": [float(s.end) for s in segments],
      "query": [s.query for s in segments],
    },
  }
  return example, Outcome(
    annotation.video_id,
    job.name,
    size=job.size,
    duration=duration,
    annotated=annotation.duration,
    frames=count,
    queries=len(queries),
    segments=len(segments),
    clipped=clipped,
    dropped=dropped,
    damaged=stream.damaged if stream else 0.0,
    remark="; ".join(stream.remarks) if stream else "",
  )


def left_out(job: VideoJob, error: VideoError) -> Outcome:
  """Returns the outcome of a video that cannot be used."""
  # Reports are the same wherever the videos lie.
  detail = error.detail.replace(job.path, job.name)
  return Outcome(
    job.annotation.video_id,
    job.name,
    str(error.reason),
    "" if detail == job.name else detail,
    size=job.size,
    annotated=job.annotation.duration,
  )


def within(
  annotation: VideoAnnotation, duration: float
) -> tuple[list[Query], list[Segment], int, int]:
  """Cuts segments at `duration` seconds, the end of what is really there.

  Returns the queries that keep a segment or never had one; segments, whose
  `query` indexes these; how many were cut at the end; how many began after it.
  Raises VideoError where no query is left.
  """
  queries: list[Query] = []
  segments: list[Segment] = []
  clipped = dropped = 0
  for index, query in enumerate(annotation.queries):
    own = [s for s in annotation.segments if s.query == index]
    kept = [s for s in own if s.start < duration]
    dropped += len(own) - len(kept)
    if own and not kept:
      continue
    clipped += sum(s.end > duration for s in kept)
    segments += [
      Segment(s.start, min(s.end, duration), len(queries)) for s in kept
    ]
    queries.append(query)
  if not queries:
    raise VideoError(
      Reason.TOO_SHORT, f"{duration:.2f} s, every segment begins later"
    )
  return queries, segments, clipped, dropped
