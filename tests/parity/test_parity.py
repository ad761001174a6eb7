"""Our model against runs of the reference implementation."""

import json
import os
import pathlib

import numpy as np
import pytest

from tests.parity import parity
from tests.parity.golden import Golden
from tests.parity.reference import from_reference

OWN = pathlib.Path(__file__).parent.parent / "data" / "golden"
GOLDEN = sorted(OWN.glob("*.npz"))


def report(rows):
  return [f"{r.name}: {r.absolute:.1e}" for r in rows if not r.passed]


def edited(path, target, config=(), **changes):
  """Copies a golden file with values of its configuration and arrays changed.

  Args:
    path: To copy.
    target: Copy.
    config: (dotted path, value) pairs.
    **changes: Arrays by name, "/" written as "__"; None removes.
  """
  with np.load(path) as file:
    arrays = {name: file[name] for name in file.files}
  meta = json.loads(str(arrays["meta/json"]))
  for name, value in config:
    *parts, last = name.split(".")
    node = meta["config"]
    for part in parts:
      node = node[part]
    node[last] = value
  arrays["meta/json"] = np.array(json.dumps(meta))
  for name, value in changes.items():
    arrays[name.replace("__", "/")] = value
  arrays = {k: v for k, v in arrays.items() if v is not None}
  np.savez(target, **arrays)
  return str(target)


@pytest.mark.heavy
@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_own_golden_files(path):
  rows = parity.check(str(path))
  assert not report(rows)
  names = {row.name.split("/")[0] for row in rows}
  assert {"video_tokens", "eval_logits", "loss", "post"} <= names
  with np.load(path) as file:
    assert ("grad" in names) == any(k.startswith("grad/") for k in file.files)


@pytest.mark.heavy
@pytest.mark.parametrize(
  "name", ["mr_simple_pyramid_all_tokens", "qvh_matched", "seg_transformer"]
)
def test_shared_golden_files(shared, name):
  path = shared / "golden" / f"{name}.npz"
  if not path.exists():
    pytest.skip(f"there is no {path}")
  assert not report(parity.check(str(path)))


def test_unknown_parameters_are_all_listed():
  params = {"text_encoder/surprise": 1, "wonder": 2, "a_head/scale_0": 3}
  with pytest.raises(KeyError, match="text_encoder/surprise, wonder"):
    from_reference(params)


def test_a_wrong_parameter_is_past_tolerance(tmp_path):
  with np.load(GOLDEN[0]) as file:
    name = "params/video_projection/kernel"
    value = file[name].copy()
  value[0, 0] += 0.01
  path = edited(GOLDEN[0], tmp_path / "f.npz", **{name: value})
  rows = {row.name: row for row in parity.outputs(Golden(path))}
  assert not rows["video_tokens"].passed
  assert rows["text_tokens"].passed


@pytest.mark.parametrize(
  ("config", "message"),
  [
    (("label_smoothing", 0.1), "label_smoothing = 0.1"),
    (("soft_nms_sigma", 0.0), None),
    (
      ("dataset_configs.displacement_normalizer", "duration"),
      "displacement_normalizer = 'duration'",
    ),
    (("model.text_tower_config.encoder_config.num_layers", 3), "layer_2"),
    (("model.text_tower_config.encoder_config.hidden_size", 32), "~ text"),
  ],
)
def test_what_our_model_is_not_is_one_error(tmp_path, config, message):
  path = edited(GOLDEN[0], tmp_path / "f.npz", [config])
  if message is None:
    Golden(path)
  else:
    with pytest.raises(ValueError, match=message):
      Golden(path)


def test_dropout_is_not_compared(tmp_path):
  encoder = "model.video_text_fusion_config.config"
  encoder += ".self_attention_encoder_config.dropout_rate"
  path = edited(GOLDEN[0], tmp_path / "f.npz", [(encoder, 0.1)])
  (row,) = parity.losses_and_gradients(Golden(path))
  assert row.passed
  assert "dropout" in row.note


def test_broken_files_are_one_line(tmp_path, capsys):
  paths = [tmp_path / name for name in ("absent", "text", "zip", "other")]
  paths[1].write_text("hello")
  paths[2].write_bytes(GOLDEN[0].read_bytes()[:9999])
  with paths[3].open("wb") as file:
    np.savez(file, a=np.zeros(3))
  for path in paths:
    assert parity.main([str(path)]) == 1
    error = capsys.readouterr().err
    assert "is not a golden file" in error
    assert error.count("\n") == 1
  missing = edited(
    GOLDEN[0], tmp_path / "f.npz", batch__inputs__input_mask=None
  )
  Golden(missing)
  missing = edited(GOLDEN[0], tmp_path / "g.npz", batch__inputs__rgb=None)
  assert parity.main([missing]) == 1
  assert "rgb is missing" in capsys.readouterr().err


def test_flags_of_the_environment_win(monkeypatch, tmp_path):
  monkeypatch.setenv("XLA_FLAGS", "mine")
  parity.main([str(tmp_path / "absent")])
  assert os.environ["XLA_FLAGS"] == "mine"
