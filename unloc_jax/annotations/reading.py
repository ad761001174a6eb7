"""Reads text files so that every complaint can name file and line."""

import contextlib
import csv
import dataclasses
import gc
import io
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_LISTED = 20
_ADVICE = "correct the file"

Path = str | os.PathLike[str]
Row = dict[str, Any]


class AnnotationError(ValueError):
  """A file that cannot be used as it stands: one line that says where."""


@dataclasses.dataclass(frozen=True)
class Place:
  """Where something is written; as text, "file:line"."""

  source: str  # The file
  line: int = 0  # From 1; 0 to look for `key`, -1 where `source` says all
  text: str = ""  # What the file holds
  key: str = ""  # Beginning of an entry of a JSON object

  def __str__(self) -> str:
    """Looks for the key only now: most places are never named."""
    if self.line:
      return self.source + (f":{self.line}" if self.line > 0 else "")
    at = self.text.find(json.dumps(self.key, ensure_ascii=False))
    if at < 0:
      at = self.text.find(json.dumps(self.key))
    return f"{self.source}:{self.text.count(chr(10), 0, max(at, 0)) + 1}"


class Problems:
  """Raises at the first bad entry, or lets the reader skip it if lenient.

  Of each one left out, `skipped` has a line.
  """

  def __init__(self, lenient: bool = False, advice: str = _ADVICE):
    """Makes one; `advice` says what to do about an error."""
    self.lenient = lenient
    self.skipped: list[str] = []
    self._advice = advice

  def report(
    self, where: object, name: object, what: str, instead: str
  ) -> None:
    """States one bad entry: where it is, its id, what is wrong.

    `instead` says, as a past participle, what a lenient run does about it.
    Raises AnnotationError unless lenient.
    """
    line = f"{where}: {name}: {what}"
    if not self.lenient:
      raise AnnotationError(f"{line}; {self._advice}")
    self.skipped.append(f"{line}; {instead}")


def summarize(lines: Iterable[str], listed: int = _LISTED) -> list[str]:
  """Returns the first lines, and how many more there were."""
  lines = list(lines)
  more = len(lines) - listed
  return lines[:listed] + ([f"and {more} more"] if more > 0 else [])


@dataclasses.dataclass(frozen=True)
class Document:
  """One JSON value, and the text it was read from."""

  source: str  # The file
  text: str  # What it holds
  value: Any  # The value. Of keys given twice in an object, the first is kept.
  repeated: Sequence[str] = ()  # Keys given twice

  def place(self, key: object = "") -> Place:
    """Where the entry of that key begins."""
    return Place(self.source, 0, self.text, str(key))


def read_text(path: Path) -> str:
  """Reads UTF-8 text, with or without a byte order mark."""
  try:
    return pathlib.Path(path).read_text(encoding="utf-8-sig")
  except OSError as error:
    raise AnnotationError(f"{path}: {error.strerror}; name a file") from error
  except UnicodeDecodeError as error:
    raise AnnotationError(
      f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8"
    ) from error


def read_json(
  path: Path, text: str | None = None, *, predicted: bool = False
) -> Document:
  """Reads one JSON value; its `text` may be known.

  Submissions (`predicted`) may be very large: keys given twice are not looked
  for. Raises AnnotationError: it cannot be read; says the line.
  """
  text = read_text(path) if text is None else text
  repeated: list[str] = []

  def first_kept(pairs: list[tuple[str, Any]]) -> Row:
    made: Row = dict(pairs)
    if len(made) < len(pairs):
      made = {}
      for key, value in pairs:
        if made.setdefault(key, value) is not value:
          repeated.append(key)
    return made

  try:
    with _no_collection():
      hook = None if predicted else first_kept
      value = json.loads(text, object_pairs_hook=hook)
  except json.JSONDecodeError as error:
    raise AnnotationError(
      f"{path}:{error.lineno}: wrong JSON ({error.msg}, column {error.colno});"
      " correct the file, or fetch it again"
    ) from error
  return Document(str(path), text, value, repeated)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
  """Pauses the cycle collector, which takes as long as reading much JSON."""
  running = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if running:
      gc.enable()


@_no_collection()
def read_rows(
  path: Path, problems: Problems, text: str | None = None
) -> list[tuple[Place, Row]]:
  """Reads JSONL, or a JSON list, of objects; its `text` may be known."""
  text = read_text(path) if text is None else text
  rows: list[tuple[Place, Row]] = []
  for place, value in _values(path, text, problems):
    if isinstance(value, dict):
      rows.append((place, value))
    else:
      problems.report(place, "row", "not a JSON object", "row skipped")
  return rows


def _values(
  path: Path, text: str, problems: Problems
) -> Iterator[tuple[Place, Any]]:
  """Yields the values of JSONL, or of one list."""
  if text.lstrip().startswith("["):
    for number, value in enumerate(read_json(path, text, predicted=True).value):
      yield Place(f"{path}[{number}]", -1), value
    return
  # Not splitlines(): a caption may hold U+2028, which JSON leaves unescaped.
  for number, line in enumerate(text.split("\n"), 1):
    place = Place(str(path), number)
    try:
      if line.strip():
        yield place, json.loads(line)
    except json.JSONDecodeError as error:
      what = f"wrong JSON ({error.msg}, column {error.colno})"
      problems.report(place, "line", what, "line skipped")


def read_csv(
  path: Path, columns: Sequence[str]
) -> list[tuple[Place, dict[str, str]]]:
  """Reads a comma-separated table whose first line names the columns.

  Raises:
    AnnotationError: One of `columns` is missing, or a line has another number
      of cells than there are columns.
  """
  reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
  rows: list[tuple[Place, dict[str, str]]] = []
  for name in columns:
    if name not in (reader.fieldnames or ()):
      raise AnnotationError(
        f"{path}:1: no column {name!r}; the first line names the columns,"
        " separated by commas"
      )
  for row in reader:
    place = Place(str(path), reader.line_num)
    if None in row or None in row.values():
      raise AnnotationError(
        f"{place}: not {len(reader.fieldnames or ())} cells, as the first line"
        " has; quote texts that hold commas"
      )
    rows.append((place, row))
  return rows


def require(
  record: Any, keys: Sequence[str], place: Place, name: str = ""
) -> Any:
  """Returns `record` if it is a JSON object with these keys.

  Raises AnnotationError naming the first key missing, and its video if given.
  """
  is_object = isinstance(record, dict)
  lacking = [key for key in keys if not is_object or key not in record]
  if is_object and not lacking:
    return record
  what = f"no {lacking[0]!r}" if is_object else "not a JSON object"
  where = f"{place}: {name}" if name else str(place)
  raise AnnotationError(f"{where}: {what}; {_ADVICE}")


def first(entry: Row, keys: Sequence[str]) -> Any:
  """Returns the value under the first key that the entry has."""
  return entry[next((key for key in keys if key in entry), keys[0])]


def files_of(place: pathlib.Path, *patterns: str) -> list[pathlib.Path]:
  """Returns the annotation files: `place` itself, or those in the folder.

  The first pattern that matches any file counts. Raises AnnotationError: there
  is no file.
  """
  if place.is_file():
    return [place]
  for pattern in patterns:
    found = sorted(place.glob(pattern)) if place.is_dir() else []
    if found:
      return found
  raise AnnotationError(
    f"{place}: no annotation file {patterns[0]} there; give the folder that"
    " holds the official files"
  )
