"""What is fuzzed: small valid files, who reads them, what must hold then.

`fuzz_files/WHAT/TARGET` holds annotations, or a submission: predictions `p.*`
and truth `g.*`, which may be one file.
"""

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from unloc_jax.annotations import AnnotationSet, benchmark
from unloc_jax.annotations.reading import AnnotationError
from unloc_jax.config import check, schema, stored
from unloc_jax.metrics import __main__ as command

Files = Mapping[str, bytes]  # Name -> content
_FOLDER = pathlib.Path(__file__).parent / "fuzz_files"
# The benchmarks of targets that have another name.
_BENCHMARKS = {
  "bsn": "anet",
  "kinetics": "kinetics400",
  "custom_csv": "custom",
  "custom_jsonl": "custom",
  "results": "anet_captions",
  "frames": "segmentation",
  "npz": "segmentation",
  "classes_csv": "classification",
  "classes_json": "classification",
}


@dataclasses.dataclass(frozen=True)
class Target:
  """One reader."""

  files: Files
  run: Callable[[pathlib.Path], object]  # Reads a folder of mutated files
  allowed: type[Exception] = AnnotationError  # How it refuses


def _sound(found: AnnotationSet) -> None:
  """What every reader promises; whatever is left out is counted."""
  ids = [(video.split, video.video_id) for video in found.videos]
  assert len(set(ids)) == len(ids), "a video twice"
  for video in found.videos:
    json.dumps(dataclasses.asdict(video)).encode()
    for query in video.queries:
      assert query.text.strip().encode(), "no text"
      assert not found.classes or found.classes[int(query.id)] == query.text
    for s in video.segments:
      assert 0 <= s.start < s.end <= (video.duration or s.end), "no segment"
  for split, notes in found.splits.items():
    queries = sum(len(v.queries) for v in found.videos if v.split == split)
    if not notes.dropped["duplicate video id"]:
      gone = ("empty caption", "query without a usable segment")
      lost = sum(notes.dropped[why] for why in gone)
      assert queries + lost == notes.queries, "a query lost silently"


def _reads(name: str, files: Files) -> Target:
  """A benchmark's annotations."""

  def run(folder: pathlib.Path) -> None:
    found = benchmark(name).read(folder)
    _sound(found)
    if name == "custom":
      _read_back(found, folder)

  return Target(files, run)


def _read_back(found: AnnotationSet, folder: pathlib.Path) -> None:
  """Writes what was read as both forms, which must say the same again."""

  def rows(of: AnnotationSet) -> list[tuple[Any, ...]]:
    return [
      (v.video_id, v.split, s.start, s.end, v.queries[s.query].text)
      for v in of.videos
      for s in v.segments
    ]

  kept = [
    (*row, text.replace("\r\n", "\n").replace("\r", "\n"))
    for *row, text in rows(found)
  ]
  names = ("video", "split", "start", "end", "text")
  table = io.StringIO(newline="")
  csv.writer(table).writerows([names, *rows(found)])
  (folder / "again.csv").write_bytes(table.getvalue().encode())
  with contextlib.suppress(AnnotationError):  # E.g. a text that holds rows.
    again = benchmark("custom").read(folder / "again.csv")
    assert sorted(kept) == sorted(rows(again)), "not read back"
  (folder / "again.csv").unlink()


def _scores(name: str, files: Files) -> Target:
  """A submission, then its truth; where refused, they are scored leniently."""
  truth, given = (2 * sorted(files))[:2]  # One may hold both.
  flags = ["--predictions=-", "--ground_truth=-", "--resamples=2"]
  parsed = command.arguments([f"--benchmark={name}", *flags])

  def run(folder: pathlib.Path) -> None:
    asked = argparse.Namespace(**vars(parsed))
    asked.predictions = str(folder / given)
    asked.ground_truth = str(folder / truth)
    with contextlib.redirect_stdout(io.StringIO()):
      try:
        command.run(asked)
      except AnnotationError:
        asked.lenient = True
        command.run(asked)
        raise

  return Target(files, run)


def _config(folder: pathlib.Path) -> None:
  config = stored.read(folder / "config.json")
  check.check(config)
  (folder / "again.json").write_text(config.to_json())
  again = stored.read(folder / "again.json")
  assert again.to_json() == config.to_json(), "not read back"


def _targets(
  what: str, target: Callable[[str, Files], Target]
) -> dict[str, Target]:
  """Those of a folder, by name."""
  found = {}
  for folder in sorted((_FOLDER / what).iterdir()):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    name = folder.name
    found[name] = target(_BENCHMARKS.get(name, name), files)
  return found


_BASE = {"config.json": schema.base().to_json().encode()}
TARGETS: dict[str, dict[str, Target]] = {
  "readers": _targets("readers", _reads),
  "submissions": _targets("submissions", _scores),
  "config": {"config": Target(_BASE, _config, ValueError)},
}
