"""Shows what is in a dataset.

    python -m data_preprocessing.inspect DIR

DIR is what data_preprocessing.build wrote, or holds MediaSequence TFRecords of
others. Prints counts and histograms, and writes an HTML page on which a person
sees whether segments and frames line up.
"""

import argparse
import os
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from data_preprocessing import command, contact_sheet
from unloc_jax import files
from unloc_jax.config.parser import Parser
from unloc_jax.config.schema import base
from unloc_jax.data import manifest as manifests
from unloc_jax.data import shards, sources, tfds_source
from unloc_jax.data.splits import open_source

_BINS = 12
_BAR = 40
# What lies beside the files of a dataset.
_BESIDE = (".json", ".md", ".html", ".txt", ".csv", ".labels", ".pbtxt")
_NUMBERS = re.compile(r"([-_.]?tfrecords?)?[-_.]?\d+-of-\d+|@\d+|\.tfrecords?")


def splits(folder: pathlib.Path) -> tuple[str, list[str]]:
  """Returns the format of a dataset and its splits. Raises ValueError."""
  info = folder / "dataset_info.json"
  if info.is_file():
    return "tfds", list(tfds_source.dataset_splits(str(folder)))
  # A build that an earlier version did not finish has files like these.
  unfinished = any(folder.glob("*.log"))
  found = [
    split_of(path.name)
    for path in ([] if unfinished else sorted(folder.glob("*")))
    if path.is_file() and path.stat().st_size and path.suffix not in _BESIDE
  ]
  if not found:
    raise ValueError(
      f"{folder}: no manifest.json and no TFRecord, so not a finished"
      " dataset; give the folder DATA_DIR/NAME/VERSION, or one of"
      " MediaSequence files"
    )
  return "mediasequence", list(dict.fromkeys(found))


def split_of(name: str) -> str:
  """Returns the split that a file's name tells: all but its numbering."""
  split = _NUMBERS.sub("", name).strip("-_.")
  if not split:
    raise ValueError(
      f"{name}: does not name its split; rename it, e.g. to train-{name}"
    )
  return split


def about(folder: pathlib.Path) -> tuple[str, str]:
  """Returns the name of a dataset, and a line about it."""
  if not manifests.exists(folder):
    return folder.name, "MediaSequence"
  manifest = manifests.read_manifest(folder)
  return manifest.dataset, (
    f"{manifest.extract} at {manifest.frame_rate:g} a second, short"
    f" side {manifest.short_side}, {len(manifest.classes)} classes"
  )


def strip(
  record: shards.Record, video: sources.Video, count: int
) -> Iterator[tuple[float, bytes]]:
  """Yields (seconds, JPEG) of the middles of so many equal parts of a video.

  None come of a dataset of features.
  """
  import tensorflow as tf

  # Context and features are the same field of either message.
  example = tf.train.SequenceExample.FromString(shards.read_record(record))
  lists = example.feature_lists.feature_list
  stored = example.context.feature["frames"].bytes_list.value
  if "image/encoded" in lists:
    images = lists["image/encoded"].feature
    stored = [image.bytes_list.value[0] for image in images]
  for i in range(count if stored else 0):
    seconds = video.duration * (i + 0.5) / count
    index = min(video.frame_count - 1, int(seconds * video.frame_rate))
    yield index / video.frame_rate, stored[index]


def histogram(title: str, unit: str, values: Sequence[float]) -> str:
  """Returns a histogram in text: equal bins from 0 to the 99th percentile."""
  if not values:
    return f"{title}: none"
  ordered = np.sort(values)
  top = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] or 1.0
  # The last bin holds what is longer, too.
  counts, _ = np.histogram(np.minimum(ordered, top), _BINS, (0.0, top))
  lines = [
    f"{title}: {len(ordered):,}, from {ordered[0]:.2f} to {ordered[-1]:.2f}"
    f" {unit}, median {ordered[len(ordered) // 2]:.2f} {unit}"
  ]
  for i, count in enumerate(counts):
    bar = "#" * round(_BAR * count / max(counts))
    edge = "+" if i == _BINS - 1 else " "
    lines.append(f"  {top * i / _BINS:9.2f}{edge}{unit}  {count:7,}  {bar}")
  return "\n".join(lines)


def summary(split: str, videos: Iterable[sources.Video]) -> str:
  """Returns the counts and histograms of a split."""
  durations: list[float] = []
  lengths: list[float] = []
  shares: list[float] = []
  queries = frames = 0
  for video in videos:
    seconds = video.segments[:, 1] - video.segments[:, 0]
    durations.append(video.duration)
    lengths += seconds.tolist()
    shares += (100 * seconds / video.duration).tolist()
    queries += len(video.query_ids)
    frames += video.frame_count
  return "\n".join(
    [
      f"{split}: {len(durations):,} videos, {queries:,} queries,"
      f" {len(lengths):,} segments, {frames:,} stored positions,"
      f" {sum(durations) / 3600:.2f} hours",
      histogram("video duration", "s", durations),
      histogram("segment length", "s", lengths),
      histogram("segment share of its video", "%", shares),
    ]
  )


def inspect(args: argparse.Namespace) -> str:
  """Writes the page of a dataset; returns its counts and histograms."""
  folder = args.folder
  kind, names = splits(folder)
  config = base()
  # Captions are told apart by number and text, and so are classes.
  config.task = "moment_retrieval"
  config.data.path, config.data.format = os.fspath(folder), kind
  config.data.mediasequence_frame_rate = args.frame_rate
  name, line = about(folder)
  texts = [f"{name}: {line}"]
  shown: dict[str, list[contact_sheet.Shown]] = {}
  for split in names:
    source = open_source(config, split)
    texts.append(summary(split, map(source.video, source.records)))
    shown[split] = []
    for record in source.records[: max(0, args.videos)]:
      video = source.video(record)
      shown[split].append((video, list(strip(record, video, args.frames))))
  text = "\n\n".join(texts)
  files.write_text(args.html, contact_sheet.page(name, shown, text))
  return f"{text}\n\nframes and segments: {args.html}"


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns the exit code."""
  parser = Parser(
    "Counts, histograms and a contact sheet of a dataset.",
    "data_preprocessing.inspect",
  )
  add = parser.add_argument
  text = "DATA_DIR/NAME/VERSION, or one of MediaSequence files"
  add("folder", type=pathlib.Path, help=text)
  for name, default, text in (
    ("html", pathlib.Path("inspect.html"), "page to write"),
    ("videos", 12, "videos of each split on it"),
    ("frames", 16, "frames of each video"),
    ("frame_rate", 10.0, "of MediaSequence that says none"),
  ):
    kind = type(default)
    add(f"--{name}", type=kind, default=default, help=f"{text} (%(default)s)")
  args = parser.parse_args(argv)
  return command.ended(lambda: inspect(args), args.html)


if __name__ == "__main__":
  sys.exit(main())
