"""Localization, segmentation, classification: trained, scored and drawn."""

import json

import numpy as np
import pytest

from tests import tiny_data
from tests.training.conftest import task_config
from unloc_jax.metrics import __main__ as command
from unloc_jax.training import loop

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("quick_start")]

# Task: headline figure, benchmark of the metrics command, the files it reads.
TASKS = {
  "temporal_localization": (
    "mAP@0.5",
    ("anet_tal", "predictions.json", "ground_truth.json"),
  ),
  "action_segmentation": (
    "accuracy",
    ("segmentation", "predictions.npz", "predictions.npz"),
  ),
  "classification": ("top1", None),
}


@pytest.mark.parametrize("task", TASKS)
def test_videos_are_scored_drawn_and_submitted(task, classes, tmp_path):
  """Two steps on the same videos; the file written scores the same."""
  headline, scored = TASKS[task]
  config = task_config(task, classes, classes)
  if task != "temporal_localization":
    config.model.head.num_layers = 0
  config.optimizer.warmup, config.train.length = 1, 2
  config.checkpoint.best_metric = headline
  config.eval.num_drawn = 2
  report = loop.train_and_evaluate(config.lock(), str(tmp_path))["val"]
  assert report.seen == report.expected == 4
  assert np.isfinite(report.headline[headline])

  folder = tmp_path / "results" / "val"
  drawn = list(folder.glob("timeline_*.png"))
  assert len(drawn) == 2
  for path in drawn:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 5000
  page = (tmp_path / "results" / "index.html").read_text()
  asks_moments = task == "temporal_localization"
  assert ('alt="Recall by duration of the moment"' in page) == asks_moments
  assert ('alt="Confusion of classes"' in page) != asks_moments

  if scored is None:
    rows = json.loads((folder / "predictions.json").read_text())
    assert len(rows) == 4
    for row in rows.values():
      assert len(row["scores"]) == len(tiny_data.CLASSES)
      assert row["labels"]
    return
  benchmark, given, truth = scored
  out = tmp_path / "out.json"
  command.main(
    [
      *(f"--benchmark={benchmark}", f"--predictions={folder / given}"),
      *(f"--ground_truth={folder / truth}", f"--json={out}", "--resamples=0"),
    ]
  )
  found = json.loads(out.read_text())
  assert report.metrics
  for name, value in json.loads(json.dumps(report.metrics)).items():
    assert found[name] == value, name
