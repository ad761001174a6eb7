"""Shows what is in a dataset: python -m data_preprocessing.inspect DIR

DIR is what data_preprocessing.build wrote, or holds MediaSequence TFRecords of
others. Prints counts and histograms, and writes an HTML page on which a person
sees whether segments and frames line up.
"""

import argparse
import functools
import itertools
import json
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from data_preprocessing import (
  contact_sheet,
  records,
  sequence_reading,
  tfrecord_reading,
)
from data_preprocessing.tfrecord_reading import Stored

_BINS = 12
_BAR = 40
# What lies beside the files of a dataset.
_BESIDE = (".json", ".md", ".html", ".txt", ".csv", ".labels", ".pbtxt")


class InspectError(RuntimeError):
  """A folder that is not a built dataset, and what is wrong with it."""


def shards(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Returns split -> the files of its shards, as TFDS counts them.

  Raises:
    InspectError: Some are missing.
  """
  found: dict[str, list[pathlib.Path]] = {}
  info = json.loads((folder / "dataset_info.json").read_text())
  for split in info["splits"]:
    name = split["name"]
    count = len(split["shardLengths"])
    found[name] = sorted(folder.glob(f"*-{name}.tfrecord-*-of-{count:05d}"))
    if len(found[name]) != count:
      raise InspectError(
        f"{folder}: {len(found[name])} of {count} shards of {name}; copy the"
        " dataset again"
      )
  return found


def sequences(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Returns split -> MediaSequence files, as their names tell.

  Raises:
    InspectError: There is none.
  """
  found: dict[str, list[pathlib.Path]] = {}
  # An unfinished build of ours has files like theirs, and a log of them.
  if folder.is_dir() and not any(folder.glob("*.log")):
    for path in sorted(folder.iterdir()):
      whole = path.is_file() and path.stat().st_size
      if whole and path.suffix not in _BESIDE:
        found.setdefault(sequence_reading.split_of(path.name), []).append(path)
  if not found:
    raise InspectError(
      f"{folder}: no manifest.json and no TFRecord, so not a finished"
      " dataset; give the folder DATA_DIR/NAME/VERSION, or one of"
      " MediaSequence files"
    )
  return found


def contents(
  folder: pathlib.Path, frame_rate: float
) -> tuple[str, str, dict[str, Iterator[Stored]]]:
  """Returns the name of a dataset, a line about it, and its examples.

  Args:
    folder: The dataset.
    frame_rate: Of MediaSequence records that do not say theirs.
  """
  name, about = folder.name, "MediaSequence"
  if (folder / "manifest.json").is_file():
    manifest = records.Manifest.from_json(
      (folder / "manifest.json").read_text()
    )
    name = manifest.dataset
    about = (
      f"{manifest.extract} at {manifest.frame_rate:g} a second, short"
      f" side {manifest.short_side}, {len(manifest.classes)} classes"
    )
    if (folder / "dataset_info.json").is_file():
      return (
        name,
        about,
        {
          split: _chained(map(tfrecord_reading.examples, paths))
          for split, paths in shards(folder).items()
        },
      )
  read = functools.partial(sequence_reading.examples, frame_rate=frame_rate)
  return (
    name,
    about,
    {
      split: _chained(map(read, paths))
      for split, paths in sequences(folder).items()
    },
  )


def _chained(parts: Iterable[Iterable[Stored]]) -> Iterator[Stored]:
  return itertools.chain.from_iterable(parts)


def histogram(title: str, unit: str, values: Sequence[float]) -> str:
  """Returns a histogram in text: equal bins from 0 to the 99th percentile."""
  if not values:
    return f"{title}: none"
  ordered = sorted(values)
  top = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] or 1.0
  counts = [0] * _BINS
  for value in ordered:
    counts[min(_BINS - 1, int(value / top * _BINS))] += 1
  lines = [
    f"{title}: {len(ordered):,}, from {ordered[0]:.2f} to {ordered[-1]:.2f}"
    f" {unit}, median {ordered[len(ordered) // 2]:.2f} {unit}"
  ]
  for i, count in enumerate(counts):
    bar = "#" * round(_BAR * count / max(counts))
    edge = "+" if i == _BINS - 1 else " "
    lines.append(f"  {top * i / _BINS:9.2f}{edge}{unit}  {count:7,}  {bar}")
  return "\n".join(lines)


class Summary:
  """Counts of one split, gathered an example at a time."""

  def __init__(self) -> None:
    self.durations: list[float] = []
    self.lengths: list[float] = []
    self.shares: list[float] = []
    self.queries = 0
    self.frames = 0

  def add(self, example: Stored) -> None:
    """Counts one example."""
    duration = example.doubles("duration")[0]
    self.durations.append(duration)
    self.queries += len(example.values["queries/id"])
    self.frames += example.values["frame_count"][0]
    for start, end in zip(
      example.doubles("segments/start"),
      example.doubles("segments/end"),
      strict=True,
    ):
      self.lengths.append(end - start)
      self.shares.append(100 * (end - start) / duration)

  def text(self, split: str) -> str:
    """Returns what a person reads."""
    return "\n".join(
      [
        f"{split}: {len(self.durations):,} videos, {self.queries:,} queries,"
        f" {len(self.lengths):,} segments, {self.frames:,} stored positions,"
        f" {sum(self.durations) / 3600:.2f} hours",
        histogram("video duration", "s", self.durations),
        histogram("segment length", "s", self.lengths),
        histogram("segment share of its video", "%", self.shares),
      ]
    )


def inspect(
  folder: pathlib.Path,
  page: pathlib.Path,
  videos: int,
  frames: int,
  frame_rate: float,
) -> str:
  """Summarises a dataset and writes its contact sheet.

  Args:
    folder: DATA_DIR/NAME/VERSION, or a folder of MediaSequence files.
    page: The HTML file to write.
    videos: Videos of each split on the page.
    frames: Frames of each of these videos.
    frame_rate: Of MediaSequence records that do not say theirs.

  Returns:
    Counts and histograms.
  """
  name, about, splits = contents(folder, frame_rate)
  texts = [f"{name}: {about}"]
  shown: dict[str, list[Stored]] = {}
  for split, examples in splits.items():
    summary = Summary()
    shown[split] = []
    for example in examples:
      summary.add(example)
      if len(shown[split]) < videos:
        shown[split].append(example)
    texts.append(summary.text(split))
  beside = page.with_name(page.name + ".new")
  with beside.open("w", encoding="utf-8") as out:
    out.writelines(contact_sheet.page(name, shown, "\n\n".join(texts), frames))
  beside.replace(page)
  return "\n\n".join(texts)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns the exit code."""
  flags = argparse.ArgumentParser(
    prog="python -m data_preprocessing.inspect",
    description="Counts, histograms and a contact sheet of a dataset.",
  )
  flags.add_argument(
    "folder",
    type=pathlib.Path,
    metavar="DIR",
    help="a built dataset, DATA_DIR/NAME/VERSION, or a"
    " folder of MediaSequence TFRecords",
  )
  flags.add_argument(
    "--html",
    type=pathlib.Path,
    default=pathlib.Path("inspect.html"),
    help="page to write (%(default)s)",
  )
  flags.add_argument(
    "--videos",
    type=int,
    default=12,
    help="videos of each split on it (%(default)s)",
  )
  flags.add_argument(
    "--frames", type=int, default=16, help="frames of each video (%(default)s)"
  )
  flags.add_argument(
    "--frame_rate",
    type=float,
    default=10.0,
    help="of MediaSequence records that do not say theirs (%(default)s)",
  )
  args = flags.parse_args(argv)
  try:
    print(
      inspect(args.folder, args.html, args.videos, args.frames, args.frame_rate)
    )
  except (InspectError, ValueError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  print(f"\nframes and segments: {args.html}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
