"""Figures beside the code they were measured with: benchmarks/results/*.json.

A script that measures calls `write`; `python -m benchmarks.report` makes the
tables of README and docs of these files, and says which are older than the
code they measure.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

from unloc_jax import files

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclasses.dataclass(frozen=True)
class Record:
  """One table, and how it came about."""

  command: str  # That made it, from the repository's root
  measures: tuple[str, ...]  # Files and folders whose code it depends on
  digest: str  # Of these, see `digest`
  seeds: tuple[int, ...]  # () where nothing is drawn
  header: tuple[str, ...]  # Names of columns
  rows: tuple[tuple[Any, ...], ...]
  date: str
  machine: str
  commit: str

  @property
  def is_current(self) -> bool:
    """Whether the code is still what it was measured with."""
    return self.digest == digest(self.measures)

  def markdown(self) -> str:
    """The table, and a line that says where it is from."""
    table = markdown(self.header, self.rows)
    seeds = f"seeds {', '.join(map(str, self.seeds))}; " if self.seeds else ""
    origin = f"{self.date}, {self.machine}, commit {self.commit}; {seeds}"
    return f"{table}\n\n{origin}`{self.command}`"


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
  """A table."""
  lines = [header, ["---"] * len(header), *rows]
  return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def digest(measures: Sequence[str]) -> str:
  """Hash of the Python files at and below paths of the repository."""
  found = hashlib.sha256()
  for each in measures:
    path = ROOT / each
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
      found.update(file.relative_to(ROOT).as_posix().encode())
      found.update(file.read_bytes())
  return found.hexdigest()[:16]


def machine() -> str:
  """Processor and cores of this host."""
  info = pathlib.Path("/proc/cpuinfo")
  lines = info.read_text().splitlines() if info.exists() else []
  names = [line.split(":", 1)[1] for line in lines if "model name" in line]
  kind = " ".join(names[0].split()) if names else platform.machine()
  return f"{os.cpu_count()} cores of {kind}"


def write(
  name: str,
  command: str,
  measures: Sequence[str],
  header: Sequence[str],
  rows: Sequence[Sequence[Any]],
  seeds: Sequence[int] = (),
  folder: pathlib.Path = RESULTS,
) -> None:
  """Keeps a table as NAME.json. Raises OSError."""
  commit = subprocess.run(
    ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
    capture_output=True,
    text=True,
    check=False,
  ).stdout.strip()
  record = Record(
    command=command,
    measures=tuple(measures),
    digest=digest(measures),
    seeds=tuple(seeds),
    header=tuple(header),
    rows=tuple(map(tuple, rows)),
    date=datetime.date.today().isoformat(),
    machine=machine(),
    commit=commit or "unknown",
  )
  folder.mkdir(parents=True, exist_ok=True)
  files.write_json(folder / f"{name}.json", dataclasses.asdict(record))


def read(path: pathlib.Path) -> Record:
  """Reads a table. Raises ValueError naming a file that is none."""
  try:
    raw = json.loads(path.read_text())
    for key in ("measures", "seeds", "header"):
      raw[key] = tuple(raw[key])
    return Record(**{**raw, "rows": tuple(map(tuple, raw["rows"]))})
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f"{path}: {error}; measure it again") from error
