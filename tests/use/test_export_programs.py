"""Exported programs give the model's numbers without the package."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from unloc_jax.use import export_programs, exports
from unloc_jax.use.questions import TextRows

# (videos, texts): both are left open in the programs.
_CASES = ((2, 3), (1, 1))
_ARGUMENTS = ("frame_mask", "texts", "steps", "durations")

_HLO_ALONE = """
import json, sys
import jax, numpy as np, safetensors.numpy
folder, export = sys.argv[1:]
names = json.load(open(folder + "/hlo/signatures.json"))
weights = safetensors.numpy.load_file(export + "/params.safetensors")

def load(name):
  with open(f"{folder}/hlo/{name}.bin", "rb") as file:
    program = jax.export.deserialize(file.read())
  params = {k: weights[k] for k in names[name]["params"]}
  return lambda *arguments: program.call(params, *arguments)

encode, find = load("encode_video"), load("find_moments")
for case in (0, 1):
  given = np.load(f"{folder}/given_{case}.npz")
  tokens = encode(given["frames"])
  found = find(tokens, *[given[k] for k in
               ("frame_mask", "texts", "steps", "durations")])
  np.savez(f"{folder}/hlo_{case}.npz", tokens=tokens, **found)
assert "unloc_jax" not in sys.modules
"""

_TF_ALONE = """
import sys
import numpy as np, tensorflow as tf
folder, export = sys.argv[1:]
model = tf.saved_model.load(folder + "/saved")
for case in (0, 1):
  given = dict(np.load(f"{folder}/given_{case}.npz"))
  frames = tf.constant(given.pop("frames"))
  tokens = model.signatures["encode_video"](frames=frames)["tokens"]
  given = {k: tf.constant(v) for k, v in given.items()}
  found = model.signatures["find_moments"](tokens=tokens, **given)
  found = {k: v.numpy() for k, v in found.items()}
  np.savez(f"{folder}/tf_{case}.npz", tokens=tokens.numpy(), **found)
assert "unloc_jax" not in sys.modules
"""


@pytest.fixture(scope="module")
def made(exported_folder):
  """The programs, and what they are to give in every case."""
  return export_programs.make(exports.read(str(exported_folder)))


@pytest.fixture(scope="module")
def cases(made, localizer, tmp_path_factory):
  """A folder of inputs, and the numbers that are wanted."""
  folder = tmp_path_factory.mktemp("programs")
  data = localizer.export.config.data
  rng = np.random.default_rng(0)
  wanted = []
  for case, (videos, texts) in enumerate(_CASES):
    shape = (videos, data.num_frames, data.image_size, data.image_size, 3)
    names = ["a red square", "it moves to the left", "a third"][:texts]
    given = {
      "frames": rng.integers(0, 255, shape, np.uint8),
      "frame_mask": np.ones(shape[:2], bool),
      "texts": TextRows(localizer.export.config).captions(names)[0],
      "steps": np.array([0.5, 1.0], np.float32)[:videos],
      "durations": np.array([4.0, 7.5], np.float32)[:videos],
    }
    np.savez(folder / f"given_{case}.npz", **given)
    streams = {"frames": given["frames"]}
    masks = {"frames": given["frame_mask"]}
    tokens, _ = localizer._encode(localizer._params, streams, masks)
    find = made["find_moments"]
    arguments = [given[name] for name in _ARGUMENTS]
    found = jax.jit(find.function)(find.params, tokens, *arguments)
    wanted.append({"tokens": tokens, **found})
  return folder, wanted


def _check(cases, export, code: str, prefix: str) -> None:
  folder, wanted = cases
  subprocess.run(
    [sys.executable, "-c", code, str(folder), str(export)],
    check=True,
    cwd=folder,
    timeout=600,
  )
  for case, values in enumerate(wanted):
    with np.load(folder / f"{prefix}_{case}.npz") as given:
      assert set(given.files) == set(values)
      for name, value in values.items():
        np.testing.assert_allclose(
          given[name], value, atol=1e-5, rtol=1e-5, err_msg=name
        )


@pytest.mark.heavy
def test_stablehlo_runs_without_the_package(made, cases, exported_folder):
  export_programs.write_stablehlo(cases[0] / "hlo", made)
  _check(cases, exported_folder, _HLO_ALONE, "hlo")


@pytest.mark.heavy
def test_saved_model_runs_without_the_package(made, cases, exported_folder):
  export_programs.write_saved_model(cases[0] / "saved", made)
  _check(cases, exported_folder, _TF_ALONE, "tf")


def test_no_weight_is_in_both_programs(made):
  encode, find = made["encode_video"].params, made["find_moments"].params
  assert encode
  assert find
  assert encode.keys().isdisjoint(find)
