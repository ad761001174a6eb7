"""Why queries are missed: the causes, the table, the picture."""

import json

import numpy as np
import pytest

from benchmarks.synthetic import failures


@pytest.mark.parametrize(
  ("first", "why"),
  [
    ((0.0, 6.0), ""),
    ((20.0, 29.0), "another event"),
    ((0.0, 3.0), "part or too much"),
    ((0.0, 30.0), "part or too much"),
    ((12.0, 15.0), "elsewhere"),
  ],
)
def test_causes(first, why):
  truth, others = np.array([0.0, 10.0]), np.array([[20.0, 30.0]])
  assert failures.cause(np.array(first), truth, others) == why


def test_a_run_is_told_and_drawn(tmp_path, capsys):
  folder = tmp_path / "results" / "val"
  folder.mkdir(parents=True)
  windows = {"a": [0, 10], "b": [20, 30], "c": [31, 33]}
  said = {"a": [20, 30, 0.9], "b": [21, 30, 0.9]}
  rows = [
    {
      "qid": name,
      "query": name,
      "vid": "v",
      "duration": 50,
      "relevant_windows": [window],
      "kinds": "idle",
    }
    for name, window in windows.items()
  ]
  given = [
    {"qid": n, "pred_relevant_windows": [said[n], [0, 10, 0.1]]} for n in said
  ]
  for name, lines in ("ground_truth", rows), ("predictions", given):
    text = "\n".join(map(json.dumps, lines))
    (folder / f"{name}.jsonl").write_text(text)
  picture = tmp_path / "failures.png"
  failures.main(["--workdir", str(tmp_path), "--draw", str(picture)])
  printed = " ".join(capsys.readouterr().out.split())
  # a is answered by b's event, its own moment second; c not at all.
  assert " all 3 66.67 33.33 0.00 33.33 33.33 " in printed
  assert " idle, 0-6% of the video 1 100.00 0.00 0.00 100.00 " in printed
  assert picture.stat().st_size > 1000
