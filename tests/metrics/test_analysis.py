"""Breakdowns, intervals and tables."""

import dataclasses

import numpy as np
import pytest

from tests.metrics.made import MADE
from unloc_jax.annotations import BENCHMARKS, pairing
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import (
  analysis,
  qvhighlights,
  recall,
  show,
  table,
)


@pytest.fixture(scope="module")
def queries():
  truth = MADE / "qvh_truth.jsonl"
  return pairing.read(MADE / "qvh_predictions.jsonl", truth, Problems())[0]


@pytest.fixture(scope="module")
def report(queries):
  return recall.evaluate(queries)


def test_breakdowns(report):
  headers, rows = analysis.breakdown(report, "kind")
  assert headers[:2] == ["", "examples"]
  assert [row[:2] for row in rows] == [["colour", 1], ["order", 1]]
  at = headers.index("mIoU")
  assert [row[at] for row in rows] == [100.0, 100.0]
  _, rows = analysis.breakdown(report, "segments")
  assert [row[0] for row in rows] == ["1", "2"]
  # Parts weigh up to the whole.
  headers, rows = analysis.breakdown(report, "length")
  assert [row[0] for row in rows] == ["(0, 10] s", "(10, 30] s"]
  for name, value in report.headline.items():
    at = headers.index(name)
    total = sum(row[1] * row[at] for row in rows)
    assert total / sum(row[1] for row in rows) == pytest.approx(value)


def test_bins_are_open_below():
  values = np.array([-1.0, 0.0, 0.1, 10.0, 10.1, 1e9])
  named, names = analysis.bins(values, (0, 10, 30, np.inf))
  assert names == ["<= 0 s", "(0, 10] s", "(10, 30] s", "> 30 s"]
  assert named.tolist() == [names[i] for i in (0, 0, 1, 1, 2, 3)]


def test_bootstrap_is_seeded_and_about_right():
  """A fair coin of 400 throws has a standard error of 2.5 points."""
  rng = np.random.default_rng(1)
  columns = {
    "hit": 100.0 * (rng.random(400) < 0.5),
    "none": np.full(400, np.nan),
  }
  found = analysis.bootstrap(columns, resamples=500, seed=3)
  assert list(found) == ["hit"]
  assert found == analysis.bootstrap(columns, resamples=500, seed=3)
  assert found["hit"] != analysis.bootstrap(columns, 500, seed=4)["hit"]
  width = found["hit"].high - found["hit"].low
  assert width == pytest.approx(4 * 2.5, rel=0.15)
  assert found["hit"].low < found["hit"].value < found["hit"].high


def test_bootstrap_leaves_out_nan():
  columns = {"some": np.array([100.0, np.nan, 100.0, np.nan])}
  found = analysis.bootstrap(columns, resamples=50)["some"]
  # Also where a draw holds none of the examples with a value.
  assert (found.value, found.low, found.high) == (100.0, 100.0, 100.0)


def test_values_average_to_the_headline(queries):
  report = qvhighlights.evaluate(queries)
  for name, column in report.values.items():
    mean = analysis.mean(column)
    shown = report.headline[name]
    assert shown == (None if mean is None else pytest.approx(mean, abs=0.006))


def test_table():
  text = table.render(["", "R1"], [["all", 50.0], ["none", None]], title="x")
  assert text == "x\n         R1\n----  -----\nall   50.00\nnone      -"


def test_report_as_text_has_everything(report):
  others = BENCHMARKS["charades_sta"].published
  known = analysis.intervals(report, resamples=20, seed=0)
  report = dataclasses.replace(report, intervals=known)
  text = show.text(report, "charades_sta", others)
  assert f"{known['mIoU'].high:.2f}" in text
  for part in ("SnAG", "by length", "by kind", "scored 2 of 2", "95% low"):
    assert part in text
