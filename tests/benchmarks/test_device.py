"""An owner of a device gets a table, of which a CPU fills a small one."""

import os
import subprocess
import sys

import pytest

from benchmarks import attention, device


@pytest.mark.heavy
def test_a_table_of_what_the_device_makes_of_it(tmp_path):
  flags = os.environ["XLA_FLAGS"].split()
  alone = " ".join(flag for flag in flags if "device_count" not in flag)
  done = subprocess.run(
    [sys.executable, "-m", "benchmarks.device"],
    env={**os.environ, "XLA_FLAGS": alone},
    capture_output=True,
    text=True,
    check=False,
  )
  assert "WRONG" not in done.stdout
  table = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
  found = {row[0]: row[1] for row in table if len(row) > 1}
  for name in ("attention, blocks, bfloat16", "MFU", "input"):
    assert found[name], done.stderr
  assert found["prediction: ask one text"].endswith(" ms")


def test_a_wrong_kernel_is_told(monkeypatch):
  monkeypatch.setitem(attention.FORMS, "blocks", lambda q, k, v: v)
  wrong = [row[0] for row in device.parity(small=True) if "WRONG" in row[1]]
  assert wrong == ["attention, blocks, float32", "attention, blocks, bfloat16"]
