"""Killed at any moment and started again, a run ends as if it had not been."""

import json
import multiprocessing
import pathlib
import random
import time

import ml_collections
import pytest

from tests.training.conftest import tiny_config
from tests.training.runs import assert_same_run
from unloc_jax.training import checkpoints
from unloc_jax.training import loop as train

pytestmark = pytest.mark.heavy


def run(values: str, workdir: str) -> None:
  """Trains, in a process of its own."""
  config = ml_collections.ConfigDict(checkpoints._tuples(json.loads(values)))
  train.train_and_evaluate(config.lock(), workdir)


def test_killed_at_random_and_within_a_save(captions, tmp_path):
  config = tiny_config(captions)
  config.train.length, config.checkpoint.every = 12, 1
  config.eval.splits = ("val",)
  values = config.to_json()
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  train.train_and_evaluate(config.lock(), str(whole))
  processes = multiprocessing.get_context("forkserver")
  processes.set_forkserver_preload(["unloc_jax.training.loop"])
  draw = random.Random(0)
  deaths = 0
  for attempt in range(6):
    process = processes.Process(target=run, args=(values, str(killed)))
    process.start()
    if attempt < 2:
      started = newest(killed)
      wait_until(lambda s=started: newest(killed) > s or is_saving(killed))
      if attempt == 0:
        time.sleep(draw.uniform(0, 1))
      else:
        wait_until(lambda: is_saving(killed) or newest(killed) == 12)
      process.kill()
      deaths += 1
    process.join()  # Two at once in one folder are not what is tested.
    if process.exitcode == 0:
      break
  assert process.exitcode == 0
  assert deaths == 2
  assert_same_run(whole, killed)


def newest(workdir: pathlib.Path) -> int:
  names = (p.name for p in workdir.glob("checkpoints/*"))
  return max((int(name) for name in names if name.isdigit()), default=0)


def is_saving(workdir: pathlib.Path) -> bool:
  return any(workdir.glob("checkpoints/*.orbax-checkpoint-tmp*"))


def wait_until(condition, seconds: float = 200) -> None:
  end = time.monotonic() + seconds
  while not condition():
    if time.monotonic() > end:
      raise TimeoutError("the run made no checkpoint")
    time.sleep(0.002)
