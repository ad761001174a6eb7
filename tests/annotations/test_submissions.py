"""Submissions that cannot be scored: one line that says where, or skipped."""

import json

import numpy as np
import pytest

from unloc_jax.annotations import (
  class_submissions,
  detection_submissions,
  frames,
  pairing,
)
from unloc_jax.annotations.reading import AnnotationError, Problems


def read(reader, folder, predictions, truth, *more, lenient=False):
  """What a reader makes of two files' content, and what it skipped."""
  for name, content in (("p.json", predictions), ("g.json", truth)):
    (folder / name).write_text(content)
  problems = Problems(lenient)
  found = reader(folder / "p.json", folder / "g.json", problems, *more)
  return *found, problems.skipped


def read_moments(folder, rows, truths, **lenient):
  """Reads predictions of queries 0, 1, ... with these windows."""
  real = [{"qid": i, "relevant_windows": w} for i, w in enumerate(truths)]
  files = ("\n".join(map(json.dumps, lines)) for lines in (rows, real))
  found, *_, skipped = read(pairing.read, folder, *files, **lenient)
  return found, skipped


GOOD = {"qid": 1, "pred_relevant_windows": [[0, 1, 1]]}


@pytest.mark.parametrize(
  ("row", "what"),
  [
    ({"qid": 7, "pred_relevant_windows": [[0, 1, 1]]}, "7: not a query"),
    ({"qid": 0, "pred_relevant_windows": [[0, 1, float("nan")]]}, "finite"),
    ({"qid": 0, "pred_relevant_windows": [[3, 1, 1]]}, "ends before"),
    ({"qid": 0, "pred_relevant_windows": [[3, 1, 1], [1]]}, "is no list"),
    ({"qid": 0, "pred_relevant_windows": "none"}, "is no list"),
    ({"qid": 0, "pred_relevant_windows": [[0, 10**400, 1]]}, "is no list"),
    ({"qid": 0, "pred_relevant_windows": [[False, 1, 1]]}, "is no list"),
    ({"qid": 0, "pred_relevant_windows": [["0", "1_0", 1]]}, "is no list"),
    ({"qid": 0}, "no `pred_relevant_windows`"),
    ({"qid": 1, "pred_relevant_windows": [[5, 6, 1]]}, "predicted twice"),
  ],
)
def test_moments(tmp_path, row, what):
  truths = [[[0, 1]], [[0, 1]]]
  with pytest.raises(AnnotationError, match=what) as caught:
    read_moments(tmp_path, [GOOD, row], truths)
  assert str(caught.value).startswith(f"{tmp_path}/p.json:2: ")
  assert "\n" not in str(caught.value)
  queries, skipped = read_moments(tmp_path, [GOOD, row], truths, lenient=True)
  assert queries[1].predicted.tolist() == [[0, 1, 1]]
  assert not len([] if (p := queries[0].predicted) is None else p)
  assert any(what.split(": ")[-1] in line for line in skipped)


TRUTH = {"v": {"annotations": [{"label": "a", "segment": [0, 10]}]}}
RIGHT = {"label": "a", "score": 0.5, "segment": [0, 10]}


def read_detections(folder, results, **lenient):
  files = json.dumps({"results": results}), json.dumps(TRUTH)
  return read(detection_submissions.read, folder, *files, "val", **lenient)


@pytest.mark.parametrize(
  ("entry", "what"),
  [
    ({"label": "z", "score": 1, "segment": [0, 1]}, "'z' is not a class"),
    ({"label": "a", "score": float("nan"), "segment": [0, 1]}, "finite"),
    ({"label": "a", "score": 1, "segment": [2, 1]}, "ends before"),
    ({"label": "a", "segment": [0, 1]}, "needs `label`"),
    ({"label": "a", "score": True, "segment": [0, 1]}, "needs `label`"),
    ({"label": "a", "score": 1, "segment": [False, 1]}, "needs `label`"),
    ("a", "needs `label`"),
    (None, "needs `label`"),
  ],
)
def test_detections(tmp_path, entry, what):
  with pytest.raises(AnnotationError, match=what):
    read_detections(tmp_path, {"v": [entry, RIGHT]})
  found, truth, _, skipped = read_detections(
    tmp_path, {"v": [entry, RIGHT]}, lenient=True
  )
  assert found.segment.tolist() == truth.segment.tolist() == [[0, 10]]
  assert what in skipped[0]


def test_spaces_around_labels_do_not_count(tmp_path):
  results = {"v": [{**RIGHT, "label": "a "}, RIGHT]}
  assert read_detections(tmp_path, results)[0].label.tolist() == [0, 0]


def test_detections_of_other_videos(tmp_path):
  results = {"v": [RIGHT], "w": [RIGHT], "v_v": None}
  with pytest.raises(AnnotationError, match="w: not a video"):
    read_detections(tmp_path, results)
  found, _, _, skipped = read_detections(tmp_path, results, lenient=True)
  assert found.video.tolist() == [0, 1]
  assert found.answered == 1
  assert "v_v: not a list of detections" in skipped[1]


def test_frames(tmp_path):
  path = tmp_path / "frames.npz"
  arrays = {"a/x/P": [0, 1], "a/x/Y": [0, 1], "b/P": [0], "b/Y": [0, 1]}
  scores = {"a/x/S": np.zeros((2, 3)), "a/x/rate": 2.0}
  np.savez(path, **arrays, **scores)
  with pytest.raises(AnnotationError, match="b: 1 frames predicted of 2"):
    frames.read(path, path, Problems())
  (video,), expected, names, notes = frames.read(path, path, Problems(True))
  assert (video.name, video.frame_rate, video.scores.shape) == (
    "a/x",
    2.0,
    (2, 3),
  )
  assert (expected, names, notes) == (2, None, [])


def test_classes_are_numbers_of_any_length(tmp_path):
  names = ["10", "9", "9" * 5000, "dog"]
  given = {"v": {name: i for i, name in enumerate(names)}}
  files = json.dumps(given), json.dumps({"v": "10"})
  found = read(class_submissions.read, tmp_path, *files)
  scores, labels, classes, *_ = found
  assert classes == ["9", "10", "9" * 5000, "dog"]
  assert scores.tolist() == [[1, 0, 2, 3]]
  assert labels.tolist() == [1]
