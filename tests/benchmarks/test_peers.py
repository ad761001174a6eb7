"""What peers are given, and what they find, is of the same moments as ours."""

import json

import numpy as np
import pytest

from benchmarks.peers import retrieval
from tests.training.conftest import tiny_config, write_data
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
