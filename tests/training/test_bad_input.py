"""What is wrong is said in one line, before anything is computed."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from unloc_jax import main
from unloc_jax.data import shards
from unloc_jax.parallel import sharding
from unloc_jax.training import checkpoints, loop, state
from unloc_jax.weights.folder import save_weights


@pytest.fixture(autouse=True)
def nothing_long(monkeypatch, quick_start):
  """No step is ever compiled."""

  def refuse(*args):
    raise AssertionError("it came to long work")

  monkeypatch.setattr(loop, "compile_train_step", refuse)


def message(config, workdir) -> str:
  with pytest.raises((ValueError, FileNotFoundError)) as error:
    loop.train_and_evaluate(config.lock(), str(workdir))
  return str(error.value)


def check(config, workdir, *words: str) -> None:
  text = message(config, workdir)
  assert "\n" not in text
  for word in words:
    assert word in text, text


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"data.num_frames": 9}, ["9 frames", "divisible by 2", "num_frames"]),
    ({"pyramid.ranges": ((0, 4), (9, 9))}, ["pyramid.ranges", "low < high"]),
    ({"pyramid.ranges": ()}, ["pyramid.ranges", "at least one level"]),
    ({"task": "moments"}, ["task='moments'", "moment_retrieval"]),
    ({"data.path": ""}, ["data.path is empty"]),
    ({"data.train_split": "trian"}, ["no split 'trian'", "train"]),
    ({"eval.splits": ("val", "tset")}, ["no split 'tset'", "val"]),
    ({"train.batch_size": 9}, ["train.batch_size=9", "nearest", "8"]),
    ({"eval.batch_size": 3}, ["eval.batch_size=3", "nearest", "8"]),
    ({"mesh.model": 3}, ["mesh", "8 devices"]),
    ({"train.unit": "hours"}, ["train.unit", "hours"]),
    ({"train.length": 0.0}, ["train.length", "above 0"]),
    ({"optimizer.warmup": 50}, ["optimizer.warmup", "6 steps"]),
    (
      {"optimizer.schedule": "steps", "optimizer.decay": ((7, 0.1),)},
      ["optimizer.decay", "step 7 of 6"],
    ),
    ({"optimizer.rates": (("fusion/", 0.1),)}, ["optimizer.rates covers"]),
    ({"train.cache_frame_tokens": True}, ["cache_frame_tokens", "frozen"]),
    ({"loss.relevance": "hinge"}, ["loss.relevance", "focal"]),
  ],
)
def test_a_wrong_value(config, tmp_path, changes, words):
  config.update_from_flattened_dict(changes)
  check(config, tmp_path / "run", *words)


def test_an_empty_data_folder(config, tmp_path):
  config.data.path = str(tmp_path)
  check(config, tmp_path / "run", str(tmp_path), "not a finished dataset")


def flip(content: bytes, shard: pathlib.Path) -> bytes:
  """Changes a byte in the middle of the second record."""
  record = shards.shard_records(str(shard))[1]
  at = record.offset + shards.HEADER_BYTES + record.size // 2
  return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_shard_of_any_split(captions, config, tmp_path, split, cut):
  path = shutil.copytree(captions, tmp_path / "data")
  shard = next(path.glob(f"tiny-{split}.tfrecord-00000*"))
  whole = shard.read_bytes()
  shard.write_bytes(whole[:-100] if cut else flip(whole, shard))
  config.data.path, config.data.verify_gib = str(path), 1.0
  words = ("truncated",)
  if not cut:
    words = "1 corrupt record", "record 1 of", "data.max_corrupt_records=0"
  check(config, tmp_path / "run", shard.name, *words)


def some_weights(config, folder, spoil) -> str:
  """The towers of a config as a folder of weights, spoilt."""
  shapes = state.param_shapes(state.Parts.from_config(config))
  params = {k: np.zeros(s.shape, np.float32) for k, s in shapes.items()}
  save_weights(str(folder), spoil(params), {})
  return str(folder)


def test_weights_that_do_not_exist(config, tmp_path):
  config.init.weights = str(tmp_path / "nothing")
  check(config, tmp_path / "run", "nothing is not a folder of weights")


def test_weights_that_do_not_fit(config, tmp_path):
  def spoil(params):
    params["image_projection/kernel"] = np.zeros((3, 3), np.float32)
    return params

  config.init.weights = some_weights(config, tmp_path / "weights", spoil)
  text = message(config, tmp_path / "run")
  assert "do not fit the model (1 differences)" in text
  assert "image_projection/kernel is (3, 3)" in text


def run_folder(config, workdir) -> None:
  """What a run leaves behind: its config and a checkpoint of step 1."""
  parts = state.Parts.from_config(config)
  mesh = sharding.make_mesh(config.mesh)
  optimizer = loop.make_optimizer(parts, 6, 1.0)
  checkpoints.write_config(str(workdir), config)
  there = checkpoints.Checkpoints(str(workdir), config)
  one = loop.init_state(parts, optimizer, mesh)
  there.save(one.replace(step=one.step + 1))
  there.close()


@pytest.mark.heavy
def test_a_workdir_of_another_run(config, tmp_path):
  run_folder(config, tmp_path)
  stored = tmp_path / "config.json"
  before = stored.read_text()
  other = config.copy_and_resolve_references()
  other.task = "matched_moment_retrieval"
  check(other, tmp_path, str(tmp_path), "config.task", "another workdir")
  other = config.copy_and_resolve_references()
  other.model.width = 32
  check(other, tmp_path, "config.model", "another workdir")
  assert stored.read_text() == before
  # The same without the config that would have told.
  stored.unlink()
  check(other, tmp_path, "checkpoint 1 is of another architecture")
  stored.unlink()
  other = config.copy_and_resolve_references()
  other.optimizer.name = "sgd"
  check(other, tmp_path, "checkpoint 1 is of another optimizer")
  stored.unlink()
  other = config.copy_and_resolve_references()
  other.optimizer.ema = 0.9
  check(other, tmp_path, "checkpoint 1 is of another optimizer", "average")


def test_a_folder_without_run(tmp_path):
  with pytest.raises(FileNotFoundError, match="there is no run"):
    checkpoints.read_config(str(tmp_path))


def command(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, "-m", "unloc_jax.main", *arguments],
    capture_output=True,
    text=True,
    check=False,
    cwd=pathlib.Path(main.__file__).parent.parent,
  )


def one_line(done: subprocess.CompletedProcess) -> str:
  """The line a command that failed said, and nothing else."""
  assert done.returncode == 1
  assert done.stdout == ""
  lines = done.stderr.splitlines()
  assert len(lines) == 1, done.stderr
  assert lines[0].startswith("error: ")
  return lines[0]


@pytest.mark.heavy
def test_a_wrong_config_by_command(captions, tmp_path):
  line = one_line(
    command(
      "--config=configs/synthetic_mr.py",
      f"--config.data.path={captions}",
      f"--workdir={tmp_path / 'run'}",
      "--config.data.num_frames=9",
    )
  )
  assert line.startswith("error: pyramid: 9 frames")
  assert not (tmp_path / "run").exists()


def test_json_of_a_config_reads_back(config, tmp_path):
  checkpoints.write_config(str(tmp_path), config)
  read = checkpoints.read_config(str(tmp_path))
  assert json.loads(read.to_json()) == json.loads(config.to_json())
  assert read.pyramid.ranges == ((0, 2), (2, float("inf")))
