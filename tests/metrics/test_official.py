"""The official figures, on the pairs of predictions and figures beside us."""

import dataclasses
import json

import numpy as np
import pytest

from unloc_jax.metrics import (
  Problems,
  detection,
  files,
  frames,
  qvhighlights,
  segmentation,
)
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


def test_qvhighlights_test_truth_scores_itself(shared):
  """The released test split is read, and perfect predictions are perfect."""
  truth = shared / "data/annotations/qvhighlights/highlight_test_with_gt.jsonl"
  rows = files.read_rows(truth, Problems())
  perfect = []
  for row in rows.rows:
    windows = [[*window, 1.0] for window in row["relevant_windows"]]
    perfect.append({"qid": row["qid"], "pred_relevant_windows": windows})
  report = qvhighlights.evaluate(perfect, rows)
  assert report.expected == 1542
  assert report.metrics["brief"]["MR-full-R1@0.7"] == 100.0
  # Beyond ten windows of a query no prediction counts.
  assert 99.5 < report.metrics["brief"]["MR-full-mAP"] <= 100.0


def with_ties_broken(document, seed):
  """The same detections, equal scores put in some order by 1e-12 of noise."""
  rng = np.random.default_rng(seed)
  results = {
    video: [
      {**row, "score": row["score"] * (1 + 1e-12 * rng.random())}
      for row in rows
    ]
    for video, rows in document.value["results"].items()
  }
  return dataclasses.replace(document, value={"results": results})


def test_thumos14(evaluators):
  """Official figures, as near as the official script's own tie order lets.

  It sorts equal scores as NumPy's unstable sort does on its processor, so its
  mAP is one of many; ours must be within their range of it.
  """
  folder = evaluators / "derived_tal"
  expected = json.loads((folder / "thumos14_test_expected.json").read_text())
  predictions = files.read_json(folder / "thumos14_test_pred.json")
  truth = files.read_json(folder / "thumos14_test_gt.json")

  def score(document):
    return detection.evaluate(
      document,
      truth,
      thresholds=detection.THUMOS14,
      subset="test",
      resamples=0,
    )

  report = score(predictions)
  orders = [score(with_ties_broken(predictions, seed)) for seed in range(6)]
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


def test_thumos14_in_any_order_of_lines(evaluators):
  folder = evaluators / "derived_tal"
  predictions = files.read_json(folder / "thumos14_test_pred.json")
  truth = files.read_json(folder / "thumos14_test_gt.json")
  found = [
    detection.evaluate(
      each, truth, thresholds=detection.THUMOS14, subset="test", resamples=0
    ).metrics
    for each in (predictions, reversed_lines(predictions))
  ]
  assert found[0]["official_activitynet"] == found[1]["official_activitynet"]


def reversed_lines(document):
  """The same file, its videos and their detections in the other order."""
  results = {
    video: rows[::-1]
    for video, rows in reversed(document.value["results"].items())
  }
  return dataclasses.replace(document, value={"results": results})


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
