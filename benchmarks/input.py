"""Reading speed: TFRecord to batch, beside a bare libjpeg loop, same bytes.

  python -m benchmarks.input [--videos=24] [--frames=300] [--repeats=5]

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
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from unloc_jax.config.schema import base
from unloc_jax.data import manifest as manifests
from unloc_jax.data import pipeline, splits

TARGET = 0.85
BATCHES = 8
_REST = 2.0  # Seconds.
OPTIONS = {
  "videos": 24,
  "frames": 300,
  "num_frames": 128,
  "height": 224,
  "width": 320,
  "image_size": 224,
  "batch": 4,
  "threads": 2,
  "repeats": 5,
}


def photograph(rng: np.random.Generator, height: int, width: int) -> bytes:
  """A JPEG with about the bytes per pixel of a video frame."""
  coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
  bicubic = Image.Resampling.BICUBIC
  image = Image.fromarray(coarse).resize((width, height), bicubic)
  noisy = np.asarray(image) + rng.normal(0, 4, (height, width, 1))
  buffer = io.BytesIO()
  pixels = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
  pixels.save(buffer, "JPEG", quality=90)
  return buffer.getvalue()


def write_dataset(
  folder: pathlib.Path, videos: int, frames: int, height: int, width: int
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
  pool = [photograph(rng, height, width) for _ in range(64)]
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
    short_side=min(height, width),
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


def bare(stored: list[list[bytes]], num_frames: int, threads: int) -> int:
  """Decodes the frames a pass over the split samples; returns how many."""

  def decode(images: list[bytes]) -> int:
    for i in range(num_frames):
      image = images[i * (len(images) - 1) // (num_frames - 1)]
      Image.open(io.BytesIO(image)).load()
    return num_frames

  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    return sum(pool.map(decode, stored))


def speed(work: Callable[[], int]) -> np.ndarray:
  """Frames per second, and per second of processor time, of one call."""
  wall, cpu = time.perf_counter(), time.process_time()
  frames = work()
  return frames / np.asarray(
    [time.perf_counter() - wall, time.process_time() - cpu]
  )


def batches(stream: Iterator[dict[str, np.ndarray]]) -> int:
  """Takes a fixed number of batches; returns how many frames they hold."""
  masks = [next(stream)["frame_mask"] for _ in range(BATCHES)]
  return sum(int(mask.sum()) for mask in masks)


def measure(flags: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
  """Medians of the bare loop and of batches, each as of `speed`."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    stored = write_dataset(
      folder, flags.videos, flags.frames, flags.height, flags.width
    )
    config = base().unlock()
    config.data.path = str(folder)
    config.data.num_frames = flags.num_frames
    config.data.image_size = flags.image_size
    config.data.short_side = flags.height
    config.data.num_workers = flags.threads
    split = splits.open_split(config, "train")
    stream = pipeline.make_train(
      config, batch_size=flags.batch, seed=0, split=split
    )
    loop, path = [], []
    decode = functools.partial(bare, stored, flags.num_frames, flags.threads)
    for _ in range(flags.repeats):
      # What was made ahead must neither slow the one nor speed the other.
      time.sleep(_REST)
      loop.append(speed(decode))
      for _ in range(config.data.prefetch + 2):
        next(stream)
      path.append(speed(functools.partial(batches, stream)))
    # Nothing may read ahead in a folder that is gone.
    del stream
  return np.median(loop, axis=0), np.median(path, axis=0)


def main() -> None:
  """Measures and prints a table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  for name, default in OPTIONS.items():
    parser.add_argument(f"--{name}", type=int, default=default)
  flags = parser.parse_args()
  loop_median, path_median = measure(flags)
  print(
    f"{flags.height}x{flags.width} JPEG, {flags.num_frames} of {flags.frames} "
    f"frames, {flags.threads} thread(s), medians of {flags.repeats}"
  )
  print("                     frames/s  frames/s of processor time")
  print("bare libjpeg loop  {:10.0f} {:10.0f}".format(*loop_median))
  print("TFRecord to batch  {:10.0f} {:10.0f}".format(*path_median))
  ratio = path_median / loop_median
  print("ratio              {:10.2f} {:10.2f}".format(*ratio), end="")
  print(f"   (target {TARGET})")


if __name__ == "__main__":
  main()
