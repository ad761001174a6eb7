"""Reads text files so that every complaint can name file and line."""

import codecs
import contextlib
import csv
import dataclasses
import fnmatch
import gc
import io
import json
import math
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

ADVICE = "correct the file"
HELP = "see `python -m unloc_jax.metrics --help`"
# What a value of another type than is due may raise where it is used.
WRONG = (KeyError, TypeError, ValueError, OverflowError)
MARKS = ",;\t|"  # What may part the cells of a table; the first that fits
SPLIT_NAMES = {
  "training": "train",
  "validation": "val",
  "validate": "val",
  "testing": "test",
  "val_1": "val",
  "val_2": "test",
}
_LISTED = 20
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
csv.field_size_limit(2**31 - 1)

Path = str | os.PathLike[str]
Row = dict[str, Any]


class AnnotationError(ValueError):
  """A file that cannot be used as it stands: one line that says where."""


def fault(where: object, what: object, do: str = ADVICE) -> AnnotationError:
  """The error that says where, what is wrong, and what to do."""
  return AnnotationError(f"{where}: {what}; {do}")


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

  Of each one left out, `skipped` has a line; `advice` is for the error.
  """

  def __init__(self, lenient: bool = False, advice: str = ADVICE):
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
    if not self.lenient:
      raise fault(f"{where}: {name}", what, self._advice)
    self.skipped.append(f"{where}: {name}: {what}; {instead}")


def summarize(lines: Iterable[str], listed: int = _LISTED) -> list[str]:
  """Returns the first lines, and how many more there were."""
  lines = list(lines)
  more = len(lines) - listed
  return lines[:listed] + ([f"and {more} more"] if more > 0 else [])


def left_out(classes: Iterable[str]) -> list[str]:
  """A note on classes that the scored videos do not show, if there are any."""
  names = sorted(classes)
  if not names:
    return []
  named = ", ".join(summarize(names, 5))
  return [f"{len(names)} classes not in the truth, nor in the mean: {named}"]


@dataclasses.dataclass(frozen=True)
class Document:
  """One JSON value, and the text it was read from."""

  source: str  # The file
  text: str  # What it holds
  value: Any  # The value. Of keys given twice in an object, the first is kept.
  repeated: Sequence[str] = ()  # Keys given twice with different values

  def place(self, key: object = "") -> Place:
    """Where the entry of that key begins."""
    return Place(self.source, 0, self.text, str(key))

  def videos(self, *keys: str, do: str = HELP) -> Row:
    """The object of videos, under one of these keys or not.

    Raises AnnotationError if there is none; `do` says what to do then.
    """
    value = self.value
    for key in keys:
      if isinstance(value, dict) and isinstance(value.get(key), dict):
        value = value[key]
    if not isinstance(value, dict):
      raise fault(self.place(), "not a JSON object of videos", do)
    return value

  def repeated_in(self, entries: Row) -> list[str]:
    """Entries given twice. Raises AnnotationError if other keys are."""
    for key in self.repeated:
      if key not in entries:
        raise fault(self.place(key), f"{key!r} twice in one object")
    return list(self.repeated)


def read_text(path: Path) -> str:
  r"""Reads UTF-8, or UTF-16 that has its mark; lines end with \n."""
  try:
    data = pathlib.Path(path).read_bytes()
  except OSError as error:
    raise fault(path, error.strerror, "name a file") from error
  wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
  try:
    text = data.decode("utf-16" if wide else "utf-8-sig")
    at = text.find("\0")
    what = "a NUL character is no text"
    line = text.count("\n", 0, max(at, 0)) + 1
  except UnicodeDecodeError as error:
    at, line = error.start, data.count(b"\n", 0, error.start) + 1
    what = f"byte {data[at]:#04x} is not UTF-8 text"
  if at >= 0:
    raise fault(f"{path}:{line}", what, "save the file as UTF-8")
  return text.replace("\r\n", "\n").replace("\r", "\n")


class _FirstKept(list[str]):
  """Makes objects of which the first of equal keys counts; lists the others.

  Those with the same value are no fault.
  """

  def __call__(self, pairs: list[tuple[str, Any]]) -> Row:
    made: Row = dict(pairs)
    if len(made) < len(pairs):
      made = {}
      for key, value in pairs:
        if made.setdefault(key, value) != value:
          self.append(key)
    return made


def _parse(text: str, make: _FirstKept | None) -> tuple[Any, str, int]:
  """Returns a JSON value; or what is wrong with it, and in which line.

  Half an emoji, which no encoding can hold, is taken out.
  """
  try:
    value = json.loads(text, object_pairs_hook=make)
    return _mended(value) if _ESCAPED.search(text) else value, "", 0
  except json.JSONDecodeError as error:
    before = text[: error.pos].rstrip()
    what = error.msg
    if before.endswith(",") and text[error.pos : error.pos + 1] in ("]", "}"):
      what = f"a comma before {text[error.pos]}"
    return None, f"wrong JSON ({what}, column {error.colno})", error.lineno
  except RecursionError:
    return None, "wrong JSON (nested too deeply)", 1
  except ValueError:
    return None, "wrong JSON (a number of thousands of digits)", 1


def _mended(value: Any) -> Any:
  if isinstance(value, str):
    return _SURROGATE.sub("", value)
  if isinstance(value, list):
    return list(map(_mended, value))
  if isinstance(value, dict):
    return {_mended(key): _mended(each) for key, each in value.items()}
  return value


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
def read_json(
  path: Path, text: str | None = None, *, predicted: bool = False
) -> Document:
  """Reads one JSON value; its `text` may be known.

  Submissions (`predicted`) may be very large: keys given twice are not looked
  for. Raises AnnotationError: it cannot be read; says the line.
  """
  text = text or read_text(path)
  repeated = _FirstKept()
  value, what, line = _parse(text, None if predicted else repeated)
  if what:
    raise fault(f"{path}:{line}", what, f"{ADVICE}, or fetch it again")
  return Document(str(path), text, value, repeated)


@_no_collection()
def read_rows(
  path: Path, problems: Problems, text: str | None = None
) -> list[tuple[Place, Row]]:
  """Reads JSONL, or a JSON list, of objects; its `text` may be known."""
  rows: list[tuple[Place, Row]] = []
  for place, value, what in _values(path, text or read_text(path)):
    if isinstance(value, dict) and not what:
      rows.append((place, value))
    else:
      name, what = ("line", what) if what else ("row", "not a JSON object")
      problems.report(place, name, what, f"{name} skipped")
  return rows


def _values(path: Path, text: str) -> Iterator[tuple[Place, Any, str]]:
  """Yields the values of JSONL, or of one list, and what is wrong with each."""
  if text.lstrip().startswith("["):
    document = read_json(path, text)
    document.repeated_in({})
    for number, value in enumerate(document.value):
      yield Place(f"{path}[{number}]", -1), value, ""
    return
  # Not splitlines(): a caption may hold U+2028, which JSON leaves unescaped.
  for number, line in enumerate(text.split("\n"), 1):
    if line.strip():
      value, what, _ = _parse(line, None)
      # Most rows have as many keys as they have marks of one.
      if isinstance(value, dict) and line.count('":') != len(value):
        repeated = _FirstKept()
        value, what, _ = _parse(line, repeated)
        if repeated:
          what = f"{repeated[0]!r} twice in one object"
      yield Place(str(path), number), value, what


def read_csv(
  path: Path, columns: Sequence[str], in_lower_case: bool = True
) -> list[tuple[Place, dict[str, str]]]:
  """Reads a table whose first line names the columns, among them `columns`.

  The first of `MARKS` that parts that line into these columns parts the cells.
  Lines without a cell are passed over. Names of other columns are given in
  lower case, or as they are written. Raises AnnotationError: a column is
  missing, a line has another number of cells, or a quote is left open.
  """
  text = read_text(path)
  mark, names = _header(path, text.partition("\n")[0], columns, in_lower_case)
  reader = csv.reader(
    io.StringIO(text, newline=""),
    delimiter=mark,
    skipinitialspace=True,
    strict=True,
  )
  rows: list[tuple[Place, dict[str, str]]] = []
  line = 1
  quoting = "quote texts that hold commas, and double the quotes in them"
  try:
    for cells in reader:
      place, line = Place(str(path), line), reader.line_num + 1
      if place.line == 1 or not any(cells):
        continue
      row = dict(zip(names, cells, strict=False))
      if len(cells) != len(names) or row.pop("", ""):
        what = f"{len(cells)} cells, but the first line has {len(names)}"
        raise fault(place, what, quoting)
      more = "\n".join(cells).split("\n") if line > place.line + 1 else []
      if any(each.count(mark) >= len(names) - 1 for each in more):
        what = "a quoted text runs over other rows"
        raise fault(place, what, f"close the quote; {quoting}")
      rows.append((place, row))
  except csv.Error as error:
    raise fault(f"{path}:{line}", f"wrong CSV ({error})", quoting) from error
  return rows


def _header(
  path: Path, line: str, columns: Sequence[str], in_lower_case: bool
) -> tuple[str, list[str]]:
  """The mark between cells, and the names of columns, `columns` among them."""
  for mark in MARKS:
    cells = next(csv.reader([line], delimiter=mark), [])
    names = [name.strip() for name in cells]
    names = [
      name.lower() if in_lower_case or name.lower() in columns else name
      for name in names
    ]
    if set(columns) <= set(names):
      twice = sorted({each for each in names if names.count(each) > 1} - {""})
      if twice:
        raise fault(f"{path}:1", f"two columns {twice[0]!r}", "rename one")
      return mark, names
  names = [each.strip().lower() for each in re.split(r"[,;\t|]", line)]
  lacking = next((each for each in columns if each not in names), columns[0])
  raise fault(
    f"{path}:1",
    f"no column {lacking!r} in {line[:60]!r}",
    "the first line names the columns, separated by commas",
  )


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
  raise fault(f"{place}: {name}" if name else place, what)


def name_of(value: Any) -> str:
  """A text or whole number as a name, "" for what is neither.

  Names that differ by spaces alone are one.
  """
  if isinstance(value, float) and value.is_integer():
    value = int(value)
  if isinstance(value, bool) or not isinstance(value, str | int):
    return ""
  return " ".join(str(value).split())


def is_blank(text: str) -> bool:
  """Whether nothing of a text can be seen: not even a joiner without width."""
  return not any(c.isprintable() and not c.isspace() for c in text)


def number(value: Any) -> float:
  """A number or a numeral as float; raises one of `WRONG` for what is neither.

  True is no number, and 1_0, which Python reads as 10, no numeral.
  """
  if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
    raise TypeError
  return float(value)


def as_seconds(value: Any) -> float | None:
  """Returns a finite number of seconds, or None."""
  try:
    seconds = number(value)
  except WRONG:
    return None
  return seconds if math.isfinite(seconds) else None


def as_window(window: Any) -> tuple[float, float] | None:
  """Returns (start, end) in seconds, or None."""
  if not isinstance(window, (list, tuple)) or len(window) != 2:
    return None
  start, end = as_seconds(window[0]), as_seconds(window[1])
  return None if start is None or end is None else (start, end)


def split_name(text: Any, where: object) -> str:
  """Returns our name of a split: train, val, test, or the file's own.

  Raises AnnotationError: it cannot name files, or `all` of a dataset.
  """
  name = text.strip().lower() if isinstance(text, str) else ""
  name = SPLIT_NAMES.get(name, name)
  if not re.fullmatch(r"\w[\w-]*", name, re.ASCII) or name == "all":
    what = f"{text!r} cannot name a split"
    raise fault(where, what, "use letters, digits, _ and -, and not `all`")
  return name


def first(entry: Row, keys: Sequence[str]) -> Any:
  """Returns the value under the first key that the entry has, else None."""
  return next((entry[key] for key in keys if key in entry), None)


def files_of(place: pathlib.Path, *patterns: str) -> list[pathlib.Path]:
  """Returns the annotation files: `place` itself, or those in the folder.

  The first pattern that matches any file counts, in any case of letters; one
  may be several with spaces between. Hidden files are what systems leave beside
  others (`._train.json`). Raises AnnotationError: there is no file.
  """
  if place.is_file():
    return [place]
  held = sorted(place.glob("[!.]*")) if place.is_dir() else []
  for pattern in patterns:
    found = [
      path
      for path in held
      for each in pattern.lower().split()
      if fnmatch.fnmatchcase(path.name.lower(), each)
    ]
    if found:
      return found
  raise fault(
    place,
    f"no annotation file {patterns[0]} there",
    "give the folder that holds the official files",
  )
