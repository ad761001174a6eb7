"""Folders of weights, and how they are put into a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.weights.folder import load_weights, save_weights, stack
from unloc_jax.weights.merging import merge_weights


def make(**shapes):
  rng = np.random.default_rng(0)
  return {
    name: rng.standard_normal(shape).astype(np.float32)
    for name, shape in shapes.items()
  }


def tower(frames=1, grid=3, layers=2, words=8):
  """Loaded weights; frames = 0 makes a "gap" tower."""
  shapes = {
    "image_tower/position_embedding": (grid**2 + (frames > 0), 4),
    "image_projection/kernel": (4, 3),
    "text_tower/position_embedding": (words, 4),
    "fusion/norm/scale": (3,),
  }
  if frames:
    shapes["image_tower/class_embedding"] = (frames, 4)
  for i in range(layers):
    shapes[f"image_tower/encoder/layer_{i}/norm_1/scale"] = (4,)
  return make(**shapes)


def zeros(params):
  return {k: np.zeros_like(v) for k, v in params.items()}


def test_folder_round_trip(tmp_path):
  params = {**tower(), "log_scale": np.float32(3.5)}
  folder = str(tmp_path / "a" / "b")
  stacked = stack(
    params, {"image_tower/encoder/layers/norm_1/scale": np.zeros((2, 4))}
  )
  assert "image_tower/encoder/layers/norm_1/scale" in stacked
  save_weights(folder, stacked, {"from": "here"})
  loaded = load_weights(folder)
  assert loaded.config == {"format": 1, "from": "here"}
  assert loaded.params.keys() == params.keys()
  assert all(np.array_equal(loaded.params[k], v) for k, v in params.items())
  assert loaded.params["log_scale"].shape == ()
  assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]
  with pytest.raises(FileExistsError, match="choose another"):
    save_weights(folder, params, {})


def test_what_is_no_folder_is_refused(tmp_path):
  with pytest.raises(ValueError, match="not a folder of weights"):
    load_weights(str(tmp_path))
  (tmp_path / "config.json").write_text("{}")
  (tmp_path / "params.safetensors").write_bytes(b"12345678")
  with pytest.raises(ValueError, match="not a folder of weights"):
    load_weights(str(tmp_path))


def test_merge_takes_what_matches_and_leaves_the_rest():
  loaded, initial = tower(), zeros(tower())
  merged = merge_weights(initial, loaded, "image_tower/")
  for name, value in merged.items():
    expected = loaded if name.startswith("image_tower/") else initial
    np.testing.assert_array_equal(value, expected[name])
  # Modules that the model lacks are left out.
  fewer = {k: v for k, v in initial.items() if not k.startswith("text_tower")}
  assert merge_weights(fewer, loaded, "").keys() == fewer.keys()


def test_every_difference_is_listed_and_nothing_loaded():
  loaded, initial = tower(layers=3), zeros(tower())
  loaded["image_projection/kernel"] = np.zeros((4, 5), np.float32)
  initial["image_tower/norm_pre/scale"] = np.zeros(4, np.float32)
  with pytest.raises(ValueError, match="3 differences") as caught:
    merge_weights(initial, loaded, "image_")
  assert str(caught.value).split("\n")[1:] == [
    "  ~ image_projection/kernel is (4, 5), the model has (4, 3)",
    "  + image_tower/encoder/layer_2/norm_1/scale (4,) is not in the model",
    "  - image_tower/norm_pre/scale (4,) is missing",
  ]
  assert not any(np.any(v) for v in initial.values())
  with pytest.raises(ValueError, match="matches no parameter"):
    merge_weights(initial, loaded, "nothing")


def test_stacked_layers_are_filled():
  loaded = tower()
  name = "image_tower/encoder/layers/norm_1/scale"
  initial = {name: jnp.zeros((2, 4))}
  merged = merge_weights(initial, loaded, "image_tower/encoder")
  for i in range(2):
    np.testing.assert_array_equal(
      merged[name][i], loaded[f"image_tower/encoder/layer_{i}/norm_1/scale"]
    )


def test_sharding_is_kept():
  devices = jax.devices()[:2]
  mesh = jax.make_mesh((len(devices),), ("data",), devices=devices)
  spec = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
  loaded = tower()
  name = "image_projection/kernel"
  initial = {name: jax.device_put(jnp.zeros((4, 3)), spec)}
  merged = merge_weights(initial, loaded, "image_projection")
  assert merged[name].sharding == spec
  np.testing.assert_array_equal(merged[name], loaded[name])


def test_class_embeddings_follow_the_frames():
  name = "image_tower/class_embedding"
  loaded, initial = tower(), zeros(tower(frames=5))
  merged = merge_weights(initial, loaded, "image_tower")[name]
  np.testing.assert_array_equal(merged, np.repeat(loaded[name], 5, 0))
  old = tower(frames=3)
  merged = merge_weights(initial, old, "image_tower")[name]
  old = old[name]
  expected = [old[0], (old[0] + old[1]) / 2, old[1], (old[1] + old[2]) / 2]
  np.testing.assert_allclose(merged, [*expected, old[2]], rtol=1e-6)
  # A "gap" model has none, and no position for it.
  merged = merge_weights(zeros(tower(frames=0)), loaded, "image_tower")
  position = "image_tower/position_embedding"
  np.testing.assert_array_equal(merged[position], loaded[position][1:])
  with pytest.raises(ValueError, match="- image_tower/class_embedding"):
    merge_weights(zeros(tower(frames=2)), tower(frames=0), "image_tower")


@pytest.mark.parametrize("frames", [0, 1])
def test_positions_are_resampled_on_the_grid(frames):
  loaded, initial = tower(frames, grid=3), zeros(tower(frames, grid=5))
  name = "image_tower/position_embedding"
  rows, columns = np.meshgrid(np.arange(3.0), np.arange(3.0), indexing="ij")
  plane = (2 * rows - columns + 1).reshape(9, 1) * np.ones(4)
  loaded[name][frames:] = plane
  merged = merge_weights(initial, loaded, "image_tower")[name]
  np.testing.assert_array_equal(merged[:frames], loaded[name][:frames])
  fine = np.arange(5) / 2  # A plane stays one, edge to edge.
  rows, columns = np.meshgrid(fine, fine, indexing="ij")
  expected = (2 * rows - columns + 1).reshape(25, 1) * np.ones(4)
  np.testing.assert_allclose(merged[frames:], expected, rtol=1e-5)


def test_shorter_texts_take_the_first_positions():
  name = "text_tower/position_embedding"
  loaded = tower(words=8)
  merged = merge_weights(zeros(tower(words=5)), loaded, "text_tower")
  np.testing.assert_array_equal(merged[name], loaded[name][:5])
  with pytest.raises(ValueError, match=r"~ text_tower/position_embedding"):
    merge_weights(zeros(tower(words=9)), loaded, "text_tower")
