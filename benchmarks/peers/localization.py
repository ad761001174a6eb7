"""Temporal localization: what ActionFormer reads, and what it found.

OUT/videos/VID.npy holds the image tower's tokens [T, D]; OUT/truth.json all
segments of all splits, each video's split being its `subset`.
"""

import json
import pathlib
from typing import Any

import ml_collections
import numpy as np

from benchmarks.peers import features
from benchmarks.synthetic.localization import THRESHOLDS, mean_precision
from unloc_jax import files
from unloc_jax.annotations import detection_submissions
from unloc_jax.annotations.reading import Problems
from unloc_jax.data import splits
from unloc_jax.task.sampling import Sampling

FIGURES = tuple(f"mAP@{threshold:g}" for threshold in THRESHOLDS)


def write(config: ml_collections.ConfigDict, out: pathlib.Path) -> None:
  """Writes features and segments of all splits that a config has."""
  (out / "videos").mkdir(parents=True, exist_ok=True)
  sampling = Sampling.from_config(config)
  parts, params, opened = features.opened(config)
  database: dict[str, Any] = {}
  for split in opened:
    for video, tokens in features.videos(parts, params, split, out):
      np.save(out / "videos" / f"{video.video_id}.npy", tokens)
      windows = features.in_clips(sampling, video).tolist()
      names = [video.texts[query] for query in video.segment_query]
      database[video.video_id] = {
        "subset": split.name,
        "duration": features.length(sampling),
        "annotations": [
          {"segment": window, "label": name}
          for window, name in zip(windows, names, strict=True)
        ],
      }
  said = [each for entry in database.values() for each in entry["annotations"]]
  number = {
    name: n for n, name in enumerate(sorted({s["label"] for s in said}))
  }
  for each in said:
    each["label_id"] = number[each["label"]]
  files.write_json(out / "truth.json", {"database": database})


def write_found(
  config: ml_collections.ConfigDict, split: str, found: pathlib.Path
) -> pathlib.Path:
  """Writes a peer's detections of a split in seconds, beside the file."""
  sampling = Sampling.from_config(config)
  results = json.loads((found / f"{split}.json").read_text())
  videos = splits.open_split(config, split).table.videos
  for video in (video for video in videos if video is not None):
    rows = results.get(video.video_id, [])
    given = [row["segment"] for row in rows]
    seconds = features.in_seconds(sampling, video, given).tolist()
    for row, segment in zip(rows, seconds, strict=True):
      row["segment"] = segment
  path = found / f"{split}.seconds.json"
  files.write_json(path, {"results": results})
  return path


def scored(results: pathlib.Path, found: pathlib.Path | None) -> list[float]:
  """FIGURES of a file, or of our own in a folder of results."""
  path = found or results / "predictions.json"
  truth = results / "ground_truth.json"
  return mean_precision(
    *detection_submissions.read(path, truth, Problems(lenient=True), "")[:2]
  )
