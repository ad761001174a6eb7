"""Decodes a video: the frames shown at regular times, one in memory at a time.

The only module that opens videos. Rotation, mirroring, pixel shape, variable
frame rate, start offset and edit lists are honoured.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any

import av
import numpy as np
from etils import epath

from unloc_jax.media import clock as video_clock
from unloc_jax.media import display as video_display
from unloc_jax.media import integrity as video_integrity
from unloc_jax.media import structure as video_structure
from unloc_jax.media.errors import Reason, VideoError

# Nothing a benchmark holds is longer; broken files claim to be.
MAX_SECONDS = 24 * 3600
# Annotations take the length from the container, sound and all; where the
# picture ends less than this before, its last frame is held.
_HOLD_SECONDS = 1
# 67 megapixels: twice 8K. Beyond it a damaged header is likelier than a film.
_MAX_PIXELS = 1 << 26
_STILL_FORMATS = ("image2", "tty", "hls", "concat", "ffmetadata", "lrc", "srt")
# What containers we know begin with; tells a broken video from no video.
_MAGIC = (
  (4, b"ftyp"),
  (4, b"moov"),
  (4, b"mdat"),
  (4, b"wide"),
  (4, b"free"),
  (4, b"skip"),
  (0, b"\x1aE\xdf\xa3"),
  (0, b"RIFF"),
  (0, b"FLV"),
  (0, b"OggS"),
  (0, b"\x00\x00\x01\xba"),
  (0, b"0&\xb2u"),
)
_HEAD_BYTES = 256
# Formats that say how long they are, so that a cut can be told to have cost
# pictures or not.
_TIMED = ("avi", "matroska,webm")


@dataclasses.dataclass(frozen=True)
class VideoProbe:
  """What a video's headers say; nothing is decoded.

  Attributes:
    duration: Seconds, None where the file does not say.
    width: Coded width in pixels, before rotation.
    height: Coded height in pixels, before rotation.
    frame_rate: Average frames per second, None where unknown.
    codec: Name of the decoder.
  """

  duration: float | None
  width: int
  height: int
  frame_rate: float | None
  codec: str


class FrameStream:
  """The frames of a video shown at 0, 1/rate, 2/rate, ... seconds.

  Iterating yields (timestamp, image): seconds from the start of the video,
  uint8 [H, W, 3] RGB. Position i shows the latest frame whose time is at most
  i / rate, the first frame before that; a frame shown at several positions is
  the *same array* each time. There are max(1, ceil(duration * rate)) of them.
  Iterate once.

  Attributes:
    duration: Seconds until the last frame ends; known after iteration.
    frame_count: Positions yielded so far.
    damaged: Seconds without a wholly decoded frame; known after iteration.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    rate: float,
    short_side: int,
    *,
    threads: int = 0,
    max_damaged: float = 0.01,
    need_duration: bool = True,
    hold_until: float = 0.0,
  ):
    """Names the video; nothing is opened before iteration.

    Args:
      path: Where the video is, on any file system.
      rate: Frames per second to yield.
      short_side: Shorter side to shrink to, in pixels; 0 keeps the size.
      threads: Decoding threads; 0 is as many as there are cores.
      max_damaged: Share of the length that may be damaged.
      need_duration: Refuse a file that declares no duration, for it cannot be
        told from a truncated one.
      hold_until: Seconds up to which the last frame is held, should the
        picture end less than a second earlier.
    """
    if not rate > 0:
      raise ValueError(f"rate: {rate} frames per second; give a positive one")
    self.path = os.fspath(path)
    self.rate = Fraction(str(rate)).limit_denominator(1_000_000)
    self._display = video_display.Display(short_side)
    self._threads = threads
    self._max_damaged = max_damaged
    self._need_duration = need_duration
    self._hold_until = Fraction(hold_until)
    self.duration = 0.0
    self.damaged = 0.0
    self.frame_count = 0
    self._due = self._per = 1
    self._end = 0
    self._declared = Fraction(0)

  def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
    try:
      yield from self._decode()
    except av.FFmpegError as error:
      raise VideoError(Reason.UNDECODABLE, str(error)) from error

  def _decode(self) -> Iterator[tuple[float, np.ndarray]]:
    with _opened(self.path) as (container, whole):
      if whole is False and container.format.name not in _TIMED:
        raise VideoError(
          Reason.TRUNCATED, "the container ends in a hole, or not at all"
        )
      stream = video_stream(container)
      stream.codec_context.thread_count = self._threads
      stream.thread_type = "AUTO"
      promised = video_integrity.promised_end(container, stream)
      if promised is None and self._need_duration:
        raise VideoError(
          Reason.NO_DURATION, "cannot be told from a truncated file"
        )
      ticks = video_clock.Ticks(container)
      clock = video_clock.Clock(container, stream, ticks)
      integrity = video_integrity.Integrity(
        container, stream, ticks, whole=whole
      )
      # Position i is due where i * self._due is at least ticks * self._per.
      self._due = ticks.per_second * self.rate.denominator
      self._per = self.rate.numerator
      # Where all chunks are there, empty ones say that a picture is held.
      self._declared = (
        promised.length(_start(container))
        if (promised and container.format.name == "avi" and whole)
        else Fraction(0)
      )
      limit = ticks.of_seconds(_limit(promised, _start(container)))
      yield from self._positions(
        _decoded(container, stream, integrity),
        pixel_aspect(stream),
        clock,
        integrity,
        limit,
      )
      if not self.frame_count:
        raise VideoError(Reason.NO_FRAMES, "no frame could be decoded")
      integrity.verdict(clock.end, self._max_damaged)
    self.duration = ticks.seconds(self._end)
    self.damaged = ticks.seconds(integrity.damaged)

  def _positions(
    self,
    frames: Iterator[av.VideoFrame],
    aspect: float,
    clock: video_clock.Clock,
    integrity: video_integrity.Integrity,
    limit: int,
  ) -> Iterator[tuple[float, np.ndarray]]:
    """Yields what each position shows, while frames go by."""
    held: av.VideoFrame | None = None
    for frame in frames:
      appears = clock.appearance(frame)
      integrity.frame(frame, appears)
      if appears > limit:
        raise VideoError(
          Reason.UNDECODABLE,
          f"a frame is due {appears / limit:.1f} times past the end",
        )
      if held is not None and (
        self.frame_count * self._due < appears * self._per
      ):
        yield from self._until(appears, held, aspect)
      held = frame
    if held is not None:
      # A video of no length still shows its frame once.
      self._end = max(
        clock.end,
        1,
        self._held_end(clock),
        clock.ticks.of_seconds(self._declared),
      )
      yield from self._until(self._end, held, aspect)

  def _held_end(self, clock: video_clock.Clock) -> int:
    """Returns until when the last frame is to be held, in ticks; or 0."""
    wanted = clock.ticks.of_seconds(self._hold_until)
    slack = clock.ticks.of_seconds(_HOLD_SECONDS)
    return wanted if wanted <= clock.end + slack else 0

  def _until(
    self, end: int, frame: av.VideoFrame, aspect: float
  ) -> Iterator[tuple[float, np.ndarray]]:
    """Yields `frame` at every position before `end`, in ticks."""
    image: np.ndarray | None = None
    while self.frame_count * self._due < end * self._per:
      if image is None:
        image = self._image(frame, aspect)
      timestamp = self.frame_count * self.rate.denominator / self._per
      self.frame_count += 1
      yield timestamp, image

  def _image(self, frame: av.VideoFrame, aspect: float) -> np.ndarray:
    try:
      return self._display.image(frame, aspect)
    except (av.FFmpegError, ValueError, MemoryError) as error:
      raise VideoError(
        Reason.UNDECODABLE, f"cannot convert a frame: {error}"
      ) from error


def frames_at(
  path: str | os.PathLike[str], rate: float, short_side: int
) -> Iterator[tuple[float, np.ndarray]]:
  """Yields (seconds, uint8 [H, W, 3] RGB) of a video at a regular rate.

  See `FrameStream`. Raises VideoError, possibly only at the end: a truncated
  file is told by where it ends.
  """
  return iter(FrameStream(path, rate, short_side))


def probe(path: str | os.PathLike[str]) -> VideoProbe:
  """Reads a video's headers. Raises VideoError."""
  with _opened(os.fspath(path)) as (container, _):
    stream = video_stream(container)
    promised = video_integrity.promised_end(container, stream)
    rate = stream.average_rate or stream.guessed_rate
    return VideoProbe(
      duration=float(promised.length(_start(container))) if promised else None,
      width=stream.codec_context.width,
      height=stream.codec_context.height,
      frame_rate=float(rate) if rate else None,
      codec=stream.codec_context.name,
    )


def _decoded(
  container: av.container.InputContainer,
  stream: av.VideoStream,
  integrity: video_integrity.Integrity,
) -> Iterator[av.VideoFrame]:
  """Yields the frames of a stream in the order shown, past any damage."""
  try:
    for packet in container.demux():
      integrity.packet(packet)
      if packet.stream_index != stream.index:
        continue
      try:
        frames = packet.decode()
      except av.FFmpegError:
        integrity.fault()
        continue
      for frame in frames:
        if isinstance(frame, av.VideoFrame):
          yield frame
  except av.FFmpegError as error:
    raise VideoError(
      Reason.UNDECODABLE, f"reading stopped: {error.strerror}"
    ) from error


@contextlib.contextmanager
def _opened(
  path: str,
) -> Iterator[tuple[av.container.InputContainer, bool | None]]:
  """Opens a container; also says whether it is whole, as far as that shows.

  Raises:
    VideoError: It cannot be opened; says what is wrong with it.
  """
  with contextlib.ExitStack() as stack:
    source, head, whole = _source(path, stack)
    # libav does not know a transport stream of a few frames for one.
    stream = video_structure.is_transport_stream(head)
    try:
      # A playlist would make libav open whatever files it names.
      container: Any = av.open(
        source,
        options={"protocol_whitelist": "file"},
        format="mpegts" if stream else None,
        metadata_errors="replace",
      )
    except (av.FFmpegError, ValueError) as error:
      known = any(head[at:].startswith(magic) for at, magic in _MAGIC)
      text = getattr(error, "strerror", None) or str(error)
      raise VideoError(
        Reason.UNDECODABLE if known else Reason.NOT_A_VIDEO, text
      ) from error
    stack.enter_context(container)
    name = container.format.name
    if name in _STILL_FORMATS or name.endswith("_pipe"):
      raise VideoError(Reason.NOT_A_VIDEO, f"reads as {name}")
    yield container, whole


def _source(
  path: str, stack: contextlib.ExitStack
) -> tuple[str | IO[Any], bytes, bool | None]:
  """Returns what libav can open, its first bytes, and whether it is whole."""
  place = epath.Path(path)
  try:
    if "://" not in path:
      if not os.path.lexists(path):
        raise VideoError(Reason.MISSING, path)
      if not os.path.isfile(path):
        raise VideoError(Reason.NOT_A_FILE, path)
    file = stack.enter_context(place.open("rb"))
    head = file.read(_HEAD_BYTES)
    whole = video_structure.is_whole(file, head)
    file.seek(0)
  except FileNotFoundError as error:
    raise VideoError(Reason.MISSING, path) from error
  except OSError as error:
    raise VideoError(Reason.UNDECODABLE, f"cannot be read: {error}") from error
  if not head:
    raise VideoError(Reason.EMPTY)
  # The "file:" prefix keeps libav from taking a colon in a name for a protocol
  return (file if "://" in path else "file:" + path), head, whole


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
  """Returns the stream a player would show. Raises VideoError."""
  cover = av.stream.Disposition.attached_pic
  streams = [s for s in container.streams.video if not s.disposition & cover]
  if not streams:
    kinds = sorted({s.type for s in container.streams})
    raise VideoError(
      Reason.NO_VIDEO_STREAM, f"only {', '.join(kinds) or 'nothing'}"
    )
  main = [s for s in streams if s.disposition & av.stream.Disposition.default]
  stream = (main or streams)[0]
  context = stream.codec_context
  if context is None:
    raise VideoError(Reason.UNDECODABLE, "no decoder for its codec")
  if context.width * context.height > _MAX_PIXELS:
    raise VideoError(
      Reason.UNDECODABLE, f"frames of {context.width} x {context.height}"
    )
  return stream


def pixel_aspect(stream: av.VideoStream) -> float:
  """Returns the width of a pixel over its height."""
  ratio = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio
  return float(ratio) if ratio else 1.0


def _start(container: av.container.InputContainer) -> Fraction:
  """Returns where the file's clock starts, in seconds; 0 if undeclared."""
  return Fraction(container.start_time or 0, video_clock.MICROSECONDS)


def _limit(
  promised: video_integrity.Promise | None, start: Fraction
) -> Fraction:
  """Returns the time in seconds past which no frame may appear."""
  if promised is None:
    return Fraction(MAX_SECONDS)
  length = promised.length(start)
  # Writers count up to the last frame decoded, which is not the last shown.
  return min(Fraction(MAX_SECONDS), max(length * 2, length + 60))
