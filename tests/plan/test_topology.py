"""Names of devices that are not there."""

import importlib.util
import math
import subprocess
import sys

import pytest

from unloc_jax.costs.chips import CHIPS, chip_of_kind
from unloc_jax.plan import topology


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("v7:4x4", ["v4:", "v5e:", "v5p:", "v6e:", "h100:8", "local"]),
    ("", ["v5e:", "local"]),
    ("v5e", ["has no slice ''", "2x4"]),
    ("v5e:2x2x2", ["'2x2x2'", "8x16"]),
    ("v5p:4x4", ["'4x4'", "2x2x4"]),
    ("h100:12", ["'12'", "multiple of 8"]),
    ("h100:many", ["'many'", "h100:8"]),
    ("h100:0", ["h100:1"]),
  ],
)
def test_what_there_is_not(name, words):
  with pytest.raises(ValueError, match="--topology") as error:
    topology.check_name(name)
  assert "\n" not in str(error.value)
  for word in [repr(name), *words]:
    assert word in str(error.value)


def test_what_there_is_needs_its_compiler(monkeypatch):
  there = ("v5e:16x16", "v6e:2x4", "v4:4x4x4", "v5p:4x4x8", "h100:16")
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
  for name in (*there, "local"):
    topology.check_name(name)
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  topology.check_name("local")
  for name in there:
    with pytest.raises(ValueError, match=r"unloc_jax\[plan\]"):
      topology.open_topology(name)


@pytest.mark.heavy
def test_every_kind_opens_its_smallest_and_largest_slice():
  pytest.importorskip("libtpu", reason="the TPU compiler: pip install libtpu")
  names = [
    f"{kind}:{shape}"
    for kind, shapes in topology.SLICES.items()
    for shape in (shapes[0], shapes[-1])
  ]
  # Apart from this process, whose environment says other things to libtpu.
  program = (
    "from unloc_jax.plan.topology import open_topology\n"
    f"print([len(open_topology(name).devices) for name in {names}])"
  )
  done = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  counts = [
    math.prod(map(int, name.partition(":")[2].split("x"))) for name in names
  ]
  assert done.stdout.strip() == str(counts)


def test_local_devices():
  here = topology.open_topology("local")
  assert here.local
  assert len(here.devices) == 8
  assert here.chip is None
  assert here.memory > 0


def test_chips_are_told_apart_by_their_kind():
  kinds = {chip.name: chip.kind for chip in CHIPS.values()}
  assert {name: chip_of_kind(kind).name for name, kind in kinds.items()} == {
    name: name for name in CHIPS
  }
  assert chip_of_kind("NVIDIA H100 80GB HBM3") is CHIPS["h100"]
  assert chip_of_kind("TPU v5 lite") is CHIPS["v5e"]
  assert chip_of_kind("cpu") is None
