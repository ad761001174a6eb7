"""Reading speed: TFRecord to batch, beside a bare libjpeg loop, same bytes.

  python -m benchmarks.input [--repeats=5]

Writes a dataset of images about as hard to decode as video frames, then takes
turns, in one process, between
  * bare: every sampled frame's JPEG decoded with libjpeg (Pillow) by as many
    threads as the pipeline has, and nothing else;
  * batch: `make_train` from opened split to host batches.
Prints the median frames per second of each and their ratio (target 0.85).
"""

import argparse
import concurrent.futures
import functools
import io
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import clock, record
from unloc_jax.config.schema import base
from unloc_jax.data import manifest as manifests
from unloc_jax.data import pipeline, splits

TARGET = 0.85
BATCHES = 8
BATCH, THREADS = 4, 2
HEIGHT, WIDTH = 224, 320
_REST = 2.0  # Seconds.
# What `measure` is given.
MANY, FEW = (24, 300, 128, 5), (4, 64, 32, 1)


def photograph(rng: np.random.Generator) -> bytes:
  """A JPEG with about the bytes per pixel of a video frame."""
  coarse = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
  bicubic = Image.Resampling.BICUBIC
  image = Image.fromarray(coarse).resize((WIDTH, HEIGHT), bicubic)
  noisy = np.asarray(image) + rng.normal(0, 4, (HEIGHT, WIDTH, 1))
  buffer = io.BytesIO()
  pixels = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
  pixels.save(buffer, "JPEG", quality=90)
  return buffer.getvalue()


def write_dataset(
  folder: pathlib.Path, videos: int, frames: int
) -> list[list[bytes]]:
  """Writes a split "train"; returns every video's encoded frames."""
  import tensorflow_datasets as tfds

  from data_preprocessing import schema

  info = tfds.core.DatasetInfo(
    builder=tfds.core.DatasetIdentity(
      name="speed", version="1.0.0", data_dir=folder, module_name=__name__
    ),
    features=schema.features("frames"),
  )
  writer = tfds.core.SequentialWriter(info, max_examples_per_shard=8)
  writer.initialize_splits(["train"])
  rng = np.random.default_rng(0)
  pool = [photograph(rng) for _ in range(64)]
  stored = []
  for i in range(videos):
    images = [pool[j] for j in rng.integers(0, len(pool), frames)]
    stored.append(images)
    writer.add_examples({"train": [_example(i, images)]})
  writer.close_all()
  manifest = manifests.Manifest(
    dataset="speed",
    extract="frames",
    frame_rate=10.0,
    short_side=HEIGHT,
    jpeg_quality=90,
    embedding_width=None,
    tower_hash=None,
    normalisation="none",
    classes=(),
    splits={"train": manifests.SplitCounts(videos, videos, videos)},
  )
  (folder / manifests.NAME).write_text(manifest.to_json())
  return stored


def _example(i: int, images: list[bytes]) -> dict[str, Any]:
  return {
    "video_id": str(i),
    "duration": len(images) / 10.0,
    "frame_rate": 10.0,
    "frame_count": len(images),
    "timestamps": [n / 10.0 for n in range(len(images))],
    "frames": [io.BytesIO(image) for image in images],
    "queries": {"id": [str(i)], "text": ["a caption"], "annotation": ["{}"]},
    "segments": {"start": [0.0], "end": [1.0], "query": [0]},
  }


def bare(stored: list[list[bytes]], num_frames: int) -> int:
  """Decodes the frames a pass over the split samples; returns how many."""

  def decode(images: list[bytes]) -> int:
    for i in range(num_frames):
      image = images[i * (len(images) - 1) // (num_frames - 1)]
      Image.open(io.BytesIO(image)).load()
    return num_frames

  with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
    return sum(pool.map(decode, stored))


def batches(stream: Iterator[dict[str, np.ndarray]]) -> int:
  """Takes a fixed number of batches; returns how many frames they hold."""
  masks = [next(stream)["frame_mask"] for _ in range(BATCHES)]
  return sum(int(mask.sum()) for mask in masks)


def measure(
  videos: int, frames: int, num_frames: int, repeats: int
) -> tuple[np.ndarray, np.ndarray]:
  """Medians of the bare loop and of batches, each as of `clock.speed`."""
  with tempfile.TemporaryDirectory() as name:
    stored = write_dataset(pathlib.Path(name), videos, frames)
    config = base().unlock()
    config.data.path, config.data.num_workers = name, THREADS
    config.data.num_frames = num_frames
    config.data.image_size = config.data.short_side = HEIGHT
    split = splits.open_split(config, "train")
    stream = pipeline.make_train(config, batch_size=BATCH, seed=0, split=split)
    loop, path = [], []
    for _ in range(repeats):
      # What was made ahead must neither slow the one nor speed the other.
      time.sleep(_REST)
      loop.append(clock.speed(functools.partial(bare, stored, num_frames)))
      for _ in range(config.data.prefetch + 2):
        next(stream)
      path.append(clock.speed(functools.partial(batches, stream)))
    # Nothing may read ahead in a folder that is gone.
    del stream
  return np.median(loop, axis=0), np.median(path, axis=0)


def main() -> None:
  """Measures and prints a table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--repeats", type=int, default=5)
  loop, path = measure(*MANY[:-1], parser.parse_args().repeats)
  rows = [
    (name, *(f"{each:.{digits}f}" for each in speeds))
    for name, speeds, digits in (
      ("bare libjpeg loop", loop, 0),
      ("TFRecord to batch", path, 0),
      (f"ratio (target {TARGET})", path / loop, 2),
    )
  ]
  print(record.markdown(("", "frames/s", "of processor time"), rows))


if __name__ == "__main__":
  main()
