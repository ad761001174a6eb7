"""Annotation files of the synthetic benchmark, in the official formats."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_preprocessing.synthetic import captions, encode, scenes
from unloc_jax import files

# What ActivityNet Captions calls a split's file; val_2 serves as the test set.
CAPTION_FILES = {
  "train": "train.json",
  "val": "val_1.json",
  "test": "val_2.json",
  "unseen": "unseen.json",
}
# ActivityNet 1.3 and COIN know these subsets; `unseen` is about words.
SUBSETS = {"train": "training", "val": "validation", "test": "testing"}


@dataclasses.dataclass(frozen=True)
class Video:
  """One video of the benchmark."""

  name: str  # Its identifier without ActivityNet's `v_`, which is also its stem
  split: str  # Key of CAPTION_FILES
  scene: scenes.Scene  # What happens in it


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes a JSON file in one line, whole or not at all."""
  files.write_text(path, json.dumps(value) + "\n")


def write_annotations(folder: pathlib.Path, videos: Sequence[Video]) -> None:
  """Writes `activitynet_captions/`, `activitynet13/` and `coin/`."""
  for split, name in CAPTION_FILES.items():
    write_json(
      folder / "activitynet_captions" / name,
      {f"v_{v.name}": _captions_entry(v) for v in videos if v.split == split},
    )
  named = [v for v in videos if v.split in SUBSETS]
  root = {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}
  leaves = [
    {"nodeId": i, "nodeName": name, "parentId": 0, "parentName": "Root"}
    for i, name in enumerate(captions.CLASSES, 1)
  ]
  write_json(
    folder / "activitynet13" / "activity_net.v1-3.min.json",
    {
      "version": "VERSION 1.3",
      "taxonomy": [root, *leaves],
      "database": {v.name: _activitynet_entry(v) for v in named},
    },
  )
  write_json(
    folder / "coin" / "COIN.json",
    {"database": {v.name: _coin_entry(v) for v in named}},
  )


def _segment(episode: scenes.Episode) -> list[float]:
  return [round(episode.start, 2), round(episode.end, 2)]


def _captions_entry(video: Video) -> dict[str, Any]:
  rng = np.random.default_rng([video.scene.seed, 3])
  episodes = video.scene.episodes
  return {
    "duration": video.scene.duration,
    "timestamps": [_segment(e) for e in episodes],
    "sentences": [captions.caption(rng, e.triple) for e in episodes],
    "kinds": [e.kind for e in episodes],
  }


def _activitynet_entry(video: Video) -> dict[str, Any]:
  form = encode.draw_format(video.scene.seed)
  return {
    "duration": video.scene.duration,
    "subset": SUBSETS[video.split],
    "resolution": f"{form.width}x{form.height}",
    "url": "",
    "annotations": [
      {"segment": _segment(e), "label": captions.class_of(e.shape, e.action)}
      for e in video.scene.episodes
    ],
  }


def _coin_entry(video: Video) -> dict[str, Any]:
  episodes = video.scene.episodes
  return {
    "video_url": "",
    "duration": video.scene.duration,
    "recipe_type": len(episodes),
    "class": f"PlayOf{len(episodes)}Acts",
    "subset": SUBSETS[video.split],
    "start": 0.0,
    "end": video.scene.duration,
    "annotation": [
      {
        "id": str(list(scenes.ACTIONS).index(e.action) + 1),
        "segment": _segment(e),
        "label": scenes.ACTIONS[e.action],
      }
      for e in episodes
    ],
  }
