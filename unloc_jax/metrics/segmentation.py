"""Action segmentation: every frame has one class.

Accuracy and average precision of frames; edit score and F1 of runs of equal
frames, averaged over videos and in percent, as usual on GTEA, 50 Salads and
Breakfast. Axes: T frames of a video, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.annotations.arrays import FrameClasses
from unloc_jax.annotations.reading import fault, left_out
from unloc_jax.metrics import analysis
from unloc_jax.metrics.overlap import intersection_over_union
from unloc_jax.metrics.report import Confusion, Interval, Report, Table
from unloc_jax.task.frame_classes import BACKGROUND

OVERLAPS = (0.1, 0.25, 0.5)


def runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Runs of equal frames of labels [T].

  Returns their classes [R], and [R, 2] first frame and the one after the last.
  """
  if not len(labels):
    return labels, np.zeros((0, 2), int)
  first = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
  return labels[first], np.stack([first, np.r_[first[1:], len(labels)]], axis=1)


def edit_score(predicted: np.ndarray, truth: np.ndarray) -> float:
  """100 * (1 - Levenshtein distance / longer length) of classes of runs."""
  longest = max(len(predicted), len(truth))
  if not longest:
    return 100.0
  steps = np.arange(len(truth) + 1)
  row = steps.copy()
  for label in predicted:
    best = np.minimum(row[1:] + 1, row[:-1] + (truth != label))
    best = np.concatenate([[row[0] + 1], best])
    # Insertions run along the row: the cheapest start plus one a step.
    row = np.minimum.accumulate(best - steps) + steps
  return float(100.0 * (1.0 - row[-1] / longest))


def true_runs(
  predicted: tuple[np.ndarray, np.ndarray],
  truth: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
  """Number of true runs at each of OVERLAPS, int.

  A run is true when the run of its class it overlaps most meets it by the
  threshold and was not taken by an earlier one; it never takes another.
  """
  if not len(predicted[0]) or not len(truth[0]):
    return np.zeros(len(OVERLAPS), int)
  (labels, given), (classes, right) = predicted, truth
  iou = intersection_over_union(given[:, None], right, hull=True)
  iou *= labels[:, None] == classes
  best = iou.argmax(axis=1)
  value = iou.max(axis=1)
  return np.array([len(np.unique(best[value >= t])) for t in OVERLAPS])


def f1(true: np.ndarray, total: np.ndarray) -> np.ndarray:
  """F1 in percent from counts of true runs, and of predicted and real runs."""
  share: np.ndarray = 200.0 * true / np.maximum(1, total)
  return share


def frame_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
  """Average precision 0..1 of one class, tied scores taken together.

  Scores and bool truth are [T]; NaN when no frame is of the class.
  """
  if not truth.any():
    return float("nan")
  # The precision at a true frame counts all frames that score as high.
  right = np.sort(scores[truth])
  above = len(right) - np.searchsorted(right, right)
  everything = len(scores) - np.searchsorted(np.sort(scores), right)
  return float((above / everything).mean())


def _runs_scored(
  videos: Sequence[FrameClasses], background: int | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Edit and F1 of runs, those of the background left out.

  Returns columns [N] by video; their means, and F1 of all runs "pooled" as
  MS-TCN does.
  """
  rows = []
  for video in videos:
    both = []
    for labels in (video.predicted, video.truth):
      classes, spans = runs(labels)
      kept = classes != background
      both.append((classes[kept], spans[kept]))
    (predicted, _), (truth, _) = both
    edit, total = edit_score(predicted, truth), len(predicted) + len(truth)
    rows.append([edit, total, *true_runs(*both)])
  edits, totals, *true = np.array(rows, float).T
  names = [f"f1@{round(100 * t)}" for t in OVERLAPS]
  columns = {"edit": edits}
  columns.update(zip(names, (f1(each, totals) for each in true), strict=True))
  means = {name: float(column.mean()) for name, column in columns.items()}
  pooled = [float(f1(each.sum(), totals.sum())) for each in true]
  return columns, {**means, "pooled": dict(zip(names, pooled, strict=True))}


def _frame_precision(
  videos: Sequence[FrameClasses], truth: np.ndarray
) -> np.ndarray:
  """AP [C] in percent, NaN for classes without frames; [0] without scores."""
  scores = [video.scores for video in videos if video.scores is not None]
  if len(scores) < len(videos):
    return np.zeros(0)
  if len({each.shape[1] for each in scores}) > 1:
    what = "`scores` of videos differ in their number of classes"
    raise fault("predictions", what, "give one column for each class")
  for video, each in zip(videos, scores, strict=True):
    if np.isnan(each).any():
      raise fault(f"predictions: {video.name}", "NaN among the scores")
  # One class at a time: all scores of a large split would not fit twice.
  return 100.0 * np.array(
    [
      frame_average_precision(
        np.concatenate([each[:, label] for each in scores]), truth == label
      )
      for label in range(scores[0].shape[1])
    ]
  )


def _class_table(
  predicted: np.ndarray,
  truth: np.ndarray,
  names: Mapping[int, str],
  precision: np.ndarray,
) -> Table:
  """Frames, share found and share right of every class, in percent."""
  scores = dict(enumerate(precision.tolist()))
  rows: list[list[Any]] = []
  for label in np.unique(np.concatenate([truth, predicted])).tolist():
    real, given = truth == label, predicted == label
    row = [names.get(label, str(label)), int(real.sum()), int(given.sum())]
    shares = [analysis.mean(100.0 * x) for x in (given[real], real[given])]
    rows.append([*row, *shares, *([scores.get(label)] if scores else [])])
  headers = ["class", "frames", "predicted", "recall", "precision"]
  return headers + (["AP"] if scores else []), rows


def _accuracy_interval(
  right: np.ndarray, frames: np.ndarray, resamples: int, seed: int
) -> dict[str, Interval]:
  """Of frame accuracy in percent when videos are drawn again; {} for none."""
  if not resamples:
    return {}
  draws = analysis.draws(len(frames), resamples, seed)
  samples = [100.0 * (drawn @ right) / (drawn @ frames) for drawn in draws]
  value = float(100.0 * right.sum() / frames.sum())
  return {"accuracy": analysis.interval(value, np.array(samples))}


def evaluate(
  videos: Sequence[FrameClasses],
  *,
  expected: int | None = None,
  classes: Sequence[str] | None = None,
  resamples: int = analysis.RESAMPLES,
  seed: int = 0,
  notes: Sequence[str] = (),
) -> Report:
  """Scores action segmentation of at least one video.

  Class 0 is no action: blocks "bg0" leave its runs out, blocks "nobg" count it
  like any class. The confidence interval of frame accuracy is of videos drawn
  again `resamples` times.

  Returns:
    A report whose metrics, in percent, are {"acc_frames",
    "acc_mean_of_videos", "frame_mAP", "frame_mAP_without_background", "bg0":
    {"edit", "f1@10", ...}, "nobg": {...}}; "pooled" inside a block is F1 of
    the runs of all videos together.

  Raises:
    AnnotationError: Videos differ in their number of classes.
  """
  videos = sorted(videos, key=lambda video: video.name)
  right = np.array([(v.predicted == v.truth).sum() for v in videos])
  frames = np.array([len(v.truth) for v in videos])
  truth = np.concatenate([video.truth for video in videos])
  predicted = np.concatenate([video.predicted for video in videos])
  precision = _frame_precision(videos, truth)
  lacking = np.flatnonzero(np.isnan(precision)).tolist()
  names = dict(enumerate(classes or ()))
  bare = left_out(names.get(i, str(i)) for i in lacking)
  by_video, without = _runs_scored(videos, BACKGROUND)
  metrics = {
    **_frames_scored(predicted, truth, precision),
    "acc_mean_of_videos": float(100.0 * np.mean(right / frames)),
    "bg0": without,
    "nobg": _runs_scored(videos, None)[1],
    "videos": len(videos),
  }
  return Report(
    metrics=metrics,
    headline={
      "accuracy": metrics["acc_frames"],
      "frame mAP": metrics["frame_mAP"],
      "accuracy of videos": metrics["acc_mean_of_videos"],
      **{name: without[name] for name in by_video},
    },
    values={"accuracy of videos": 100.0 * right / frames, **by_video},
    tags=_tags(videos),
    seen=len(videos),
    expected=len(videos) if expected is None else expected,
    notes=(*notes, *bare),
    tables={"class": _class_table(predicted, truth, names, precision)},
    intervals=_accuracy_interval(right, frames, resamples, seed),
    confusion=Confusion(names, truth, predicted),
  )


def _frames_scored(
  predicted: np.ndarray, truth: np.ndarray, precision: np.ndarray
) -> dict[str, Any]:
  """Figures of all frames together."""
  hit, real = predicted == truth, truth != BACKGROUND
  actions = np.arange(len(precision)) != BACKGROUND
  return {
    "acc_frames": float(100.0 * hit.mean()),
    "acc_frames_without_background": (
      float(100.0 * hit[real].mean()) if real.any() else None
    ),
    "frame_mAP": analysis.mean(precision),
    "frame_mAP_without_background": analysis.mean(precision[actions]),
    "frames": len(truth),
    "classes": len(np.unique(np.concatenate([truth, predicted]))),
  }


def _tags(videos: Sequence[FrameClasses]) -> dict[str, np.ndarray]:
  """Number of runs, and length in seconds where the rate is known."""
  tags = {"segments": np.array([len(runs(v.truth)[0]) for v in videos], float)}
  if all(video.frame_rate for video in videos):
    lengths = [len(v.truth) / (v.frame_rate or 1.0) for v in videos]
    tags["length"] = np.array(lengths, float)
  return tags
