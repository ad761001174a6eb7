"""Plans of a tiny config on the devices there are."""

import json
import pathlib
import subprocess
import sys

import jax
import pytest

from unloc_jax.plan import costs, planning, program, report, roofline
from unloc_jax.plan.chips import CHIPS

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def config(config):
  config.train.num_videos = 10
  config.data.path = ""
  return config


@pytest.fixture
def nothing_compiled(monkeypatch):
  def refuse(*args):
    raise AssertionError("it came to compiling")

  monkeypatch.setattr(program, "compile_step", refuse)


@pytest.mark.heavy
def test_a_plan_without_data(config):
  config.mesh.data, config.mesh.model = 4, 2
  plan, changes = planning.make_plan("tiny", config.lock(), "local")
  assert plan.fits
  assert not changes
  assert plan.mesh == {"data": 4, "fsdp": 1, "model": 2}
  found = json.loads(json.dumps(report.as_json(plan)))
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
  text = "\n".join(report.lines(plan))
  for word in ("tiny on 8 x cpu", "fits", "all-reduce", "not estimated"):
    assert word in text


def test_what_cannot_fit_is_said_without_compiling(config, nothing_compiled):
  config.train.batch_size = 2**20
  config.train.num_videos = 2**22
  plan, changes = planning.make_plan("tiny", config.lock(), "local")
  assert not plan.fits
  assert plan.needed > plan.topology.memory
  assert "not compiled" in plan.message
  settings = [key for change in changes for key in change.settings]
  assert "train.batch_size" in settings
  for change in changes:
    assert change.needed < plan.topology.memory
    assert "--config." in change.flags()
  assert "does NOT fit" in "\n".join(report.lines(plan))


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"mesh.data": 3}, ["mesh", "8 devices", "nearest"]),
    ({"train.batch_size": 9}, ["train.batch_size=9", "nearest"]),
  ],
)
def test_meshes_that_do_not_divide(config, nothing_compiled, changes, words):
  config.update_from_flattened_dict(changes)
  with pytest.raises(ValueError, match=words[0]) as error:
    planning.make_plan("tiny", config.lock(), "local")
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

  monkeypatch.setattr(program, "compile_step", refuse)
  config.train.batch_size, config.train.num_videos = 256, 512
  config.train.accumulate = 2
  plan, changes = planning.make_plan("tiny", config.lock(), "local")
  assert not plan.fits
  assert plan.needed == round(20.5 * 2**30)
  said = "\n".join(report.lines(plan))
  assert "20.50G" in said
  assert "15.75G" in said
  assert changes
  assert {"train.accumulate": 2} not in [one.settings for one in changes]


def test_classes_have_to_be_known(config, nothing_compiled):
  config.task = "temporal_localization"
  with pytest.raises(ValueError, match=r"train\.num_classes"):
    planning.make_plan("tiny", config.lock(), "local")


def test_the_slowest_resource_bounds_a_step():
  chip = CHIPS["h100"]
  within = costs.Traffic("all-reduce", 8, 1, 1.0, 450e9)
  beyond = costs.Traffic("all-reduce", 16, 1, 1.0, 450e9)
  work = costs.Costs(flops=chip.flops_bfloat16, bytes=chip.bandwidth / 2)
  found = roofline.roofline(work, 8 * work.flops / 2, 8, chip, "bfloat16")
  assert found.bound == "compute"
  assert (found.seconds, found.memory, found.mfu) == (1.0, 0.5, 0.5)
  work += costs.Costs(traffic=(within,))
  found = roofline.roofline(work, 1.0, 8, chip, "bfloat16")
  assert found.interconnect == 1.0
  # Beyond a host the network carries it.
  work += costs.Costs(traffic=(beyond,))
  found = roofline.roofline(work, 1.0, 16, chip, "bfloat16")
  assert found.bound == "interconnect"
  assert found.seconds == 10.0


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
