"""Features that a tower of ours makes stand for the frames they are of."""

import dataclasses
import json
import pathlib

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_preprocessing import build
from tests import tiny_data
from tests.films import film  # noqa: F401
from tests.training.conftest import tiny_config
from unloc_jax import evaluate
from unloc_jax.config.schema import base
from unloc_jax.data import manifest as manifests
from unloc_jax.data import pipeline
from unloc_jax.models.towers.clip import PIXELS, ImageTower
from unloc_jax.training import provenance
from unloc_jax.training.loop import train_and_evaluate
from unloc_jax.training.state import nest
from unloc_jax.weights.folder import save_weights, source_of
from unloc_jax.weights.image_embedder import load_embedder

SIZES = {
  "patch": 8,
  "width": 16,
  "num_layers": 2,
  "num_heads": 2,
}
SIDE = 32


def tower_params(seed: int, rows: int = 1) -> dict[str, np.ndarray]:
  """Random weights of a tower of one class embedding, repeated `rows` times."""
  tower = ImageTower(**SIZES, per_frame_class=False)
  frames = jnp.zeros((1, 1, SIDE, SIDE, 3))
  variables = jax.eval_shape(
    lambda: tower.init(jax.random.key(0), frames, True)
  )
  flat = flax.traverse_util.flatten_dict(variables["params"], sep="/")
  shapes = {f"image_tower/{name}": x.shape for name, x in flat.items()}
  shapes["image_projection/kernel"] = (16, 16)
  draw = np.random.default_rng(seed)
  params = {
    name: draw.normal(0, 0.5, shape).astype(np.float32)
    for name, shape in shapes.items()
  }
  name = "image_tower/class_embedding"
  params[name] = np.repeat(params[name], rows, axis=0)
  return params


def checkpoint(folder: pathlib.Path, seed=0, rows=1, **said) -> pathlib.Path:
  """A folder of weights as a run writes it."""
  about = {
    "model": {"image_tower": {**SIZES, "classifier": "token"}},
    "data": {"short_side": SIDE + 4},
    **said,
  }
  save_weights(str(folder), tower_params(seed, rows), about)
  return folder


@pytest.fixture(scope="module")
def tower(tmp_path_factory) -> pathlib.Path:
  """The weights that make the features."""
  return checkpoint(tmp_path_factory.mktemp("tower") / "weights")


@pytest.fixture(scope="module")
def datasets(tower, film, tmp_path_factory) -> dict[str, pathlib.Path]:  # noqa: F811
  """The same three videos as frames and as features."""
  folder = tmp_path_factory.mktemp("built")
  lines = []
  draw = np.random.default_rng(0)
  shapes = (((80, 60), 40), ((48, 64), 10), ((40, 40), 30))
  for i, (size, count) in enumerate(shapes):
    cells = draw.integers(0, 255, (count, 4, 4, 3), np.uint8)
    images = np.repeat(np.repeat(cells, size[1] // 4, 1), size[0] // 4, 2)
    times = np.arange(count) / 10
    film(folder / "in" / f"{i}.mp4", times, size=size, rate=10, images=images)
    segments = [{"start": 0.2, "end": 0.9, "text": f"caption {i}"}]
    lines.append(json.dumps({"video": f"{i}.mp4", "segments": segments}))
  (folder / "train.jsonl").write_text("\n".join(lines))
  flags = [
    "--dataset=custom",
    f"--annotations={folder / 'train.jsonl'}",
    f"--videos={folder / 'in'}",
    "--workers=1",
    "--frame_rate=5",
    "--short_side=40",
  ]
  made = ["--extract=features", f"--checkpoint={tower}"]
  assert build.main([*flags, f"--data_dir={folder / 'a'}"]) == 0
  assert build.main([*flags, *made, f"--data_dir={folder / 'b'}"]) == 0
  return {
    "frames": folder / "a" / "custom" / "1.0.0",
    "features": folder / "b" / "custom" / "1.0.0",
  }


def one_batch(path: pathlib.Path, **changes) -> dict[str, np.ndarray]:
  """All three videos, as training reads them."""
  config = tiny_data.settings(
    path, num_frames=6, image_size=SIDE, short_side=SIDE + 4, **changes
  )
  config.data.augment.random_crop = False
  return next(pipeline.make_train(config, batch_size=3, seed=1))


def test_features_are_the_tokens_of_stored_frames(tower, datasets):
  frames = one_batch(datasets["frames"])
  made = one_batch(
    datasets["features"], streams=("embeddings",), embedding_width=16
  )
  # As many class embeddings as frames, as a model of six frames has.
  params = {
    name.removeprefix("image_tower/"): value
    for name, value in tower_params(0, rows=6).items()
    if name.startswith("image_tower/")
  }
  tokens = ImageTower(**SIZES).apply(
    nest(params),
    PIXELS.normalise(jnp.asarray(frames["streams"]["frames"])),
    True,
  )
  assert np.std(tokens, axis=(0, 1)).max() > 0.01
  np.testing.assert_allclose(made["streams"]["embeddings"], tokens, atol=1e-5)
  for name in ("segments", "duration", "frame_count", "text_ids"):
    np.testing.assert_array_equal(made[name], frames[name])


def test_the_manifest_says_what_made_them(tower, datasets):
  made = manifests.read_manifest(datasets["features"])
  loaded = load_embedder(str(tower))
  assert made.tower_hash == loaded.tower_hash
  assert (made.extract, made.embedding_width) == ("features", 16)
  assert (made.short_side, made.jpeg_quality) == (40, 90)
  assert made.normalisation == loaded.normalisation
  assert made.normalisation.endswith("short side 36, centre 32")


def test_the_hash_is_of_weights_and_sizes(tower, tmp_path):
  first = load_embedder(str(tower))
  again = load_embedder(str(checkpoint(tmp_path / "a", rows=6)))
  other = load_embedder(str(checkpoint(tmp_path / "b", seed=1)))
  heads = dataclasses.replace(first, sizes={**first.sizes, "num_heads": 4})
  assert first.tower_hash == again.tower_hash
  assert len({t.tower_hash for t in (first, other, heads)}) == 3


def test_a_frame_does_not_depend_on_its_batch(tower):
  loaded = load_embedder(str(tower))
  draw = np.random.default_rng(0)
  images = draw.integers(0, 255, (loaded.batch, 40, 52, 3), np.uint8)
  whole = loaded.embed(images)
  assert whole.shape == (loaded.batch, 16)
  assert whole.dtype == np.float32
  np.testing.assert_array_equal(loaded.embed(images[:3]), whole[:3])


def test_what_cannot_be_a_checkpoint(tmp_path, capsys):
  moving = tower_params(0, rows=3)
  moving["image_tower/class_embedding"][1] += 1
  image = {**SIZES, "classifier": "token"}
  for name, params, image_tower in (
    ("moving", moving, image),
    ("features", tower_params(0), {**image, "num_layers": 0}),
  ):
    about = {"model": {"image_tower": image_tower}}
    save_weights(str(tmp_path / name), params, about)
  save_weights(str(tmp_path / "silent"), tower_params(0), {})
  (tmp_path / "run" / "checkpoints").mkdir(parents=True)
  for name, words in (
    ("moving", "class embedding for each of 3 frame positions"),
    ("features", "no image tower"),
    ("silent", "does not say which towers"),
    ("run", "this run is not finished"),
    ("nothing", "is not a folder of weights"),
  ):
    with pytest.raises(ValueError, match=words) as caught:
      load_embedder(str(tmp_path / name))
    assert "\n" not in str(caught.value)
  (tmp_path / "a.jsonl").write_text('{"video": "a.mp4", "segments": []}')
  flags = [
    "--dataset=custom",
    f"--annotations={tmp_path / 'a.jsonl'}",
    f"--videos={tmp_path}",
    f"--data_dir={tmp_path / 'out'}",
    "--extract=features",
    f"--checkpoint={tmp_path / 'nothing'}",
  ]
  assert build.main(flags) == 1
  said = capsys.readouterr().err
  assert "is not a folder of weights" in said
  assert said.count("\n") == 1
  assert not (tmp_path / "out").exists()


def test_clip_folders_have_towers(tmp_path):
  image = {**SIZES, "image_size": SIDE}
  about = {"clip": {"image": image}, "source": {"from": "x", "file": "y"}}
  save_weights(str(tmp_path / "clip"), tower_params(0), about)
  loaded = load_embedder(str(tmp_path / "clip"))
  assert (loaded.image_size, loaded.resized_side) == (SIDE, SIDE)
  assert loaded.short_side == 256
  known = {"source": {"extract": "frames", "short_side": 40}}
  run = checkpoint(tmp_path / "run", **known)
  assert load_embedder(str(run)).short_side == 40


def test_training_refuses_features_of_another_tower(datasets, tower, tmp_path):
  manifest = manifests.read_manifest(datasets["features"])
  config = base().unlock()
  config.init.weights = str(tower)
  provenance.check_weights(config, manifest)
  other = checkpoint(tmp_path / "other", seed=1)
  config.init.weights = str(other)
  with pytest.raises(ValueError, match="does not fit") as caught:
    provenance.check_weights(config, manifest)
  said = str(caught.value)
  assert f"tower_hash is {manifest.tower_hash!r} in the dataset" in said
  assert load_embedder(str(other)).tower_hash in said
  assert "normalisation" not in said
  assert "\n" not in said
  # The text tower may be any.
  config.init.take = "text_(tower|projection)/"
  provenance.check_weights(config, manifest)


def test_a_run_goes_on_with_data_like_its_own(datasets, tmp_path):
  manifest = manifests.read_manifest(datasets["features"])
  provenance.check_run(str(tmp_path), manifest)  # Nothing is known yet.
  provenance.keep(str(tmp_path), manifest)
  like = dataclasses.replace(manifest, dataset="b", jpeg_quality=70)
  provenance.check_run(str(tmp_path), like)
  for key, value in {
    "tower_hash": "another",
    "frame_rate": 10.0,
    "short_side": 256,
    "normalisation": "l2",
    "embedding_width": 8,
    "extract": "frames",
  }.items():
    other = dataclasses.replace(manifest, **{key: value})
    with pytest.raises(ValueError, match="does not fit") as caught:
      provenance.check_run(str(tmp_path), other)
    expected = f"{key} is {value!r} in the dataset but "
    assert expected + repr(getattr(manifest, key)) in str(caught.value)
    assert str(caught.value).count(" is ") == 1


def test_weights_trained_on_features_remember_their_tower(datasets, tmp_path):
  manifest = manifests.read_manifest(datasets["features"])
  about = {
    "model": {"image_tower": {**SIZES, "num_layers": 0}},
    "source": dataclasses.asdict(provenance.of_manifest(manifest)),
  }
  save_weights(str(tmp_path / "w"), tower_params(0), about)
  config = base().unlock()
  config.init.weights = str(tmp_path / "w")
  provenance.check_weights(config, manifest)
  other = dataclasses.replace(manifest, tower_hash="another")
  with pytest.raises(ValueError, match="'another' in the dataset but"):
    provenance.check_weights(config, other)


@pytest.mark.heavy
def test_a_run_from_features_says_whose_they_are(datasets, tower, tmp_path):
  config = tiny_config(datasets["features"])
  config.streams, config.data.embedding_width = ("embeddings",), 16
  config.model.image_tower.num_layers = 0
  config.init.weights, config.init.take = str(tower), "image_projection/"
  config.eval.splits, config.train.length = ("train",), 3
  train_and_evaluate(config.lock(), str(tmp_path / "run"))
  manifest = manifests.read_manifest(datasets["features"])
  told = source_of(str(tmp_path / "run" / "weights"))
  assert told == dataclasses.asdict(provenance.of_manifest(manifest))
  with pytest.raises(SystemExit, match="extract is 'frames' in the dataset"):
    evaluate.main(
      [f"--workdir={tmp_path / 'run'}", f"--data={datasets['frames']}"]
    )
