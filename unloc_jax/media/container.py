"""Opens a video file, and picks the stream that a player would show."""

import contextlib
import os
from collections.abc import Iterator
from typing import IO, Any

import av
from etils import epath

from unloc_jax.media import structure
from unloc_jax.media.errors import Reason, VideoError

# 67 megapixels: twice 8K. Beyond it a damaged header is likelier than a film.
_MAX_PIXELS = 1 << 26
_STILL_FORMATS = ("image2", "tty", "hls", "concat", "ffmetadata", "lrc", "srt")
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
    if name in _STILL_FORMATS or name.endswith("_pipe"):
      raise VideoError(Reason.NOT_A_VIDEO, f"reads as {name}")
    yield container, whole


def _source(
  path: str, stack: contextlib.ExitStack
) -> tuple[str | IO[Any], bytes, bool | None]:
  """Returns what libav can open, its first bytes, and whether it is whole."""
  is_remote = "://" in path
  if not is_remote and not os.path.isfile(path):
    is_there = os.path.lexists(path)
    raise VideoError(Reason.NOT_A_FILE if is_there else Reason.MISSING, path)
  try:
    file = stack.enter_context(epath.Path(path).open("rb"))
    head = file.read(_HEAD_BYTES)
    whole = structure.is_whole(file, head)
    file.seek(0)
  except FileNotFoundError as error:
    raise VideoError(Reason.MISSING, path) from error
  except OSError as error:
    raise VideoError(Reason.UNDECODABLE, f"cannot be read: {error}") from error
  if not head:
    raise VideoError(Reason.EMPTY)
  # The "file:" prefix keeps libav from taking a colon in a name for a protocol
  return (file if is_remote else "file:" + path), head, whole


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
  """Returns the stream a player would show. Raises VideoError."""
  kinds = av.stream.Disposition
  streams = [
    s for s in container.streams.video if not s.disposition & kinds.attached_pic
  ]
  if not streams:
    others = sorted({s.type for s in container.streams})
    raise VideoError(
      Reason.NO_VIDEO_STREAM, f"only {', '.join(others) or 'nothing'}"
    )
  main = [s for s in streams if s.disposition & kinds.default]
  stream = (main or streams)[0]
  context = stream.codec_context
  if context is None:
    raise VideoError(Reason.UNDECODABLE, "no decoder for its codec")
  if context.width * context.height > _MAX_PIXELS:
    raise VideoError(
      Reason.UNDECODABLE, f"frames of {context.width} x {context.height}"
    )
  return stream
