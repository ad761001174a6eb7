"""The official figures, on the pairs of predictions and figures beside us."""

import dataclasses
import json

import numpy as np
import pytest

from unloc_jax.annotations import BENCHMARKS, detection_submissions, frames
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import detection, segmentation
from unloc_jax.metrics.__main__ import main

QVH = {
  "qvh_moment_detr": (
    "sample_val_preds.jsonl",
    "sample_val_preds_metrics_raw.json",
  ),
  "qvh_qddetr_QDDETR_onlyclip": (
    "hl_val_submission.jsonl",
    "hl_val_submission_metrics.json",
  ),
}
TCN = ("video_SVM", "video_ED-TCN_L2_C25", "video_DilatedTCN_L5_B2")


@pytest.fixture(scope="module")
def evaluators(shared):
  return shared / "data" / "evaluators"


@pytest.mark.parametrize("system", QVH)
def test_qvhighlights_file_is_the_official_one(
  evaluators, shared, tmp_path, capsys, system
):
  """Not only the figures: keys, their order and their layout."""
  predictions, figures = QVH[system]
  truth = shared / "data/annotations/qvhighlights/highlight_val_release.jsonl"
  written = tmp_path / "metrics.json"
  arguments = ["--benchmark", "qvhighlights", "--ground_truth", str(truth)]
  arguments += ["--predictions", str(evaluators / system / predictions)]
  assert main([*arguments, "--json", str(written), "--resamples", "0"]) == 0
  assert written.read_text() == (evaluators / system / figures).read_text()
  assert "scored 1550 of 1550" in capsys.readouterr().out


def score_thumos(found, truth):
  tiou = BENCHMARKS["thumos14"].tiou
  return detection.evaluate(found, truth, thresholds=tiou, resamples=0)


def with_ties_broken(found, seed):
  """The same detections, equal scores put in some order by 1e-12 of noise."""
  noise = 1e-12 * np.random.default_rng(seed).random(len(found.score))
  return dataclasses.replace(found, score=found.score * (1 + noise))


def test_thumos14(evaluators):
  """Official figures, as near as the official script's own tie order lets.

  It sorts equal scores as NumPy's unstable sort does on its processor, so its
  mAP is one of many; ours must be within their range of it.
  """
  pred, gt, figures = (
    evaluators / "derived_tal" / f"thumos14_test_{name}.json"
    for name in ("pred", "gt", "expected")
  )
  found, truth, _ = detection_submissions.read(pred, gt, Problems(), "test")
  expected = json.loads(figures.read_text())
  report = score_thumos(found, truth)
  orders = [score_thumos(with_ties_broken(found, i), truth) for i in range(6)]
  for convention in ("official_activitynet", "actionformer"):
    for name in ("mAP", "average_mAP"):
      of_orders = [np.array(r.metrics[convention][name]) for r in orders]
      spread = np.ptp(of_orders, axis=0)
      found = np.array(report.metrics[convention][name])
      off = np.abs(found - expected[convention][name])
      assert np.all(off <= 1e-9 + 2 * spread), (convention, name, off, spread)
      assert np.all(spread < 3e-4)
  np.testing.assert_allclose(
    report.metrics["actionformer"]["mRecall"],
    expected["actionformer"]["mRecall"],
    atol=1e-6,
  )
  assert (report.seen, report.expected) == (210, 210)


def test_mmaction2(evaluators, tmp_path, capsys):
  """Bare ground truth, and ids with and without `v_`."""
  folder = evaluators / "mmaction2_localization"
  expected = json.loads((folder / "expected.json").read_text())
  written = tmp_path / "metrics.json"
  arguments = ["--benchmark", "anet_tal", "--json", str(written)]
  arguments += ["--predictions", str(folder / "result.json")]
  assert main([*arguments, "--ground_truth", str(folder / "gt.json")]) == 0
  found = json.loads(written.read_text())
  for name in ("tiou", "mAP", "average_mAP"):
    np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
  assert "scored 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("system", TCN)
def test_segmentation(evaluators, system):
  folder = evaluators / "tcn_segmentation"
  everything = json.loads((folder / "expected_metrics.json").read_text())
  expected = everything[f"GTEA/{system}"]
  place = folder / "GTEA" / system
  videos, count, names, notes = frames.read(place, place, Problems())
  report = segmentation.evaluate(videos, expected=count, resamples=0)
  assert (names, notes) == (None, [])
  for block in ("bg0", "nobg"):
    for name, value in expected[block].items():
      found = report.metrics[block][name]
      assert found == pytest.approx(value, abs=1e-6), (block, name)
  for name in ("acc_mean_of_videos", "acc_frames"):
    assert report.metrics[name] == pytest.approx(expected[name], abs=1e-6)
  for name in ("videos", "frames", "classes"):
    assert report.metrics[name] == expected[name]
  assert 0 < report.metrics["frame_mAP"] < 100
