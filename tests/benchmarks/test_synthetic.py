"""Baselines of the embedded benchmark score what they claim to."""

import json

import numpy as np
import pytest

from benchmarks.synthetic import (
  classification,
  localization,
  segmentation,
  tables,
)
from unloc_jax.metrics import frames
from unloc_jax.metrics.segmentation import Video

CLASSES = [f"class {i}" for i in range(10)]


@pytest.fixture
def truth():
  """Ten videos of 100 s, each with a short and a long event."""
  rng = np.random.default_rng(0)
  return {
    f"video_{v}": {
      "subset": "validation",
      "duration": 100.0,
      "annotations": [
        {"segment": [10.0, 14.0], "label": str(labels[0])},
        {"segment": [40.0, 90.0], "label": str(labels[1])},
      ],
    }
    for v in range(10)
    for labels in [rng.choice(CLASSES, 2, replace=False)]
  }


def _perfect(truth):
  return {
    video: [{**event, "score": 0.9} for event in entry["annotations"]]
    + [{"segment": [0.0, 5.0], "label": name, "score": 0.1} for name in CLASSES]
    for video, entry in truth.items()
  }


def test_perfect_detections_score_all_and_shuffled_ones_little(truth):
  found = _perfect(truth)
  assert localization.mean_precision(found, truth) == [100.0, 100.0]
  chance = localization.shuffled(found, 0)
  assert localization.mean_precision(chance, truth)[0] < 40
  for video, rows in found.items():
    places = [row["segment"] for row in chance[video]]
    assert places == [row["segment"] for row in rows]
    labels = sorted(row["label"] for row in chance[video])
    assert labels == sorted(row["label"] for row in rows)


def test_events_of_another_length_are_no_mistakes(truth):
  kept, events = localization.of_length(_perfect(truth), truth, 0.0, 0.06)
  assert all(len(entry["annotations"]) == 1 for entry in events.values())
  assert localization.mean_precision(kept, events) == [100.0, 100.0]
  for rows in kept.values():
    assert [40.0, 90.0] not in [row["segment"] for row in rows]


def test_table_of_localization(tmp_path, truth):
  (tmp_path / "predictions.json").write_text(
    json.dumps({"results": _perfect(truth)})
  )
  (tmp_path / "ground_truth.json").write_text(json.dumps({"database": truth}))
  title, headers, rows = localization.compare(tmp_path)
  assert "10 videos" in title
  assert rows[0][:4] == ["all events", 20, 100.0, 100.0]
  assert len(headers) == len(rows[0])
  assert len(rows) == 3  # All, and the two lengths that there are.


def test_table_of_segmentation(tmp_path):
  truth = np.repeat([0, 2, 0, 1], [50, 4, 16, 30])
  predicted = truth.copy()
  predicted[50:52] = 0
  video = Video("v", predicted, truth, np.zeros((100, 3)))
  frames.write_npz(tmp_path / "predictions.npz", [video])
  rows = {row[0]: row[2:] for row in segmentation.compare(tmp_path).rows}
  assert rows["all frames"] == [98.0, 66.0]
  assert rows["... of 0-6% of the video"] == [50.0, 0.0]
  assert rows["... of 25-100% of the video"] == [100.0, 0.0]


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
