"""Annotation files of the synthetic benchmark, in the official formats."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_preprocessing.synthetic import captions, scenes
from unloc_jax import files

# What ActivityNet Captions calls a split's file; val_2 serves as the test set.
CAPTION_FILES: dict[str, str] = {
  "train": "train.json",
  "val": "val_1.json",
  "test": "val_2.json",
  "unseen": "unseen.json",
}
# ActivityNet 1.3 and COIN know these subsets; `unseen` is about words.
SUBSETS: dict[str, str] = {
  "train": "training",
  "val": "validation",
  "test": "testing",
}


@dataclasses.dataclass(frozen=True)
class Video:
  """One video of the benchmark.

  Attributes:
    name: Its identifier without ActivityNet's `v_`, which is also its stem.
    split: Key of CAPTION_FILES.
    scene: What happens in it.
    size: (height, width) in pixels, as shown.
  """

  name: str
  split: str
  scene: scenes.Scene
  size: tuple[int, int]


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes a JSON file in one line, whole or not at all."""
  files.write_text(path, json.dumps(value) + "\n")


def write_annotations(folder: pathlib.Path, videos: Sequence[Video]) -> None:
  """Writes the annotations of all splits.

  Args:
    folder: Gets `activitynet_captions/`, `activitynet13/` and `coin/`.
    videos: All videos of the benchmark.
  """
  for split, name in CAPTION_FILES.items():
    write_json(
      folder / "activitynet_captions" / name,
      {f"v_{v.name}": _captions_entry(v) for v in videos if v.split == split},
    )
  named = [v for v in videos if v.split in SUBSETS]
  write_json(
    folder / "activitynet13" / "activity_net.v1-3.min.json",
    {
      "version": "VERSION 1.3",
      "taxonomy": _taxonomy(),
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
  return {
    "duration": video.scene.duration,
    "subset": SUBSETS[video.split],
    "resolution": f"{video.size[1]}x{video.size[0]}",
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


def _taxonomy() -> list[dict[str, Any]]:
  nodes: list[tuple[Any, ...]] = [(0, "Root", None, None)]
  nodes += [(i, name, 0, "Root") for i, name in enumerate(captions.CLASSES, 1)]
  keys = ("nodeId", "nodeName", "parentId", "parentName")
  return [dict(zip(keys, node, strict=True)) for node in nodes]
