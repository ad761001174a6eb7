"""The harness that breaks files runs, and finds nothing in a few cases."""

import pytest

from benchmarks import fuzz, record


@pytest.mark.parametrize("what", ["readers", "submissions", "config"])
def test_a_few_cases(what, capsys, monkeypatch):
  kept = []
  monkeypatch.setattr(record, "write", lambda *a, **_: kept.append(a))
  args = [f"--what={what}", "--cases=5", "--seed=1", "--record"]
  assert fuzz.main(args) == 0
  printed = capsys.readouterr().out
  (name, _, _, _, rows), *others = kept
  assert name == f"fuzz_{what}"
  assert not others
  for target, cases, read, refused, wrong in rows:
    assert (cases, read + refused, wrong) == (5, 5, 0)
    assert f"{target}: 5 cases" in printed
  assert printed.count(", 0 wrong") == len(rows) > 0
