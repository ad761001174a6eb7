"""The harness that breaks files runs, and finds nothing in a few cases."""

import pytest

from benchmarks import fuzz


@pytest.mark.parametrize("what", ["readers", "submissions", "config"])
def test_a_few_cases(what, capsys):
  assert fuzz.main([f"--what={what}", "--cases=5", "--seed=1"]) == 0
  assert ", 0 wrong" in capsys.readouterr().out
