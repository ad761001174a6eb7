"""Two processes are one run, and one process goes on with it.

More of it, at more length: tests/training/meshes.py and kill.py.
"""

import json

import jax
import numpy as np
import pytest

from tests.training.kill import Run
from tests.training.runs import final_params, losses
from tests.training.tiny_run import get_config
from unloc_jax.training import loop as train

pytestmark = pytest.mark.heavy

STEPS = 4


@pytest.fixture
def pair(captions, tmp_path):
  run = Run(captions, tmp_path / "pair", processes=2, steps=STEPS)
  yield run
  run.stop()


def test_a_pair_of_which_one_is_killed_and_one_process_that_goes_on(
  captions, pair, tmp_path
):
  assert jax.device_count() == 8
  pair.start()
  assert pair.wait(lambda: pair.newest() >= 2), pair.said(0)
  pair.running[1].kill()
  pair.wait_others(1)
  pair.stop()

  config = get_config(str(captions)).copy_and_resolve_references()
  config.train.length = STEPS
  whole = tmp_path / "whole"
  for workdir in (pair.workdir, whole):
    train.train_and_evaluate(config.lock(), str(workdir))
  want, have = losses(whole), losses(pair.workdir)
  assert want.keys() == have.keys()
  for name, values in want.items():
    for step, value in values.items():
      np.testing.assert_allclose(have[name][step], value, atol=1e-5)
  want, have = final_params(whole), final_params(pair.workdir)
  for name, value in want.items():
    np.testing.assert_allclose(have[name], value, atol=1e-5, err_msg=name)
  figures = [
    json.loads((folder / "results/val/metrics.json").read_text())
    for folder in (whole, pair.workdir)
  ]
  # The parameters differ in their last digits, and mIoU follows every segment.
  assert figures[0] == pytest.approx(figures[1], rel=1e-6)
