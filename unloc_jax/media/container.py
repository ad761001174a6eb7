"""Opens a video file, and picks the stream that a player would show."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any

import av
from etils import epath

from unloc_jax.media import structure
from unloc_jax.media.errors import Reason, VideoError

# 67 megapixels: twice 8K. Beyond it a damaged header is likelier than a film.
_MAX_PIXELS = 1 << 26
# Pictures, texts, and lists of other files.
_NO_FILMS = (
  *("image2", "tty", "hls", "dash", "sdp", "imf", "concat", "ffmetadata"),
  *("lrc", "srt"),
)
# What containers we know begin with; tells a broken video from no video.
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_EBML, _MPEG, _ASF = b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"0&\xb2u"
_MAGIC = (_EBML, b"RIFF", b"FLV", b"OggS", _MPEG, _ASF)
_HEAD_BYTES = 256


@contextlib.contextmanager
def opened(
  path: str,
) -> Iterator[tuple[av.container.InputContainer, bool | None]]:
  """Opens a container; also says whether it is whole, as far as that shows.

  The path is of any file system. Raises VideoError, which says what is wrong.
  """
  with contextlib.ExitStack() as stack:
    source, head, whole = _source(path, stack)
    try:
      # A playlist would make libav open whatever files it names; and it does
      # not know a transport stream of a few frames for one.
      container: Any = av.open(
        source,
        options={"protocol_whitelist": "file"},
        format="mpegts" if structure.ts_packet(head) else None,
        metadata_errors="replace",
      )
    except (av.FFmpegError, ValueError) as error:
      known = head[4:8] in _BOXES or head.startswith(_MAGIC)
      raise VideoError(
        Reason.UNDECODABLE if known else Reason.NOT_A_VIDEO,
        getattr(error, "strerror", None) or str(error),
      ) from error
    stack.enter_context(container)
    name = container.format.name
    if name in _NO_FILMS or name.endswith("_pipe"):
      raise VideoError(Reason.NOT_A_VIDEO, f"reads as {name}")
    try:
      yield container, whole
    except av.FFmpegError as error:
      text = error.strerror or str(error)
      raise VideoError(Reason.UNDECODABLE, text) from error


def _source(
  path: str, stack: contextlib.ExitStack
) -> tuple[str | IO[Any], bytes, bool | None]:
  """Returns what libav can open, its first bytes, and whether it is whole."""
  is_remote = "://" in path and not os.path.lexists(path)
  if not is_remote and not os.path.isfile(path):
    is_there = os.path.lexists(path)
    raise VideoError(Reason.NOT_A_FILE if is_there else Reason.MISSING, path)
  try:
    if not is_remote and not os.path.getsize(path):
      raise VideoError(Reason.EMPTY)  # Files of /proc may wait for ever.
    file = stack.enter_context(epath.Path(path).open("rb"))
    head = file.read(_HEAD_BYTES)
    whole = structure.is_whole(file, head)
    is_joined = structure.is_joined(file, head)
    file.seek(0)
  except FileNotFoundError as error:
    raise VideoError(Reason.MISSING, path) from error
  except KeyError as error:
    raise VideoError(Reason.NOT_A_FILE, "a URL; download it first") from error
  except Exception as error:
    # Remote file systems have kinds of their own.
    if isinstance(error, VideoError) or not (
      is_remote or isinstance(error, OSError)
    ):
      raise
    raise VideoError(Reason.UNDECODABLE, f"cannot be read: {error}") from error
  if not head:
    raise VideoError(Reason.EMPTY)
  if is_joined:
    raise VideoError(
      Reason.UNDECODABLE,
      "a second film follows, which players ignore; join them anew, or cut it",
    )
  # The "file:" prefix keeps libav from taking a colon in a name for a protocol
  return (file if is_remote else "file:" + path), head, whole


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
  """Returns the stream a player would show. Raises VideoError.

  Of those that can be decoded and move the default one, the longest, the
  largest, the first.
  """
  kinds = av.stream.Disposition
  pictures = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image
  streams = [s for s in container.streams.video if not s.disposition & pictures]
  if not streams:
    others = sorted({s.type for s in container.streams})
    raise VideoError(
      Reason.NO_VIDEO_STREAM, f"only {', '.join(others) or 'nothing'}"
    )
  most = max(2, *map(_count, streams))

  def rank(stream: av.VideoStream) -> tuple[bool, bool, bool, bool, int]:
    count, context = _count(stream) or most, stream.codec_context
    size = context.width * context.height if context else 0
    default = bool(stream.disposition & kinds.default)
    return context is not None, count > 1, default, 2 * count >= most, size

  stream = max(streams, key=rank)
  context = stream.codec_context
  if context is None:
    raise VideoError(Reason.UNDECODABLE, "no decoder for its codec")
  if context.width * context.height > _MAX_PIXELS:
    raise VideoError(
      Reason.UNDECODABLE, f"frames of {context.width} x {context.height}"
    )
  return stream


def _count(stream: av.VideoStream) -> int:
  """Frames of a stream, as far as its container says; 0 where it does not."""
  seconds = tagged_seconds(stream.metadata)
  # libav gives Matroska's first track the length of the file.
  if seconds is None and stream.duration and stream.time_base:
    seconds = stream.duration * stream.time_base
  rate = stream.average_rate or stream.guessed_rate or 1
  return stream.frames or round((seconds or 0) * rate)


def tagged_seconds(metadata: dict[str, str]) -> Fraction | None:
  """Reads the HH:MM:SS.n tag by which Matroska gives a track's end."""
  try:
    hours, minutes, seconds = metadata["DURATION"].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
  except (KeyError, ValueError, ZeroDivisionError):
    return None
