"""An owner of a device gets a table, of which a CPU fills a small one."""

import pytest

from benchmarks import attention, device


@pytest.mark.heavy
def test_a_table_of_what_the_device_makes_of_it(capsys, monkeypatch):
  monkeypatch.setattr(device, "keep_programs", lambda: None)
  device.main(["--small"])
  printed = capsys.readouterr().out
  assert "WRONG" not in printed
  rows = [line.split(" | ") for line in printed.splitlines() if "|" in line]
  names = [row[0] for row in rows]
  for name in ("attention, blocks, bfloat16", "train step", "MFU", "input"):
    assert any(name in each for each in names), name
  assert all(row[1].strip() for row in rows if "memory" not in row[0])


def test_a_wrong_kernel_is_told(monkeypatch):
  monkeypatch.setitem(attention.FORMS, "blocks", lambda q, k, v: v)
  wrong = [row[0] for row in device.parity(small=True) if "WRONG" in row[1]]
  assert wrong == ["attention, blocks, float32", "attention, blocks, bfloat16"]
