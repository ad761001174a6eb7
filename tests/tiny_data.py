"""Tiny datasets in the one schema, written for a test."""

import io
import json
import pathlib

import numpy as np
from PIL import Image

from unloc_jax.config.schema import base
from unloc_jax.data import manifest as manifests

WIDTH, HEIGHT, RATE = 40, 32, 2.0
CLASSES = ("run", "jump", "sit", "stand")


def jpeg(colour, size=(WIDTH, HEIGHT)) -> bytes:
  buffer = io.BytesIO()
  Image.new("RGB", size, tuple(colour)).save(buffer, "JPEG", quality=95)
  return buffer.getvalue()


def frame_colour(video: int, frame: int) -> tuple[int, int, int]:
  """A colour that tells which frame of which video one is looking at."""
  return (10 * video % 250, 6 * frame % 250, 40)


def caption_video(i: int) -> dict:
  """Video i: 5 + i frames, 1 + i % 4 captions, the last with two segments."""
  count = 5 + i
  num_queries = 1 + i % 4
  owner = [*range(num_queries), num_queries - 1]
  start = [0.1 * (j + 1) for j in range(len(owner))]
  return {
    "video_id": f"video_{i}",
    "duration": count / RATE,
    "frame_rate": RATE,
    "frame_count": count,
    "timestamps": [n / RATE for n in range(count)],
    "frames": [jpeg(frame_colour(i, n)) for n in range(count)],
    "queries": {
      "id": [f"{i}:{q}" for q in range(num_queries)],
      "text": [f"caption {q} of video {i}" for q in range(num_queries)],
      "annotation": [json.dumps({"kind": q}) for q in range(num_queries)],
    },
    "segments": {
      "start": start,
      "end": [s + 1.0 for s in start],
      "query": owner,
    },
  }


def class_video(i: int) -> dict:
  """Video i: two segments of class i % 4, one of the next class."""
  first, second = i % 4, (i + 1) % 4
  return {
    **caption_video(i),
    "queries": {
      "id": [str(first), str(second)],
      "text": [CLASSES[first], CLASSES[second]],
      "annotation": ["{}", "{}"],
    },
    "segments": {
      "start": [0.0, 0.5, 1.0],
      "end": [0.5, 1.0, 2.0],
      "query": [0, 1, 0],
    },
  }


def embedded_video(i: int) -> dict:
  """Caption video i with embeddings [N, 4] in place of frames."""
  video = caption_video(i)
  count = len(video.pop("frames"))
  rows = np.arange(count, dtype=np.float32)[:, None]
  video["embeddings"] = np.repeat(rows + 100 * i, 4, axis=1)
  return video


def write(folder: pathlib.Path, splits: dict, classes=(), width=None):
  """Writes a finished dataset folder, three videos a shard."""
  import tensorflow_datasets as tfds

  from data_preprocessing import schema

  extract = "frames" if width is None else "features"
  path = folder / "tiny" / "1.0.0"
  path.mkdir(parents=True)
  identity = tfds.core.DatasetIdentity(
    name="tiny", version="1.0.0", data_dir=path, module_name=__name__
  )
  info = tfds.core.DatasetInfo(
    builder=identity, features=schema.features(extract, width)
  )
  writer = tfds.core.SequentialWriter(info, max_examples_per_shard=3)
  writer.initialize_splits(list(splits))
  for name, videos in splits.items():
    writer.add_examples(
      {
        name: [
          {**v, "frames": [io.BytesIO(f) for f in v["frames"]]}
          if width is None
          else v
          for v in videos
        ]
      }
    )
  writer.close_all()
  manifest = manifests.Manifest(
    dataset="tiny",
    extract=extract,
    frame_rate=RATE,
    short_side=HEIGHT,
    jpeg_quality=95,
    embedding_width=width,
    tower_hash=None,
    normalisation="none",
    classes=tuple(classes),
    splits={
      name: manifests.SplitCounts(
        videos=len(videos),
        queries=sum(len(v["queries"]["id"]) for v in videos),
        segments=sum(len(v["segments"]["start"]) for v in videos),
      )
      for name, videos in splits.items()
    },
  )
  (path / "manifest.json").write_text(manifest.to_json())
  return path


def settings(
  path: pathlib.Path,
  task: str = "moment_retrieval",
  streams: tuple[str, ...] = ("frames",),
  **changes,
):
  """The config of small inputs from a written folder; changes of `data`."""
  config = base().unlock()
  config.task, config.streams = task, streams
  data = config.data
  data.path = str(path)
  data.num_frames = 4
  data.image_size = data.short_side = HEIGHT
  data.max_queries = 2
  data.max_segments = 4
  data.max_tokens = 8
  data.num_workers = 2
  data.update(changes)
  return config.lock()
