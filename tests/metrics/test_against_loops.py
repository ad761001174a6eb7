"""The vectorised evaluators against loops written straight from the spec."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.made import draw_segments, drawn, queries, segments
from unloc_jax.metrics import (
  analysis,
  detection,
  highlights,
  matching,
  overlap,
  qvhighlights,
  segmentation,
)

seeds = st.integers(0, 2**32 - 1)


def official_ap(truth, found, thresholds):
  """ActivityNet's compute_average_precision_detection, of one class.

  `truth` is {video: [(start, end)]}, `found` [(video, start, end)] best first.
  """
  positives = sum(map(len, truth.values()))
  locked = {
    video: -np.ones((len(thresholds), len(truth[video]))) for video in truth
  }
  true, false = np.zeros((2, len(thresholds), len(found)))
  for index, (video, start, end) in enumerate(found):
    if not truth.get(video):
      false[:, index] = 1
      continue
    real = np.array(truth[video], float)
    shared = np.minimum(end, real[:, 1]) - np.maximum(start, real[:, 0])
    shared = shared.clip(0)
    union = (real[:, 1] - real[:, 0]) + (end - start) - shared
    with np.errstate(invalid="ignore"):
      tiou = shared / union
    for level, threshold in enumerate(thresholds):
      # The script's own sort leaves equal ones to the processor.
      for j in tiou.argsort(kind="stable")[::-1]:
        if tiou[j] < threshold:
          false[level, index] = 1
          break
        if locked[video][level, j] >= 0:
          continue
        true[level, index] = 1
        locked[video][level, j] = index
        break
      if not false[level, index] and not true[level, index]:
        false[level, index] = 1
  values = []
  for hits, misses in zip(true.cumsum(1), false.cumsum(1), strict=True):
    precision = np.hstack([[0], hits / (hits + misses), [0]])
    recall = np.hstack([[0], hits / positives, [1]])
    for i in range(len(precision) - 1)[::-1]:
      precision[i] = max(precision[i], precision[i + 1])
    steps = np.where(recall[1:] != recall[:-1])[0] + 1
    values.append(
      ((recall[steps] - recall[steps - 1]) * precision[steps]).sum()
    )
  return values


@pytest.mark.parametrize("whole", [False, True])
@given(seeds)
def test_detection(whole, seed):
  """Segments of no length, and those of unknown videos, count as officially."""
  rng = np.random.default_rng(seed)
  truth, found, names = drawn(rng, rng.integers(1, 6), 9, 25, whole)
  found["w"] = [(*row[:3], rng.random()) for row in found["v0"]]
  thresholds = (0.3, 0.5, 0.7, 0.95)
  pair = segments(truth, found)
  report = detection.evaluate(*pair, thresholds=thresholds, resamples=0)
  expected = []
  for name in names:
    real = {
      video: [row[1:] for row in rows if row[0] == name]
      for video, rows in truth.items()
    }
    flat = [
      (score, video, start, end)
      for video, rows in found.items()
      for label, start, end, score in rows
      if label == name
    ]
    ordered = [row[1:] for row in sorted(flat, reverse=True)]
    expected.append(official_ap(real, ordered, thresholds))
  expected = np.mean(expected, axis=0)
  np.testing.assert_allclose(report.metrics["mAP"], expected, atol=1e-12)


@given(seeds)
def test_moment_average_precision(seed):
  rng = np.random.default_rng(seed)
  number = rng.integers(1, 6)
  truths = [draw_segments(rng, rng.integers(1, 5)) for _ in range(number)]
  predictions = [
    np.hstack([draw_segments(rng, 14), rng.random((14, 1))]) for _ in truths
  ]
  asked = queries(truths, predictions)
  found, _ = qvhighlights.moments(asked, qvhighlights.RANGES["full"])
  for query, row in enumerate(found):
    ordered = sorted(predictions[query][:10], key=lambda window: -window[2])
    flat = [(0, window[0], window[1]) for window in ordered]
    windows = {0: truths[query].tolist()}
    assert row == pytest.approx(official_ap(windows, flat, overlap.THRESHOLDS))


@given(seeds)
def test_clip_average_precision_with_ties(seed):
  rng = np.random.default_rng(seed)
  scores = rng.integers(0, 5, 12) / 4.0
  labels = rng.random(12) < 0.4
  found = highlights.average_precision(scores[None], labels[None, :, None])
  curve = []  # (recall, precision) at each distinct score, highest first
  for limit in sorted(set(scores.tolist()), reverse=True):
    taken = scores >= limit
    right = (taken & labels).sum()
    curve.append((right / max(1, labels.sum()), right / taken.sum()))
  levels = []
  for index, (recall, _) in enumerate(curve):
    before = curve[index - 1][0] if index else 0.0
    if recall > before:
      levels.append(max(precision for _, precision in curve[index:]))
  expected = np.mean(levels) if levels else 0.0
  assert found[0, 0] == pytest.approx(expected)


def slow_edit(first, second):
  table = np.zeros((len(first) + 1, len(second) + 1))
  table[:, 0] = np.arange(len(first) + 1)
  table[0] = np.arange(len(second) + 1)
  for i in range(len(first)):
    for j in range(len(second)):
      table[i + 1, j + 1] = min(
        table[i, j + 1] + 1,
        table[i + 1, j] + 1,
        table[i, j] + (first[i] != second[j]),
      )
  return 100 * (1 - table[-1, -1] / max(len(first), len(second)))


def slow_f1(predicted, truth, threshold):
  used, right = set(), 0
  for label, (start, end) in zip(*predicted, strict=True):
    values = []
    for other, (first, last) in zip(*truth, strict=True):
      shared = min(end, last) - max(start, first)
      hull = max(end, last) - min(start, first)
      values.append(shared / hull if label == other else 0.0)
    best = int(np.argmax(values))
    if values[best] >= threshold and best not in used:
      used.add(best)
      right += 1
  wrong, missed = len(predicted[0]) - right, len(truth[0]) - len(used)
  return 200.0 * right / (2 * right + wrong + missed)


@given(seeds)
def test_runs(seed):
  rng = np.random.default_rng(seed)
  given_, real = (
    np.repeat(rng.integers(0, 4, 12), rng.integers(1, 6, 12)) for _ in range(2)
  )
  size = min(len(given_), len(real))
  predicted = segmentation.runs(given_[:size])
  truth = segmentation.runs(real[:size])
  edit = segmentation.edit_score(predicted[0], truth[0])
  assert edit == pytest.approx(slow_edit(predicted[0], truth[0]))
  right = segmentation.true_runs(predicted, truth)
  found = segmentation.f1(right, len(predicted[0]) + len(truth[0]))
  for value, threshold in zip(found, segmentation.OVERLAPS, strict=True):
    assert value == pytest.approx(slow_f1(predicted, truth, threshold))


@given(seeds)
def test_frame_average_precision_is_the_area_of_steps(seed):
  rng = np.random.default_rng(seed)
  scores, truth = rng.integers(0, 9, 40) / 8.0, rng.random(40) < 0.3
  if not truth.any():
    truth[0] = True
  area, before = 0.0, 0.0
  for limit in sorted(set(scores.tolist()), reverse=True):
    taken = scores >= limit
    recall = (taken & truth).sum() / truth.sum()
    area += (recall - before) * (taken & truth).sum() / taken.sum()
    before = recall
  found = segmentation.frame_average_precision(scores, truth)
  assert found == pytest.approx(area)


@given(seeds)
def test_resampling_with_every_video_once_is_the_figure(seed):
  """The fast weighted AP agrees with the plain one."""
  rng = np.random.default_rng(seed)
  truth, found, _ = drawn(rng, 4, 5, 20)
  found, truth = segments(truth, found)
  matched = matching.match(truth, found, (0.3, 0.5))
  once = lambda examples, resamples, seed: iter([np.ones(examples, int)])  # noqa: E731
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(analysis, "draws", once)
    sample = matching.resample(truth, found, matched, 1, 0)[0]
  plain = matched.average_precision().mean(axis=1)
  np.testing.assert_allclose(sample, plain, atol=1e-9)


def test_hull_and_union_differ_only_apart():
  near = np.array([0.0, 4.0]), np.array([2.0, 6.0])
  apart = np.array([0.0, 1.0]), np.array([5.0, 6.0])
  assert overlap.intersection_over_union(*near) == pytest.approx(2 / 6)
  hull = overlap.intersection_over_union(*near, hull=True)
  assert hull == pytest.approx(2 / 6)
  assert overlap.intersection_over_union(*apart) == 0.0
