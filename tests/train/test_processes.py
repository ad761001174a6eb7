"""Two processes are one run: lost, stopped, and going on.

All cases of tests/train/meshes.py and tests/train/kill.py in small.
"""

import json
import signal

import jax
import numpy as np
import pytest

from tests.train.kill import Run
from tests.train.runs import final_params, losses
from tests.train.tiny_run import get_config
from unloc_jax import train

pytestmark = pytest.mark.heavy

STEPS = 5


def test_a_pair_killed_then_stopped_is_one_undisturbed_process(
  captions, tmp_path
):
  assert jax.device_count() == 8
  run = Run(captions, tmp_path / "pair", processes=2, steps=STEPS)
  run.start()
  assert run.wait(lambda: run.newest() >= 1)
  run.running[1].send_signal(signal.SIGKILL)
  run.wait_others(1)
  run.running[1].wait()

  before = run.newest()
  run.start()
  # One of them is asked to stop; both save the same step and end well.
  if run.wait(lambda: run.newest() > before):
    run.running[0].send_signal(signal.SIGTERM)
  run.finish()

  run.start()
  run.finish()
  whole = tmp_path / "whole"
  config = get_config(str(captions)).copy_and_resolve_references()
  config.train.length, config.checkpoint.every = STEPS, STEPS
  train.train_and_evaluate(config.lock(), str(whole))
  want, have = losses(whole), losses(run.workdir)
  assert want.keys() == have.keys()
  for name, values in want.items():
    for step, value in values.items():
      np.testing.assert_allclose(have[name][step], value, atol=1e-5)
  want, have = final_params(whole), final_params(run.workdir)
  for name, value in want.items():
    np.testing.assert_allclose(have[name], value, atol=1e-5, err_msg=name)
  figures = [
    json.loads((folder / "results/val/metrics.json").read_text())
    for folder in (whole, run.workdir)
  ]
  assert figures[0] == figures[1]
