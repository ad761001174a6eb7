"""Plans of a tiny config on the devices there are."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
import pytest

from unloc_jax.costs import counting
from unloc_jax.costs.chips import CHIPS
from unloc_jax.plan import printing, roofline, step_plan
from unloc_jax.plan.topology import open_topology

ROOT = pathlib.Path(__file__).parents[2]
LOCAL = open_topology("local")


@pytest.fixture
def config(config):
  config.train.num_videos = 10
  config.data.path = ""
  return config


@pytest.mark.heavy
def test_a_plan_without_data(config):
  config.mesh.data, config.mesh.model = 4, 2
  plan = step_plan.plan_step("tiny", config.lock(), LOCAL)
  assert plan.fits
  assert plan.mesh == {"data": 4, "fsdp": 1, "model": 2}
  found = json.loads(json.dumps(plan.as_json()))
  memory = found["memory"]
  assert (
    found["needed_bytes"]
    == sum(memory[name] for name in ("arguments", "outputs", "temporaries"))
    - memory["reused"]
  )
  # The state is donated: of what comes out next to nothing is new.
  assert memory["outputs"] - memory["reused"] < 0.01 * memory["outputs"]
  assert found["flops_per_device"] >= found["model_flops"] / 8
  assert {one["kind"] for one in found["collectives"]} >= {"all-reduce"}
  text = "\n".join(printing.lines(plan))
  for word in ("tiny on 8 x cpu", "fits", "all-reduce", "not estimated"):
    assert word in text
  small = dataclasses.replace(plan, capacity_bytes=plan.needed_bytes - 1)
  assert not small.fits
  text = "\n".join(printing.lines(small))
  for word in ("does NOT fit", "all-reduce", "to need less: "):
    assert word in text


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"mesh.data": 3}, ["mesh", "8 devices", "nearest"]),
    ({"train.batch_size": 9}, ["train.batch_size=9", "nearest"]),
    ({"task": "temporal_localization"}, ["train.num_classes"]),
  ],
)
def test_what_is_wrong_is_said_before_compiling(
  config, monkeypatch, changes, words
):
  monkeypatch.setattr(step_plan, "lower", None)
  config.update_from_flattened_dict(changes)
  with pytest.raises(ValueError, match=words[0]) as error:
    step_plan.plan_step("tiny", config.lock(), LOCAL)
  assert "\n" not in str(error.value)
  for word in words:
    assert word in str(error.value)


@pytest.mark.parametrize(
  "text",
  [
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory "
    "in memory space hbm. Used 20.50G of 15.75G hbm. Exceeded\nhbm capacity.",
    "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required "
    "for HLO temporaries (20.50G) exceeds\navailable HBM (15.75G).",
  ],
)
def test_a_compiler_out_of_memory(config, monkeypatch, text):
  def refuse(*args):
    raise jax.errors.JaxRuntimeError(text)

  monkeypatch.setattr(step_plan, "lower", lambda *args: None)
  monkeypatch.setattr(step_plan, "compile_for", refuse)
  plan = step_plan.plan_step("tiny", config.lock(), LOCAL)
  assert not plan.fits
  assert plan.needed_bytes == round(20.5 * 2**30)
  said = "\n".join(printing.lines(plan))
  for word in ("20.50G", "15.75G", "does NOT fit", "to need less: "):
    assert word in said


def test_the_slowest_resource_bounds_a_step():
  chip = CHIPS["h100"]
  within = counting.Traffic("all-reduce", 8, 1, 1.0, 450e9)
  beyond = counting.Traffic("all-reduce", 16, 1, 1.0, 450e9)

  def best(*traffic):
    work = counting.Costs(chip.flops_bfloat16, chip.bandwidth / 2, traffic)
    return roofline.roofline(work, work.flops / 2, chip, "bfloat16")

  found = best()
  assert found.bound == "compute"
  assert (found.seconds, found.memory, found.mfu) == (1.0, 0.5, 0.5)
  assert best(within).interconnect == 1.0
  # Beyond a host the network carries it.
  found = best(within, beyond)
  assert (found.bound, found.seconds) == ("interconnect", 10.0)


def command(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, "-m", "unloc_jax.plan", *arguments],
    capture_output=True,
    text=True,
    check=False,
    cwd=ROOT,
  )


def test_an_unknown_topology_is_one_line():
  done = command("--config=configs/synthetic_mr.py", "--topology=v9:2x2")
  assert (done.returncode, done.stdout) == (1, "")
  (line,) = done.stderr.splitlines()
  assert line.startswith("error: --topology 'v9:2x2' is not known")


@pytest.mark.heavy
def test_a_pod_that_is_not_there(tmp_path):
  pytest.importorskip("libtpu", reason="the TPU compiler: pip install libtpu")
  out = tmp_path / "plan.json"
  done = command(
    "--config=configs/synthetic_mr.py",
    "--topology=v5e:2x2",
    f"--json={out}",
    "--config.data.num_frames=8",
    "--config.model.text_tower.vocab_size=512",
    "--config.model.fusion.num_layers=1",
    "--config.mesh.model=2",
    "--config.train.num_videos=100",
    "--config.model.scan_layers",
  )
  assert done.returncode == 0, done.stderr
  found = json.loads(out.read_text())
  assert found["fits"]
  assert found["device_kind"] == "TPU v5 lite"
  assert found["capacity_bytes"] == 16 * 2**30
  assert found["roofline"]["bound"] in ("compute", "memory", "interconnect")
  assert 0 < found["roofline"]["mfu"] < 1
