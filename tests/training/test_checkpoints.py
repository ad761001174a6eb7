"""Which checkpoint is the best, and what is said of files that are broken."""

import logging
import os
import pathlib
import types

import numpy as np
import orbax.checkpoint as ocp
import pytest

from unloc_jax.config.schema import base
from unloc_jax.training import console, loop
from unloc_jax.training.checkpoints import Checkpoints


def write_old(folder, figures) -> None:
  """Checkpoints as earlier versions wrote them, figures within."""
  with ocp.CheckpointManager(
    folder,
    item_handlers={"params": ocp.StandardCheckpointHandler()},
    options=ocp.CheckpointManagerOptions(best_fn=lambda found: found["R1@0.5"]),
  ) as manager:
    for step, value in figures.items():
      saved = ocp.args.StandardSave({"x": np.zeros(2)})
      metrics = {"R1@0.5": value}
      args = ocp.args.Composite(params=saved)
      manager.save(step, args=args, metrics=metrics)


def test_the_best_is_found_by_scores_of_now_and_of_earlier(tmp_path):
  write_old(tmp_path / "checkpoints", {2: 60.0, 4: 50.0})
  there = Checkpoints(str(tmp_path), base())
  assert (there.latest_step, there.best_step) == (4, 2)
  there.keep_scores(4, {"R1@0.5": 70.0})
  assert there.best_step == 4
  there.keep_scores(6, {"R1@0.5": 90.0})  # Never came to be a checkpoint.
  there.close()
  again = Checkpoints(str(tmp_path), base())
  assert again.best_step == 4
  assert again.scored(4) == {"R1@0.5": 70.0}
  assert again.scored(6) is None
  again.close()


@pytest.mark.parametrize("content", ["{", "[]", '{"x": {}}', '{"2": 3}'])
def test_broken_scores_are_one_line(tmp_path, content):
  (tmp_path / "scores.json").write_text(content)
  with pytest.raises(ValueError, match=r"scores\.json: .*remove it") as error:
    Checkpoints(str(tmp_path), base())
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a* ?", "50%d ü", "#{a}:b"])
def test_a_folder_of_any_name_is_read_back(tmp_path, name):
  write_old(tmp_path / name / "checkpoints", {2: 60.0})
  there = Checkpoints(str(tmp_path / name), base())
  found = there._read(2, {"params": {"x": np.ones(2)}})
  assert found["params"]["x"].tolist() == [0, 0]
  there.close()


@pytest.mark.parametrize("name", ["[x]", "a\\b", "gs://bucket/x"])
def test_a_folder_that_could_not_be_read_back_is_refused(
  config, tmp_path, name, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ValueError, match="cannot be read back"):
    loop.train_and_evaluate(config.lock(), name)
  assert list(tmp_path.iterdir()) == []


class FullDisk:
  """A checkpoint manager whose disk is full."""

  def save(self, *_, **__):
    raise ValueError("INTERNAL: write failed\n  No space left on device")

  def wait_until_finished(self):
    raise OSError("disk\nfull")


def test_a_full_disk_is_one_line_with_the_folder(tmp_path):
  there = Checkpoints(str(tmp_path), base())
  there._manager.close()
  there._manager = FullDisk()
  with pytest.raises(OSError, match=r"checkpoints: .* disk full"):
    there.close()


def test_writers_say_nothing_after_one_has_failed(monkeypatch):
  shown = []
  monkeypatch.setattr(console.sys, "__unraisablehook__", shown.append)
  for what in ("Event loop is closed", "another fault"):
    fault = types.SimpleNamespace(exc_value=RuntimeError(what))
    console._of_threads(fault)
  assert shown == [fault]


def test_orbax_itself_says_nothing():
  made = logging.LogRecord(
    "absl", logging.ERROR, ocp.__file__, 1, "x", (), None
  )
  assert not console._is_ours(made)
  made.pathname = loop.__file__
  assert console._is_ours(made)


@pytest.mark.parametrize("part", ["_METADATA", "manifest.ocdbt", "*/*"])
def test_a_broken_checkpoint_is_named(tmp_path, part):
  write_old(tmp_path / "checkpoints", {2: 60.0})
  params = tmp_path / "checkpoints" / "2" / "params"
  for path in filter(pathlib.Path.is_file, params.glob(part)):
    path.write_bytes(path.read_bytes()[:9])
  there = Checkpoints(str(tmp_path), base())
  with pytest.raises(ValueError, match=r"/2: this checkpoint cannot") as error:
    there._read(2, {"params": {"x": np.ones(2)}})
  assert "\n" not in str(error.value)
  there.close()


@pytest.mark.parametrize("place", ["file", "file/below", "checkpoints/.."])
def test_a_folder_that_cannot_be(config, tmp_path, place):
  for name in ("file", "checkpoints"):
    (tmp_path / name).write_text("")
  config.eval.splits = ("val",)
  with pytest.raises(OSError, match="take another --workdir") as error:
    loop.train_and_evaluate(config.lock(), os.path.abspath(tmp_path / place))
  place = tmp_path / place.removesuffix("/..")
  assert str(place) in str(error.value)
  assert "\n" not in str(error.value)
