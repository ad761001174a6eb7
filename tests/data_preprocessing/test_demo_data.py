"""The small set that `--demo_data` runs on."""

import pytest

from data_preprocessing.synthetic import demo_data
from data_preprocessing.synthetic.build import Plan
from unloc_jax.annotations import BENCHMARKS
from unloc_jax.data.manifest import read_manifest
from unloc_jax.task.tasks import TASKS


def test_a_set_is_built_once(tmp_path, monkeypatch):
  small = Plan(train=2, val=1, test=1, unseen=0, stills=0, max_duration=13.0)
  monkeypatch.setattr(demo_data, "_VIDEOS", small)
  built = demo_data.demo_data("action_segmentation", tmp_path)
  manifest = read_manifest(built)
  assert {s: c.videos for s, c in manifest.splits.items()} == {
    "train": 2,
    "val": 1,
    "test": 1,
  }
  assert manifest.classes
  stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
  assert demo_data.demo_data("coin", str(tmp_path)) == built
  assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == stamps


@pytest.mark.parametrize("name", [*TASKS, *BENCHMARKS])
def test_every_task_and_benchmark_is_served(name, tmp_path, monkeypatch):
  monkeypatch.setattr(demo_data, "build", lambda *unused: True)
  asked = []
  monkeypatch.setattr(demo_data.command, "run", asked.append)
  built = demo_data.demo_data(name, tmp_path)
  (args,) = asked
  assert str(built) == f"{args.data_dir}/{args.dataset}/1.0.0"
  captions = TASKS[name].texts == "captions" if name in TASKS else None
  if captions is not None:
    assert (args.dataset == "anet_captions") == captions


def test_an_unknown_name_is_refused(tmp_path):
  with pytest.raises(ValueError, match="sculpture"):
    demo_data.demo_data("sculpture", tmp_path)
  assert not list(tmp_path.iterdir())
