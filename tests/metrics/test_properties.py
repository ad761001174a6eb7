"""What must hold of any submission."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unloc_jax.metrics import (
  MetricsError,
  classification,
  detection,
  qvhighlights,
  recall,
  segmentation,
)

few = settings(max_examples=40, deadline=None, derandomize=True)
times = st.integers(0, 40).map(float)
windows = st.tuples(times, times).map(lambda pair: sorted(pair))
scored = st.tuples(windows, st.integers(0, 3)).map(
  lambda each: [*each[0], each[1] / 3]
)
truths = st.lists(
  st.lists(windows, min_size=1, max_size=4), min_size=1, max_size=5
)


def rows_of(truth):
  return [
    {"qid": qid, "query": f"query {qid}", "vid": "v", "relevant_windows": each}
    for qid, each in enumerate(truth)
  ]


def predictions_of(truth, data):
  return [
    {
      "qid": qid,
      "pred_relevant_windows": data.draw(st.lists(scored, max_size=8)),
    }
    for qid in range(len(truth))
  ]


def results_of(number, rng, labels):
  return [
    {
      "label": str(rng.choice(labels)),
      "score": float(score),
      "segment": sorted(rng.uniform(0, 40, 2).tolist()),
    }
    for score in rng.permutation(number) / number
  ]


@given(truths, st.data())
@few
def test_order_of_rows_does_not_matter(truth, data):
  rows, predictions = rows_of(truth), predictions_of(truth, data)
  shuffled = data.draw(st.permutations(predictions))
  first = recall.evaluate(predictions, rows)
  assert recall.evaluate(shuffled, rows).metrics == first.metrics
  official = qvhighlights.evaluate(predictions, rows).metrics
  assert qvhighlights.evaluate(shuffled, rows).metrics == official


@given(truths, st.data())
@few
def test_order_of_windows_matters_for_the_official_recall_only(truth, data):
  """Recall goes by score; QVHighlights' R1 takes what is listed first."""
  rows, predictions = rows_of(truth), predictions_of(truth, data)
  for row in predictions:
    # Different scores: of equal ones the order of the file decides.
    for index, window in enumerate(row["pred_relevant_windows"]):
      window[2] = index / 10
  turned = copy.deepcopy(predictions)
  for row in turned:
    row["pred_relevant_windows"].reverse()
  same = recall.evaluate(predictions, rows).metrics
  assert recall.evaluate(turned, rows).metrics == same


@given(truths, st.data())
@few
def test_figures_are_ordered_and_in_range(truth, data):
  predictions = predictions_of(truth, data)
  found = recall.evaluate(predictions, rows_of(truth)).metrics
  assert all(0.0 <= value <= 100.0 for value in found.values())
  for m in ("0.3", "0.5", "0.7"):
    assert found[f"R1@{m}"] <= found[f"R5@{m}"]
  for k in (1, 5):
    assert found[f"R{k}@0.7"] <= found[f"R{k}@0.5"] <= found[f"R{k}@0.3"]


@given(truths, st.data())
@few
def test_a_query_twice_counts_twice(truth, data):
  """Equal sentences of one video are queries of their own."""
  rows, predictions = rows_of(truth), predictions_of(truth, data)
  doubled = rows + [{**row, "qid": f"again {row['qid']}"} for row in rows]
  answers = predictions + [
    {**row, "qid": f"again {row['qid']}"} for row in predictions
  ]
  once, twice = (
    recall.evaluate(predictions, rows),
    recall.evaluate(answers, doubled),
  )
  assert twice.expected == 2 * once.expected
  assert twice.metrics == pytest.approx(once.metrics)


@given(truths)
@few
def test_the_truth_predicts_itself(truth):
  for each in truth:
    each[:] = [[s, e + 1.0] for s, e in each]
  rows = rows_of(truth)
  perfect = [
    {
      "qid": row["qid"],
      "pred_relevant_windows": [[*w, 1.0] for w in row["relevant_windows"]],
    }
    for row in rows
  ]
  assert set(recall.evaluate(perfect, rows).metrics.values()) == {100.0}
  brief = qvhighlights.evaluate(perfect, rows).metrics["brief"]
  assert brief["MR-full-mAP"] == brief["MR-full-R1@0.7"] == 100.0


def test_equal_scores_keep_the_order_of_the_file():
  rows = rows_of([[[0, 10]]])
  first = [{"qid": 0, "pred_relevant_windows": [[0, 10, 0.5], [20, 30, 0.5]]}]
  later = [{"qid": 0, "pred_relevant_windows": [[20, 30, 0.5], [0, 10, 0.5]]}]
  assert recall.evaluate(first, rows).metrics["R1@0.7"] == 100.0
  assert recall.evaluate(later, rows).metrics["R1@0.7"] == 0.0


def test_equal_detections_are_told_apart_by_what_they_say():
  truth = {"v": {"annotations": [{"label": "a", "segment": [0, 10]}]}}
  right = {"label": "a", "score": 0.5, "segment": [0, 10]}
  wrong = {"label": "a", "score": 0.5, "segment": [20, 30]}
  found = [
    detection.evaluate({"results": {"v": each}}, truth, resamples=0)
    for each in ([wrong, right], [right, wrong])
  ]
  assert [each.metrics["average_mAP"] for each in found] == [1.0, 1.0]


def test_the_best_of_several_segments_counts():
  rows = rows_of([[[0, 10], [20, 40]]])
  predictions = [{"qid": 0, "pred_relevant_windows": [[20, 40, 0.9]]}]
  assert recall.evaluate(predictions, rows).metrics["mIoU"] == 100.0


def test_points_are_no_overlap_and_no_warning():
  rows = rows_of([[[5, 5]], [[0, 10]]])
  predictions = [
    {"qid": 0, "pred_relevant_windows": [[5, 5, 1.0]]},
    {"qid": 1, "pred_relevant_windows": [[3, 3, 1.0]]},
  ]
  assert recall.evaluate(predictions, rows).metrics["mIoU"] == 0.0
  brief = qvhighlights.evaluate(predictions, rows).metrics["brief"]
  assert brief["MR-full-mAP"] == 0.0
  truth = {"v": {"annotations": [{"label": "a", "segment": [5, 5]}]}}
  guess = {"v": [{"label": "a", "score": 1.0, "segment": [5, 5]}]}
  report = detection.evaluate({"results": guess}, truth, resamples=0)
  assert report.metrics["average_mAP"] == 0.0
  # The other convention drops the only segment there is.
  assert report.metrics["actionformer"] is None


def test_a_query_without_predictions_is_a_miss_and_said_so():
  rows = rows_of([[[0, 10]], [[0, 10]], [[0, 10]]])
  predictions = [
    {"qid": 0, "pred_relevant_windows": [[0, 10, 1.0]]},
    {"qid": 1, "pred_relevant_windows": []},
  ]
  report = recall.evaluate(predictions, rows)
  assert report.metrics["R1@0.7"] == pytest.approx(100 / 3)
  assert (report.seen, report.expected) == (2, 3)
  assert report.notes[0] == "2 of 3 queries without predictions"
  assert "query 2: no predictions, counts as a miss" in report.notes
  brief = qvhighlights.evaluate(predictions, rows).metrics["brief"]
  assert brief["MR-full-R1@0.7"] == 33.33
  # As officially, the empty list is left out of the mean; the missing row,
  # which the official script refuses, is a miss.
  assert brief["MR-full-mAP"] == 50.0


@pytest.mark.parametrize(
  ("row", "what"),
  [
    ({"qid": 7, "pred_relevant_windows": [[0, 1, 1]]}, "7: not a query"),
    ({"qid": 0, "pred_relevant_windows": [[0, 1, float("nan")]]}, "finite"),
    ({"qid": 0, "pred_relevant_windows": [[3, 1, 1]]}, "ends before"),
    ({"qid": 0, "pred_relevant_windows": [[3, 1, 1], [1]]}, "is no list"),
    ({"qid": 0, "pred_relevant_windows": "none"}, "is no list"),
  ],
)
def test_what_cannot_be_scored(row, what):
  rows = rows_of([[[0, 1]], [[0, 1]]])
  good = {"qid": 1, "pred_relevant_windows": [[0, 1, 1]]}
  with pytest.raises(MetricsError, match=what) as caught:
    recall.evaluate([good, row], rows)
  assert str(caught.value).startswith("predictions:2: ")
  assert "\n" not in str(caught.value)
  report = recall.evaluate([good, row], rows, lenient=True)
  assert report.metrics["R1@0.7"] == 50.0
  assert any(what.split(": ")[-1] in note for note in report.notes)


def test_a_query_predicted_twice_is_refused():
  rows = rows_of([[[0, 1]]])
  good = {"qid": 0, "pred_relevant_windows": [[0, 1, 1]]}
  bad = {"qid": 0, "pred_relevant_windows": [[5, 6, 1]]}
  with pytest.raises(MetricsError, match="predicted twice"):
    recall.evaluate([good, bad], rows)
  report = recall.evaluate([good, bad], rows, lenient=True)
  assert report.metrics["R1@0.7"] == 100.0


@given(st.integers(0, 2**32 - 1))
@few
def test_detections_may_come_in_any_order(seed):
  rng = np.random.default_rng(seed)
  truth = {
    f"v{i}": {
      "annotations": [
        {"label": label, "segment": sorted(rng.uniform(0, 40, 2).tolist())}
        for label in ("a", "b", "b")
      ]
    }
    for i in range(3)
  }
  results = {video: results_of(12, rng, ["a", "b"]) for video in truth}
  for rows in results.values():
    for row in rows:
      row["score"] = round(row["score"], 1)  # Ties, within and between videos.
  mixed = {
    video: [results[video][i] for i in rng.permutation(12)]
    for video in reversed(results)
  }
  first = detection.evaluate({"results": results}, truth, resamples=0)
  second = detection.evaluate({"results": mixed}, truth, resamples=0)
  assert second.metrics == first.metrics
  assert all(0.0 <= each <= 1.0 for each in first.metrics["mAP"])
  assert first.metrics["mAP"] == sorted(first.metrics["mAP"], reverse=True)


def test_worse_detections_in_unknown_videos_count_as_false_when_lenient():
  truth = {"v": {"annotations": [{"label": "a", "segment": [0, 10]}]}}
  right = {"label": "a", "score": 0.5, "segment": [0, 10]}
  stray = {"label": "a", "score": 0.9, "segment": [0, 10]}
  results = {"results": {"v": [right], "w": [stray]}}
  with pytest.raises(MetricsError, match="w: not a video"):
    detection.evaluate(results, truth, resamples=0)
  report = detection.evaluate(results, truth, resamples=0, lenient=True)
  assert report.metrics["average_mAP"] == 0.5


@pytest.mark.parametrize(
  ("entry", "what"),
  [
    ({"label": "z", "score": 1, "segment": [0, 1]}, "'z' is not a class"),
    ({"label": "a", "score": float("nan"), "segment": [0, 1]}, "finite"),
    ({"label": "a", "score": 1, "segment": [2, 1]}, "ends before"),
    ({"label": "a", "segment": [0, 1]}, "needs `label`"),
    ("a", "needs `label`"),
  ],
)
def test_detections_that_cannot_be_scored(entry, what):
  truth = {"v": {"annotations": [{"label": "a", "segment": [0, 10]}]}}
  right = {"label": "a", "score": 0.5, "segment": [0, 10]}
  results = {"results": {"v": [entry, right]}}
  with pytest.raises(MetricsError, match=what):
    detection.evaluate(results, truth, resamples=0)
  report = detection.evaluate(results, truth, resamples=0, lenient=True)
  assert report.metrics["average_mAP"] == 1.0
  assert what in report.notes[0]


def test_no_detections_at_all():
  truth = {"v": {"annotations": [{"label": "a", "segment": [0, 10]}]}}
  report = detection.evaluate({"results": {}}, truth, resamples=5)
  assert report.metrics["average_mAP"] == 0.0
  assert (report.seen, report.expected) == (0, 1)
  assert "1 videos without detections" in report.notes[0]


def test_perfect_frames():
  labels = np.array([0, 0, 1, 1, 2, 0])
  scores = np.eye(3)[labels]
  report = segmentation.evaluate(
    [segmentation.Video("v", labels, labels, scores)], resamples=0
  )
  for name in ("acc_frames", "frame_mAP", "frame_mAP_without_background"):
    assert report.metrics[name] == 100.0
  for block in ("bg0", "nobg"):
    assert report.metrics[block]["edit"] == 100.0
    assert report.metrics[block]["f1@50"] == 100.0


def test_background_is_where_no_logit_is_above_zero():
  logits = np.array([[1.0, 2.0], [-1.0, -0.5], [0.0, 0.0], [3.0, -1.0]])
  found = segmentation.from_logits(logits)
  np.testing.assert_array_equal(found, [2, 0, 0, 1])
  found = segmentation.from_logits(logits, background=2)
  np.testing.assert_array_equal(found, [1, 2, 2, 0])


def test_frames_that_cannot_be_scored():
  good = segmentation.Video("a", np.array([0, 1]), np.array([0, 1]))
  short = segmentation.Video("b", np.array([0]), np.array([0, 1]))
  with pytest.raises(MetricsError, match="b: 1 frames predicted of 2"):
    segmentation.evaluate([good, short], resamples=0)
  report = segmentation.evaluate([good, short], resamples=0, lenient=True)
  assert (report.seen, report.expected) == (1, 2)


def test_top_k():
  scores = np.array([[3.0, 2, 1], [1, 2, 3], [1, 1, 1]])
  report = classification.evaluate(scores, np.array([0, 1, 0]), ks=(1, 2))
  assert report.metrics["top1"] == pytest.approx(200 / 3)
  assert report.metrics["top2"] == 100.0
  scores[1, 0] = np.nan
  with pytest.raises(MetricsError, match="NaN"):
    classification.evaluate(scores, np.array([0, 1, 0]))
  lenient = classification.evaluate(
    scores, np.array([0, 1, 0]), ks=(1, 2), lenient=True
  )
  assert lenient.metrics["top2"] == pytest.approx(200 / 3)
  assert (lenient.seen, lenient.expected) == (2, 3)
