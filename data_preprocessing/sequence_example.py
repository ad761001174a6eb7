"""Writes an example as MediaSequence: tf.train.SequenceExample.

The keys and units are those of Scenic's and DMVR's readers: frames in the
feature list `image/encoded`, everything else in the context, segment times in
microseconds.
"""

from collections.abc import Iterator
from typing import IO

import numpy as np

from data_preprocessing import tfrecord
from data_preprocessing.examples import Draft
from data_preprocessing.jobs import Settings, VideoJob

_MICROSECONDS = 1_000_000


def write(
  out: IO[bytes], draft: Draft, job: VideoJob, settings: Settings
) -> int:
  """Appends one tf.train.SequenceExample and returns its bytes.

  Raises:
    ValueError: The record is longer than a protocol buffer may be.
  """
  spool = draft.features["frames"]
  if not isinstance(spool, tfrecord.Spool):
    raise ValueError("MediaSequence holds frames, not features")
  context = tfrecord.encode_example(_context(draft, job, settings))
  # Example and SequenceExample both hold Features as field 1: the encoded
  # Example is the first half of the SequenceExample.
  lists = _FrameLists(spool, settings)
  size = len(context) + lists.size
  return tfrecord.write_message(out, _chunks(context, lists), size)


def _context(
  draft: Draft, job: VideoJob, settings: Settings
) -> dict[str, tfrecord.Payload]:
  """Returns the context: the video, its segments and their labels."""
  queries, segments = draft.cut.queries, draft.cut.segments
  last = max(draft.outcome.frames - 1, 0)

  def index(seconds: float) -> int:
    return min(last, round(seconds * settings.frame_rate))

  return {
    "clip/media_id": tfrecord.texts([job.annotation.video_id]),
    "clip/frames": tfrecord.integers([draft.outcome.frames]),
    "clip/start/timestamp": tfrecord.integers([0]),
    "clip/end/timestamp": tfrecord.integers(
      [round(draft.outcome.duration * _MICROSECONDS)]
    ),
    "image/format": tfrecord.texts(["jpeg"]),
    "image/frame_rate": tfrecord.floats(np.asarray([settings.frame_rate])),
    "segment/start/index": tfrecord.integers(index(s.start) for s in segments),
    "segment/end/index": tfrecord.integers(index(s.end) for s in segments),
    "segment/start/timestamp": tfrecord.integers(
      round(s.start * _MICROSECONDS) for s in segments
    ),
    "segment/end/timestamp": tfrecord.integers(
      round(s.end * _MICROSECONDS) for s in segments
    ),
    "segment/label/index": tfrecord.integers(
      label_index(queries[s.query].id, s.query) for s in segments
    ),
    "segment/label/string": tfrecord.texts(
      queries[s.query].text for s in segments
    ),
  }


def label_index(query_id: str, position: int) -> int:
  """Returns the class of a query, or its place among the captions."""
  return int(query_id) if query_id.isdecimal() else position


class _FrameLists:
  """The payload FeatureLists { image/encoded, image/timestamp }."""

  def __init__(self, spool: tfrecord.Spool, settings: Settings):
    self._spool = spool
    self._stamps = [
      _message(
        b"\x1a",
        _message(
          b"\x0a",
          tfrecord.varint(round(i / settings.frame_rate * _MICROSECONDS)),
        ),
      )
      for i in range(len(spool.lengths))
    ]

  @property
  def size(self) -> int:
    body = self._frames_entry() + len(self._stamps_entry())
    return 1 + len(tfrecord.varint(body)) + body

  def chunks(self) -> Iterator[bytes]:
    """Yields the encoded lists, a frame at a time."""
    body = self._frames_entry() + len(self._stamps_entry())
    yield b"\x12" + tfrecord.varint(body)
    key = _message(b"\x0a", b"image/encoded")
    frames = self._frames_size()
    head = key + b"\x12" + tfrecord.varint(frames)
    yield b"\x0a" + tfrecord.varint(len(head) + frames) + head
    for item in self._spool.items():
      value = b"\x0a" + tfrecord.varint(len(item))
      size = len(value) + len(item)
      inner = b"\x0a" + tfrecord.varint(size) + value
      yield b"\x0a" + tfrecord.varint(len(inner) + len(item)) + inner
      yield item
    yield self._stamps_entry()

  def _frames_size(self) -> int:
    total = 0
    for length in self._spool.lengths:
      for _ in range(3):  # value in BytesList in Feature
        length += 1 + len(tfrecord.varint(length))
      total += length
    return total

  def _frames_entry(self) -> int:
    frames = self._frames_size()
    body = len(_message(b"\x0a", b"image/encoded"))
    body += 1 + len(tfrecord.varint(frames)) + frames
    return 1 + len(tfrecord.varint(body)) + body

  def _stamps_entry(self) -> bytes:
    listed = b"".join(_message(b"\x0a", stamp) for stamp in self._stamps)
    return _message(
      b"\x0a", _message(b"\x0a", b"image/timestamp") + _message(b"\x12", listed)
    )


def _chunks(context: bytes, lists: _FrameLists) -> Iterator[bytes]:
  yield context
  yield from lists.chunks()


def _message(tag: bytes, content: bytes) -> bytes:
  return tag + tfrecord.varint(len(content)) + content
