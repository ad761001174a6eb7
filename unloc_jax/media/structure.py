"""Is a file as long as its container says? Told from sizes, decoding nothing.

For containers whose headers do not tell how many pictures there are.
"""

import struct
from collections.abc import Iterator
from typing import IO, Any

# A packet of an MPEG transport stream, in bytes, and where in it a "G" is: on
# discs a time of four bytes precedes it.
_TS_PACKETS = ((188, 0), (192, 4))
# What precedes a picture of an animated GIF.
_GIF_PICTURE = b"\x21\xf9\x04"
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_OPEN = 0xFFFFFFFF
# Bytes by which some files begin, and by which their readers end.
_HEADERS = (
  *((b"FLV\x01", 9), (b"0&\xb2u", 16), (b"\x06\x0e\x2b\x34", 14)),
  (_EBML, 12),
)
# Writers count the header in or leave out the padding.
_RIFF_SLACK = 64


def ts_packet(head: bytes) -> int:
  """Bytes of a packet of a transport stream that begins so; 0: it is none."""
  for size, place in _TS_PACKETS:
    if head[place : place + 1] == head[size + place : size + place + 1] == b"G":
      return size
  return 0


def is_whole(file: IO[Any], head: bytes) -> bool | None:
  """Whether a file with these first bytes goes on as its container says.

  None where nothing tells, as in a transport stream that ends with a packet.
  The file's position is lost.
  """
  size = file.seek(0, 2)
  if packet := ts_packet(head):
    return False if size % packet else None
  if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
    return _is_whole_avi(file, size)
  if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
    length = int.from_bytes(head[4:8], "little")
    # What is sent while it is recorded does not say how long it will be.
    return None if length in (0, _OPEN) else length <= size + _RIFF_SLACK
  if head.startswith(b"GIF8"):
    return _is_whole_gif(file)
  if head.startswith(_EBML):
    end = _matroska_end(head)
    return None if end is None else end <= size
  if head[4:8] == b"ftyp":
    return _are_whole_fragments(file, size)
  return None


def is_joined(file: IO[Any], head: bytes) -> bool:
  """Whether a second film follows that no player would come to."""
  for start, length in _HEADERS:
    if head.startswith(start):
      end = _matroska_end(head) if start == _EBML else None
      file.seek(end or length)
      if end:
        return file.read(len(_EBML)) == _EBML
      return _holds(file, head[:length])
  if head[4:8] != b"ftyp":
    return False
  kinds = [kind for _, kind, _ in _boxes(file)]
  return kinds.count(b"moov") > 1 and b"moof" not in kinds


def _boxes(file: IO[Any]) -> Iterator[tuple[int, bytes, int]]:
  """Yields the place, kind and length of each box of an MP4; 0: to its end."""
  size, place = file.seek(0, 2), 0
  while place + 8 <= size:
    file.seek(place)
    length, kind = struct.unpack(">I4s", file.read(8))
    if length == 1:
      length = int.from_bytes(file.read(8), "big")
    yield place, kind, length
    if length < 8 or not kind.isalnum():
      return
    place += length


def _are_whole_fragments(file: IO[Any], size: int) -> bool | None:
  """Follows the boxes of an MP4 that was written in fragments.

  One without is told by the table of its pictures.
  """
  end, fragments = 0, False
  for place, kind, length in _boxes(file):
    fragments |= kind == b"moof"
    if not length and kind == b"mdat":
      return None
    if length < 8 or not kind.isalnum():
      file.seek(place)
      return False if fragments and _holds(file, b"moof") else None
    end = place + length
  return False if fragments and end > size else None


def _holds(file: IO[Any], mark: bytes) -> bool:
  """Whether what is left of a file holds some bytes."""
  before = b""
  while part := file.read(1 << 20):
    if mark in before + part:
      return True
    before = part[-len(mark) :]
  return False


def _matroska_end(head: bytes) -> int | None:
  """Reads where the segment, which is all of the file, ends."""
  header, used = _ebml_size(head, len(_EBML))
  place = len(_EBML) + used + (header or 0)
  if header is None or head[place : place + len(_SEGMENT)] != _SEGMENT:
    return None
  place += len(_SEGMENT)
  length, used = _ebml_size(head, place)
  # What is sent while it is recorded does not say how long it will be.
  return None if length is None else place + used + length


def _ebml_size(head: bytes, place: int) -> tuple[int | None, int]:
  """Returns a size, None where it is left open, and its own bytes."""
  first = head[place] if place < len(head) else 0
  used = 9 - first.bit_length()
  ones = (1 << 7 * used) - 1
  number = int.from_bytes(head[place : place + used], "big") & ones
  return (None if not first or number == ones else number), used


def _is_whole_gif(file: IO[Any]) -> bool:
  """Follows the blocks of a GIF to the one that ends it."""
  file.seek(10)
  _skip_colours(file, file.read(3)[:1])
  while kind := file.read(1):
    if kind == b";":
      # Within garbage this may be any byte: no picture may follow the end.
      return not _holds(file, _GIF_PICTURE)
    if kind not in b"!,":
      return False
    if kind == b",":
      _skip_colours(file, file.read(9)[8:])
    # Of an image this is the size of its codes, of others what they are.
    file.read(1)
    while (length := file.read(1)) and length[0]:
      file.seek(length[0], 1)
  return False


def _skip_colours(file: IO[Any], flags: bytes) -> None:
  if flags and flags[0] & 0x80:
    file.seek(3 << (flags[0] & 7) + 1, 1)


def _is_whole_avi(file: IO[Any], size: int) -> bool | None:
  """Follows the RIFF lists, of which a long AVI has several."""
  end, indexed = 0, False
  for place, tag, length in _chunks(file, 0, size):
    if tag != b"RIFF":
      break
    if not length:
      return None  # A recorder that did not come to its end.
    end = place + 8 + length + length % 2
    # Only short AVIs have the index of all chunks, the empty ones too, behind
    # their pictures.
    chunks = _chunks(file, 12, min(size, length + 8))
    indexed |= place > 0 or any(tag == b"idx1" for _, tag, _ in chunks)
  return False if end > size + _RIFF_SLACK else indexed or None


def _chunks(
  file: IO[Any], place: int, end: int
) -> Iterator[tuple[int, bytes, int]]:
  """Yields the place, tag and length of each chunk of a RIFF file."""
  while place + 8 <= end:
    file.seek(place)
    tag, length = struct.unpack("<4sI", file.read(8))
    yield place, tag, length
    place += 8 + length + length % 2
