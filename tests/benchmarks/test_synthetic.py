"""Baselines of the embedded benchmark score what they claim to."""

import json

import numpy as np
import pytest

from benchmarks import record
from benchmarks.synthetic import (
  __main__,
  classification,
  localization,
  moments,
  segmentation,
  tables,
)
from tests.metrics.made import segments

CLASSES = [f"class {i}" for i in range(10)]


@pytest.fixture
def truth():
  """Ten videos of 100 s, each with a short and a long event."""
  rng = np.random.default_rng(0)
  labels = [rng.choice(CLASSES, 2, replace=False) for _ in range(10)]
  return {
    f"video_{v}": [(str(a), 10.0, 14.0), (str(b), 40.0, 90.0)]
    for v, (a, b) in enumerate(labels)
  }


def _perfect(truth):
  return {
    video: [(*event, 0.9) for event in events]
    + [(name, 0.0, 5.0, 0.1) for name in CLASSES]
    for video, events in truth.items()
  }


def test_perfect_detections_score_all_and_shuffled_ones_little(truth):
  found, real = segments(truth, _perfect(truth))
  assert localization.mean_precision(found, real) == [100.0, 100.0]
  chance = localization.shuffled(found, 0)
  assert localization.mean_precision(chance, real)[0] < 40
  for video in range(len(real.videos)):
    here = found.video == video
    assert sorted(chance.label[here]) == sorted(found.label[here])


def test_events_of_another_length_are_no_mistakes(truth):
  found, real = segments(truth, _perfect(truth))
  short = np.diff(real.segment)[:, 0] < 6
  kept, events = localization.of_events(found, real, short)
  assert len(events.segment) == 10
  assert localization.mean_precision(kept, events) == [100.0, 100.0]
  assert [40.0, 90.0] not in kept.segment.tolist()


def test_table_of_localization(tmp_path, truth):
  results = {
    video: [{"label": n, "segment": s, "score": p} for n, *s, p in rows]
    for video, rows in _perfect(truth).items()
  }
  database = {
    video: {
      "subset": "validation",
      "duration": 100.0,
      "annotations": [{"label": n, "segment": s} for n, *s in events],
    }
    for video, events in truth.items()
  }
  for name, inner in (("predictions", results), ("ground_truth", database)):
    key = "results" if inner is results else "database"
    (tmp_path / f"{name}.json").write_text(json.dumps({key: inner}))
  title, headers, rows = localization.compare(tmp_path)
  assert "10 videos" in title
  assert rows[0][:4] == ["all events", 20, 100.0, 100.0]
  assert len(headers) == len(rows[0])
  assert len(rows) == 3  # All, and the two lengths that there are.


def test_table_of_segmentation(tmp_path):
  truth = np.repeat([0, 2, 0, 1], [50, 4, 16, 30])
  predicted = truth.copy()
  predicted[50:52] = 0
  arrays = {"v/P": predicted, "v/Y": truth, "v/S": np.zeros((100, 3))}
  np.savez(tmp_path / "predictions.npz", **arrays)
  rows = {row[0]: row[2:] for row in segmentation.compare(tmp_path).rows}
  assert rows["all frames"] == [98.0, 66.0]
  assert rows["... of 0-6% of the video"] == [50.0, 0.0]
  assert rows["... of 25-100% of the video"] == [100.0, 0.0]


def test_table_of_moments(tmp_path):
  """The constant (0, 1/10) is right twice, the model once."""
  rows = [
    {"qid": i, "vid": "v", "query": "q", "duration": 100.0, "kinds": kind}
    for i, kind in enumerate(("where", "when", "where"))
  ]
  windows = [[[0, 10]], [[0, 10]], [[50, 100]]]
  for name, key in (("ground_truth", ""), ("predictions", "pred_")):
    lines = [
      json.dumps({**row, f"{key}relevant_windows": window})
      for row, window in zip(rows, windows, strict=True)
      if not key or row["qid"] == 2
    ]
    (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
  table = moments.compare(tmp_path)
  assert "1 of 3 queries" in table.title
  found = {row[0]: row[1:3] + row[4:5] for row in table.rows}
  third = 100 / 3
  assert found["all queries"] == pytest.approx([3, third, 2 * third])
  assert found["where"] == [2, 50.0, 50.0]
  assert found["25-100% of the video"] == [1, 100.0, 0.0]


def test_table_of_classification(tmp_path):
  rows = {
    "a": {"labels": [0, 1], "scores": [0.9, 0.1, 0.2]},
    "b": {"labels": [1], "scores": [0.9, 0.1, 0.2]},
  }
  (tmp_path / "predictions.json").write_text(json.dumps(rows))
  assert classification.compare(tmp_path).rows[0][1:] == [2, 50.0, 100.0, 100.0]


def test_several_runs_are_averaged():
  seeds = [
    tables.Table("test", ["", "n", "x"], [["a", 3, x]]) for x in (1.0, 3.0)
  ]
  assert "2.0 ± 1.4" in tables.render(seeds)
  other = tables.Table("test", ["", "n", "x"], [["a", 4, 1.0]])
  with pytest.raises(ValueError, match="same data"):
    tables.render([seeds[0], other])


def test_what_is_kept_is_by_split_and_without_lengths(monkeypatch):
  kept = []
  monkeypatch.setattr(record, "write", lambda *args: kept.append(args))
  rows = [["all", 3, 50.0], ["6-12% of the video", 1, 100.0]]
  one = tables.Table("test", ["", "n", "x"], rows)
  __main__.keep(
    "tal", {"test": [one], "unseen": [one]}, ("configs/synthetic_tal.py",), [4]
  )
  (name, command, measures, header, rows, seeds), *_ = kept
  assert "--workdir runs/tal/seed_* --split test unseen --record tal" in command
  assert "configs/synthetic_tal.py" in measures
  assert (name, header, seeds) == ("tal", ["", "n", "x"], [4])
  assert rows == [["test: all", 3, "50.0"], ["unseen: all", 3, "50.0"]]
