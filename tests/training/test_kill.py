"""Killed at any moment and started again, a run ends as if it had not been.

More of it, at more length: kill.py and meshes.py.
"""

import json

import jax
import pytest

from tests.training.conftest import write_whole_arrays
from tests.training.runs import (
  Run,
  assert_same_run,
  forkserver,
  is_saving,
  largest_difference,
  newest,
  wait,
)
from tests.training.tiny_run import get_config
from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.results.drawing import figures
from unloc_jax.training import loop

pytestmark = pytest.mark.heavy

STEPS = 8


def train(data: str, workdir: str) -> None:
  """The run, in this process; nothing is drawn."""
  write_whole_arrays()
  keep_programs()
  config = get_config(data).copy_and_resolve_references()
  config.train.length = STEPS
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figures, "rendered", lambda figure: b"")
    loop.train_and_evaluate(config.lock(), workdir)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
  """What nobody disturbed."""
  assert jax.device_count() == 8
  workdir = tmp_path_factory.mktemp("whole")
  train(str(data), str(workdir))
  return workdir


def test_killed_within_a_save(data, whole, tmp_path):
  killed = tmp_path / "killed"
  process = forkserver().Process(target=train, args=(str(data), str(killed)))
  process.start()
  for is_time in (lambda: newest(killed) > 1, lambda: is_saving(killed)):
    assert wait(is_time, process.is_alive, 200)
  process.kill()
  process.join()  # Two at once in one folder are not what is tested.
  assert newest(killed) < STEPS
  train(str(data), str(killed))
  assert_same_run(whole, killed)


def test_a_pair_of_which_one_is_killed_and_one_process_that_goes_on(
  data, whole, tmp_path
):
  length = f"--config.train.length={STEPS}"
  workdir = tmp_path / "pair"
  pair = Run(str(data), workdir, length, processes=2, devices=4, forked=True)
  pair.start()
  try:
    assert pair.wait(lambda: newest(workdir) >= 2), pair.said(0)
    pair.running[1].kill()
    pair.wait_others(1)
  finally:
    pair.stop()
  assert newest(workdir) < STEPS
  train(str(data), str(workdir))
  assert max(largest_difference(whole, workdir)) < 1e-5
  figures = [
    json.loads((folder / "results/val/metrics.json").read_text())
    for folder in (whole, workdir)
  ]
  # The parameters differ in their last digits, and mIoU follows every segment.
  assert figures[0] == pytest.approx(figures[1], rel=1e-4)
