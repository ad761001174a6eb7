"""What must hold of any submission."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.made import drawn, queries, segments
from unloc_jax.annotations.arrays import FrameClasses
from unloc_jax.metrics import (
  classification,
  detection,
  qvhighlights,
  recall,
  segmentation,
)

times = st.integers(0, 40).map(float)
windows = st.tuples(times, times).map(lambda pair: sorted(pair))
scored = st.tuples(windows, st.integers(0, 3)).map(
  lambda each: [*each[0], each[1] / 3]
)
asked = st.lists(
  st.tuples(
    st.lists(windows, min_size=1, max_size=4), st.lists(scored, max_size=8)
  ),
  min_size=1,
  max_size=5,
)


@given(asked, st.randoms(use_true_random=False))
def test_figures_of_moments(pairs, random):
  """In range, rising with k and falling with IoU, whatever the order."""
  asked = queries(*zip(*pairs, strict=True))
  found = recall.evaluate(asked)
  official = qvhighlights.evaluate(asked).metrics
  assert all(0.0 <= value <= 100.0 for value in found.metrics.values())
  for m in ("0.3", "0.5", "0.7"):
    assert found.metrics[f"R1@{m}"] <= found.metrics[f"R5@{m}"]
  for k in (1, 5):
    figures = [found.metrics[f"R{k}@{m}"] for m in ("0.3", "0.5", "0.7")]
    assert figures == sorted(figures, reverse=True)
  shuffled = random.sample(asked, len(asked))
  turned = recall.evaluate(shuffled)
  assert turned.metrics == found.metrics
  for name, column in found.values.items():
    np.testing.assert_array_equal(turned.values[name], column)
  assert qvhighlights.evaluate(shuffled).metrics == official
  # Asked twice, a query counts twice.
  twice = recall.evaluate(queries(*zip(*pairs * 2, strict=True)))
  assert twice.expected == 2 * found.expected
  assert twice.metrics == pytest.approx(found.metrics)


@given(asked)
def test_order_of_windows_matters_for_the_official_recall_only(pairs):
  """Recall goes by score; QVHighlights' R1 takes what is listed first."""
  # Different scores: of equal ones the order of the file decides.
  rows = [
    (truth, [[*w[:2], i / 10] for i, w in enumerate(found)])
    for truth, found in pairs
  ]
  turned = [(truth, found[::-1]) for truth, found in rows]
  same = recall.evaluate(queries(*zip(*rows, strict=True))).metrics
  assert recall.evaluate(queries(*zip(*turned, strict=True))).metrics == same


@given(asked)
def test_the_truth_predicts_itself(pairs):
  truths = [[[s, e + 1.0] for s, e in truth] for truth, _ in pairs]
  perfect = queries(truths, [[[*w, 1.0] for w in truth] for truth in truths])
  assert set(recall.evaluate(perfect).metrics.values()) == {100.0}
  brief = qvhighlights.evaluate(perfect).metrics["brief"]
  assert brief["MR-full-mAP"] == brief["MR-full-R1@0.7"] == 100.0


def test_equal_scores_and_several_segments():
  """Of equal windows the first listed counts; any true segment will do."""
  found = [
    recall.evaluate(queries([truth], [predicted])).metrics["R1@0.7"]
    for truth, predicted in (
      ([[0, 10]], [[0, 10, 0.5], [20, 30, 0.5]]),
      ([[0, 10]], [[20, 30, 0.5], [0, 10, 0.5]]),
      ([[0, 10], [20, 40]], [[20, 40, 0.9]]),
    )
  ]
  assert found == [100.0, 0.0, 100.0]


def test_points_are_no_overlap_and_no_warning():
  asked = queries([[[5, 5]], [[0, 10]]], [[[5, 5, 1.0]], [[3, 3, 1.0]]])
  assert recall.evaluate(asked).metrics["mIoU"] == 0.0
  assert qvhighlights.evaluate(asked).metrics["brief"]["MR-full-mAP"] == 0.0
  # Officially 0 / 0 is below no threshold.
  pair = segments({"v": [("a", 5, 5)]}, {"v": [("a", 7, 7, 1.0)]})
  report = detection.evaluate(*pair, resamples=0)
  assert report.metrics["average_mAP"] == 1.0
  # The other convention drops the only segment there is.
  assert report.metrics["actionformer"] is None


def test_a_query_without_predictions_is_a_miss_and_said_so():
  asked = queries([[[0, 10]]] * 3, [[[0, 10, 1.0]], [], None])
  report = recall.evaluate(asked)
  assert report.metrics["R1@0.7"] == pytest.approx(100 / 3)
  assert (report.seen, report.expected) == (2, 3)
  assert report.notes[0] == "2 of 3 queries without predictions"
  assert "query 2: no predictions, counts as a miss" in report.notes
  brief = qvhighlights.evaluate(asked).metrics["brief"]
  assert brief["MR-full-R1@0.7"] == 33.33
  # As officially, the empty list is left out of the mean; the missing row,
  # which the official script refuses, is a miss.
  assert brief["MR-full-mAP"] == 50.0


@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_detections_and_truth_may_come_in_any_order(seed, random):
  rng = np.random.default_rng(seed)
  truth, found, _ = drawn(rng, 3, 5, 20)
  # Ties, within and between videos.
  found = {v: [(*r[:3], round(r[3], 1)) for r in found[v]] for v in found}
  mixed = {v: random.sample(found[v], len(found[v])) for v in reversed(found)}
  turned = {video: rows[::-1] for video, rows in reversed(truth.items())}
  first = detection.evaluate(*segments(truth, found), resamples=9)
  second = detection.evaluate(*segments(turned, mixed), resamples=9)
  assert second.metrics == first.metrics
  assert second.intervals == first.intervals
  assert all(0.0 <= each <= 1.0 for each in first.metrics["mAP"])
  assert first.metrics["mAP"] == sorted(first.metrics["mAP"], reverse=True)


@given(st.integers(0, 2**32 - 1))
def test_every_interval_holds_its_figure(seed):
  """Also where classes are rare, and detections lie in unknown videos."""
  rng = np.random.default_rng(seed)
  truth = {f"v{i}": [(f"c{i}", 0, 1 + rng.random())] for i in range(4)}
  found = {
    f"v{i}": [(f"c{i % 4}", 0, 1 + rng.random(), rng.random())]
    for i in range(6)
  }
  report = detection.evaluate(*segments(truth, found), resamples=8, seed=seed)
  for each in report.intervals.values():
    assert 0.0 <= each.low <= each.value <= each.high <= 100.0
  mean = 100 * report.metrics["average_mAP"]
  assert report.intervals["mAP"].value == pytest.approx(mean)


def test_detections_in_unknown_videos_are_drawn_too():
  found = {"v": [("a", 0, 10, 0.5)], "w": [("a", 0, 10, 0.9)]}
  pair = segments({"v": [("a", 0, 10)]}, found)
  # 50 with both; 100 in the draws of `v` alone, 0 of `w` alone.
  interval = detection.evaluate(*pair, resamples=40).intervals["mAP"]
  assert (interval.low, interval.value, interval.high) == (0.0, 50.0, 100.0)


def test_detections_elsewhere_count_as_false_and_none_as_misses():
  truth = {"v": [("a", 0, 10)]}
  stray = {"v": [("a", 0, 10, 0.5)], "w": [("a", 0, 10, 0.9)]}
  report = detection.evaluate(*segments(truth, stray), resamples=0)
  assert report.metrics["average_mAP"] == 0.5
  report = detection.evaluate(*segments(truth, {}), resamples=5)
  assert report.metrics["average_mAP"] == 0.0
  assert (report.seen, report.expected) == (0, 1)
  assert "1 videos without detections" in report.notes[0]


def test_perfect_frames():
  labels = np.array([0, 0, 1, 1, 2, 0])
  video = FrameClasses("v", labels, labels, np.eye(3)[labels])
  report = segmentation.evaluate([video], resamples=0)
  for name in ("acc_frames", "frame_mAP", "frame_mAP_without_background"):
    assert report.metrics[name] == 100.0
  for block in ("bg0", "nobg"):
    assert report.metrics[block]["edit"] == 100.0
    assert report.metrics[block]["f1@50"] == 100.0


def test_top_k():
  scores, labels = np.array([[3.0, 2, 1], [1, 2, 3], [1, 1, 1]]), [0, 1, 0]
  more = np.array(labels), ("a", "b", "c")
  report = classification.evaluate(scores, *more)
  assert report.metrics == {"top1": pytest.approx(200 / 3), "top5": 100.0}
  assert report.tags["class"].tolist() == ["a", "b", "a"]
  scores[1, 0] = np.nan
  report = classification.evaluate(scores, *more)
  assert report.metrics["top5"] == pytest.approx(200 / 3)
  assert (report.seen, report.expected) == (2, 3)
  assert "1 videos without a number" in report.notes[0]
