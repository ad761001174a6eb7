"""Localization, segmentation, classification: trained, scored and drawn."""

import json

import numpy as np
import pytest

from tests import tiny_data
from tests.training.conftest import tiny_config
from unloc_jax.config.keys import INF
from unloc_jax.metrics import __main__ as command
from unloc_jax.training import loop as train

HEADLINE = {
  "temporal_localization": "mAP@0.5",
  "action_segmentation": "accuracy",
  "classification": "top1",
}


@pytest.fixture(scope="module", params=sorted(HEADLINE))
def finished(request, classes, tmp_path_factory):
  """Two steps of each task on the same videos."""
  config = tiny_config(classes)
  config.task = request.param
  config.data.texts = "classes"
  config.data.max_segments = 4
  if request.param != "temporal_localization":
    config.pyramid.ranges = ((0, INF),)
    config.model.fusion.kind = "transformer"
    config.model.head.num_layers = 0
    config.loss.relevance = "sigmoid"
  config.optimizer.warmup, config.train.length = 1, 2
  config.checkpoint.every = 2
  config.checkpoint.best_metric = HEADLINE[request.param]
  config.eval.num_drawn = 2
  workdir = tmp_path_factory.mktemp(request.param)
  reports = train.train_and_evaluate(config.lock(), str(workdir))
  return request.param, workdir / "results" / "val", reports["val"]


def test_every_video_is_scored_once(finished):
  task, _, report = finished
  assert report.seen == report.expected == 4
  assert np.isfinite(report.headline[HEADLINE[task]])


def test_videos_are_drawn(finished):
  _, folder, _ = finished
  drawn = list(folder.glob("timeline_*.png"))
  assert len(drawn) == 2
  for path in drawn:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 5000


def test_the_file_written_scores_the_same(finished, tmp_path):
  task, folder, report = finished
  if task == "classification":
    rows = json.loads((folder / "predictions.json").read_text())
    assert len(rows) == 4
    for row in rows.values():
      assert len(row["scores"]) == len(tiny_data.CLASSES)
      assert row["labels"]
    return
  detection = task == "temporal_localization"
  benchmark = "anet_tal" if detection else "segmentation"
  given = "predictions.json" if detection else "predictions.npz"
  truth = "ground_truth.json" if detection else "predictions.npz"
  out = tmp_path / "out.json"
  command.main(
    [
      f"--benchmark={benchmark}",
      f"--predictions={folder / given}",
      f"--ground_truth={folder / truth}",
      f"--json={out}",
      "--resamples=0",
    ]
  )
  found = json.loads(out.read_text())
  assert report.metrics
  for name, value in json.loads(json.dumps(report.metrics)).items():
    assert found[name] == value, name
