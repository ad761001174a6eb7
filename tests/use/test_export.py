"""Exports are whole, portable and give the run's numbers."""

import json
import os
import pathlib
import re
import shutil

import ml_collections
import numpy as np
import pytest

from unloc_jax import Localizer, evaluate, export
from unloc_jax.config import schema
from unloc_jax.parallel import sharding
from unloc_jax.training.checkpoints import Checkpoints
from unloc_jax.training.state import Parts, param_shapes
from unloc_jax.use import exports
from unloc_jax.use.export_run import encoder_hash, export_run
from unloc_jax.weights.folder import (
  CONFIG,
  EXPORT,
  PARAMS,
  load_weights,
  save_weights,
  unstack,
)


def test_export_says_what_it_expects(exported_folder, run):
  found = exports.read(str(exported_folder))
  assert found.source.frame_rate == 2.0
  assert found.source.short_side == 32
  assert found.source.jpeg_quality == 95
  # The longest video, told to the last frame.
  assert found.window_seconds == pytest.approx(8.0, abs=0.1)
  assert found.labels == ()
  config = json.loads((run / "config.json").read_text())
  mine = json.loads((exported_folder / "config.json").read_text())
  assert {**config, "format": 1} == mine
  card = (exported_folder / "README.md").read_text()
  assert "Matched moment retrieval on tiny" in card
  assert not list(exported_folder.parent.glob("*.partial"))


def test_weights_are_the_running_average(exported_folder, run):
  found = exports.read(str(exported_folder))
  parts = Parts.from_config(found.config)
  whole = ml_collections.ConfigDict({"data": -1, "fsdp": 1, "model": 1})
  mesh = sharding.make_mesh(whole)
  checkpoints = Checkpoints(str(run), found.config)
  wanted = checkpoints.restore_params(parts, mesh)
  checkpoints.close()
  given = load_weights(str(exported_folder)).params
  assert given.keys() == unstack(wanted).keys()
  for name, value in unstack(wanted).items():
    np.testing.assert_array_equal(given[name], value)


def test_weights_may_be_read_by_whom_the_umask_says(tmp_path):
  before = os.umask(0o027)
  try:
    save_weights(str(tmp_path / "weights"), {"kernel": np.zeros(3)}, {})
  finally:
    os.umask(before)
  modes = {
    path.name: path.stat().st_mode & 0o777
    for path in (tmp_path / "weights").iterdir()
  }
  assert modes == {PARAMS: 0o640, CONFIG: 0o640}


@pytest.mark.heavy
def test_evaluation_of_an_export_gives_the_same_numbers(
  exported_folder, run, scored, capsys
):
  evaluate.main(["--workdir", str(exported_folder), "--split", "val"])
  assert capsys.readouterr().out == scored
  found, wanted = (
    (folder / "results" / "val" / "predictions.jsonl").read_text()
    for folder in (exported_folder, run)
  )
  assert found == wanted
  assert not (exported_folder / "checkpoints").exists()


def test_what_cannot_be_exported_leaves_nothing(run, tmp_path):
  (tmp_path / "out").mkdir()
  with pytest.raises(FileExistsError, match="choose another"):
    export_run(str(run), str(tmp_path / "out"))
  with pytest.raises(SystemExit, match="there is no run"):
    export.main(["--workdir", str(tmp_path), "--out", str(tmp_path / "x")])
  for seconds in (-1, float("nan"), float("inf"), "3"):
    with pytest.raises(ValueError, match="window_seconds"):
      export_run(str(run), str(tmp_path / "x"), window_seconds=seconds)
  assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _changed(folder, tmp_path, name, change):
  """A copy of an export, one of its JSON files changed."""
  shutil.copytree(folder, tmp_path / "copy")
  path = tmp_path / "copy" / name
  values = json.loads(path.read_text())
  change(values)
  path.write_text(json.dumps(values))
  return str(tmp_path / "copy")


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda v: v.update(format=2), "newer version.*format 2.*upgrade"),
    (lambda v: v.update(format="x"), "newer version"),
    (lambda v: v.pop("source"), "'source' is missing; copy or make"),
    (lambda v: v["source"].pop("short_side"), "'short_side' is missing"),
    (lambda v: v.update(window_seconds=None), "window_seconds: None is no"),
    (lambda v: v.update(window_seconds=-1), "window_seconds: -1 is no"),
    (lambda v: v.update(labels="run"), "labels: give a list"),
  ],
)
def test_broken_exports_say_what_to_do(
  exported_folder, tmp_path, change, message
):
  folder = _changed(exported_folder, tmp_path, EXPORT, change)
  with pytest.raises(ValueError, match=message) as caught:
    exports.read(folder)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [EXPORT, CONFIG, PARAMS])
def test_half_copied_exports_say_which_file(exported_folder, tmp_path, name):
  folder = pathlib.Path(shutil.copytree(exported_folder, tmp_path / "copy"))
  whole = (folder / name).read_bytes()
  for content in (whole[: len(whole) // 2], b"", b"\xff\xfe[]", b"[]"):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{folder / name}: ")) as at:
      Localizer.from_export(folder)
    assert "\n" not in str(at.value)
  (folder / name).unlink()
  with pytest.raises(FileNotFoundError, match=re.escape(str(folder / name))):
    Localizer.from_export(folder)


def test_the_config_decides_how_weights_are_stacked(exported_folder, tmp_path):
  def scan(config):
    config["model"]["scan_layers"] = True

  found = exports.read(_changed(exported_folder, tmp_path, CONFIG, scan))
  params = found.params(Parts.from_config(found.config))
  assert [name for name in params if "/layers/" in name]
  flat = load_weights(str(exported_folder)).params
  assert unstack(params).keys() == flat.keys()


def test_weights_of_another_architecture_are_refused(exported_folder, tmp_path):
  def widen(config):
    config["model"]["width"] = 32

  found = exports.read(_changed(exported_folder, tmp_path, CONFIG, widen))
  with pytest.raises(ValueError, match="do not fit"):
    found.params(Parts.from_config(found.config))


def test_what_encodes_a_video_is_what_encoded_ones_are_told_apart_by():
  """Towers, stems, projections and which stream it is; not what follows."""
  config = schema.base().unlock()
  config.streams, config.data.sound_width = ("embeddings", "sound"), 64
  config.model.image_tower.num_layers = 0
  config.model.sound_tower.num_layers, config.model.stem.num_layers = 1, 1
  names = {
    name: name.startswith(("image_", "sound_", "kind_embedding"))
    for name in param_shapes(Parts.from_config(config))
  }
  assert 0 < sum(names.values()) < len(names)
  params = {name: np.zeros(2, np.float32) for name in names}

  def found(params):
    return encoder_hash(config, params, {})

  before = found(params)
  for name, encodes in names.items():
    changed = {**params, name: np.ones(2, np.float32)}
    assert (found(changed) != before) == encodes, name
  config.model.stem.kernel += 2
  assert found(params) != before
