"""Reads text files so that every later complaint can name file and line."""

import bisect
import contextlib
import dataclasses
import gc
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from unloc_jax.metrics.problems import MetricsError, Problems

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Rows:
  """Objects of a list, and where each of them is written.

  Attributes:
    source: File name, or what the list is.
    rows: JSON objects.
    lines: Line number of each, from 1.
  """

  source: str
  rows: Sequence[Row]
  lines: Sequence[int]

  def where(self, index: int) -> str:
    return f"{self.source}:{self.lines[index]}"


@dataclasses.dataclass(frozen=True)
class Document:
  """One JSON value and the text it was read from ("" if from none)."""

  source: str
  text: str
  value: Any

  def where(self, name: object) -> str:
    """Returns the file and the line on which the key `name` begins."""
    at = self.text.find(json.dumps(str(name), ensure_ascii=False))
    if at < 0:
      at = self.text.find(json.dumps(str(name)))
    line = self.text.count("\n", 0, max(at, 0)) + 1
    return f"{self.source}:{line}"


def as_rows(rows: "Rows | Sequence[Row]", source: str) -> Rows:
  """Wraps rows held in memory; their number stands for the line."""
  if isinstance(rows, Rows):
    return rows
  return Rows(source, rows, range(1, len(rows) + 1))


def as_document(value: Any, source: str) -> Document:
  """Wraps a JSON value held in memory."""
  return value if isinstance(value, Document) else Document(source, "", value)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
  """Pauses the cycle collector, which takes as long as reading much JSON."""
  running = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if running:
      gc.enable()


def read_text(path: str | os.PathLike[str]) -> str:
  """Reads UTF-8 text. Raises MetricsError on a file that is not."""
  try:
    return pathlib.Path(path).read_text(encoding="utf-8-sig")
  except OSError as error:
    raise MetricsError(f"{path}: {error.strerror}; name a file") from error
  except UnicodeDecodeError as error:
    raise MetricsError(
      f"{path}: byte {error.start} is not UTF-8 text; give a JSON or text file"
    ) from error


def read_json(path: str | os.PathLike[str]) -> Document:
  """Reads one JSON value."""
  text = read_text(path)
  try:
    with no_collection():
      return Document(str(path), text, json.loads(text))
  except json.JSONDecodeError as error:
    raise MetricsError(
      f"{path}:{error.lineno}: wrong JSON ({error.msg}, column {error.colno});"
      " correct the file"
    ) from error


def read_rows(path: str | os.PathLike[str], problems: Problems) -> Rows:
  """Reads JSONL, or a JSON list, of objects."""
  text = read_text(path)
  if text.lstrip().startswith("["):
    return _list_rows(str(path), text, problems)
  rows, lines = [], []
  for number, line in enumerate(text.split("\n"), start=1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
    except json.JSONDecodeError as error:
      what = f"wrong JSON ({error.msg}, column {error.colno})"
      problems.report(f"{path}:{number}", "line", what, "line skipped")
      continue
    if not isinstance(row, dict):
      problems.report(
        f"{path}:{number}", "line", "not a JSON object", "line skipped"
      )
      continue
    rows.append(row)
    lines.append(number)
  return Rows(str(path), rows, lines)


def _list_rows(path: str, text: str, problems: Problems) -> Rows:
  """Decodes the objects of one JSON list, keeping the line of each."""
  decoder = json.JSONDecoder()
  breaks = [at for at, letter in enumerate(text) if letter == "\n"]
  rows: list[Row] = []
  lines: list[int] = []
  at = text.index("[") + 1
  while True:
    while at < len(text) and text[at] in " \t\r\n,":
      at += 1
    line = bisect.bisect_left(breaks, at) + 1
    if at >= len(text):
      raise MetricsError(
        f"{path}:{line}: wrong JSON (the list is not closed); correct the file"
      )
    if text[at] == "]":
      return Rows(path, rows, lines)
    try:
      row, at = decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
      raise MetricsError(
        f"{path}:{error.lineno}: wrong JSON ({error.msg}); correct the file"
      ) from error
    if not isinstance(row, dict):
      problems.report(
        f"{path}:{line}", "entry", "not a JSON object", "entry skipped"
      )
      continue
    rows.append(row)
    lines.append(line)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
  """Writes JSON whole or not at all: beside, then renamed."""
  _write(path, json.dumps(value, indent=4, default=_plain))


def write_rows(path: str | os.PathLike[str], rows: Sequence[Row]) -> None:
  """Writes JSONL, such as a submission, whole or not at all."""
  _write(path, "".join(f"{json.dumps(row, default=_plain)}\n" for row in rows))


def _plain(value: Any) -> Any:
  """Python's own numbers and lists for NumPy's."""
  if isinstance(value, np.generic | np.ndarray):
    return value.tolist()
  raise TypeError(f"{type(value).__name__} is no JSON value")


def _write(path: str | os.PathLike[str], text: str) -> None:
  target = pathlib.Path(path)
  beside = target.with_name(f".{target.name}.{os.getpid()}.partial")
  try:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, target)
  except OSError as error:
    raise MetricsError(
      f"{path}: {error.strerror}; name a place that can be written"
    ) from error
