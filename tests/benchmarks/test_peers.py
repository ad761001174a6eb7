"""What peers are given, and what they find, is of the same moments as ours."""

import json

import numpy as np
import pytest

from benchmarks.peers import localization, retrieval
from tests.training.conftest import task_config, tiny_config, write_data
from unloc_jax.data import splits
from unloc_jax.training.state import Parts


def test_moments_come_back_as_they_were(tmp_path):
  config = tiny_config(write_data(tmp_path)[0]).lock()
  table = splits.open_split(config, "val").table
  rows = [
    row
    for video in table.videos
    for row in retrieval.queries(Parts.from_config(config), video)
  ]
  for row in rows:
    row["pred_relevant_windows"] = [
      [*window, 0.5] for window in row["relevant_windows"]
    ]
  path = tmp_path / "val.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  path = retrieval.write_found(config, "val", tmp_path)
  found = path.read_text().splitlines()
  found = {row["qid"]: row for row in map(json.loads, found)}
  for video in table.videos:
    for number, query in enumerate(video.query_ids):
      windows = np.array(found[query]["pred_relevant_windows"])
      true = video.segments[video.segment_query == number]
      assert windows[:, :2] == pytest.approx(true, abs=1e-3)


def test_segments_come_back_as_they_were(tmp_path):
  captions, classes = write_data(tmp_path)
  config = task_config("temporal_localization", captions, classes)
  config.model.image_tower.frozen = True
  config.eval.splits = ("val",)
  localization.write(config.lock(), tmp_path / "given")
  truth = json.loads((tmp_path / "given" / "truth.json").read_text())
  said = {
    name: [{**each, "score": 1.0} for each in entry["annotations"]]
    for name, entry in truth["database"].items()
    if entry["subset"] == "val"
  }
  assert {e["label_id"] for rows in said.values() for e in rows} <= set(
    range(4)
  )
  (tmp_path / "val.json").write_text(json.dumps(said))
  path = localization.write_found(config, "val", tmp_path)
  found = json.loads(path.read_text())["results"]
  for video in splits.open_split(config, "val").table.videos:
    tokens = np.load(tmp_path / "given" / "videos" / f"{video.video_id}.npy")
    assert tokens.shape == (8, config.model.image_tower.width)
    rows = found[video.video_id]
    assert [row["label"] for row in rows] == [
      video.texts[query] for query in video.segment_query
    ]
    windows = np.array([row["segment"] for row in rows])
    assert windows == pytest.approx(video.segments, abs=1e-3)
