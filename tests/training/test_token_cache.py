"""Training from kept frame tokens is training from frames."""

import pathlib

import ml_collections
import numpy as np
import pytest

from tests import tiny_data
from tests.training.conftest import tiny_config
from unloc_jax.data import splits
from unloc_jax.parallel import sharding
from unloc_jax.training import loop, state, token_cache
from unloc_jax.weights.folder import load_weights

pytestmark = pytest.mark.usefixtures("quick_start")


def frozen_config(path: pathlib.Path) -> ml_collections.ConfigDict:
  config = tiny_config(path)
  config.model.image_tower.frozen = True
  config.data.augment.random_crop = False
  config.eval.splits = ()
  config.train.length, config.optimizer.warmup = 2, 1
  config.checkpoint.every = 0
  return config


@pytest.mark.parametrize(
  "change",
  [
    {"model.image_tower.frozen": False},
    {"model.image_tower.stochastic_depth": 0.1},
    {"data.augment.random_crop": True},
    {"data.augment.flip": 0.5},
    {"data.augment.scale": (1.0, 1.2)},
    {"data.augment.shortest_window": 0.5},
    {"data.augment.stretch": 0.1},
  ],
)
def test_what_changes_tokens_is_refused(captions, change):
  config = frozen_config(captions)
  token_cache.check(config)
  config.update_from_flattened_dict(change)
  with pytest.raises(ValueError, match="cache_frame_tokens"):
    token_cache.check(config)


class Cache:
  """Tokens of a split, with a count of how often they were computed."""

  def __init__(self, config, workdir, monkeypatch):
    self.parts = state.Parts.from_config(config)
    self.mesh = sharding.make_mesh(config.mesh)
    self.split = splits.open_split(config, "train")
    optimizer = loop.make_optimizer(self.parts, 2, 1.0)
    made = loop.init_state(self.parts, optimizer, self.mesh)
    self.params = made.params
    self.workdir = workdir
    self.computed = 0
    compute = token_cache._compute

    def counted(*args):
      self.computed += 1
      compute(*args)

    monkeypatch.setattr(token_cache, "_compute", counted)

  def tokens(self, params=None, split=None):
    return token_cache.frame_tokens(
      self.parts,
      params or self.params,
      split or self.split,
      self.mesh,
      str(self.workdir),
    )


@pytest.mark.heavy
def test_tokens_are_never_stale(captions, tmp_path, monkeypatch):
  cache = Cache(frozen_config(captions), tmp_path, monkeypatch)
  first = np.array(cache.tokens())
  assert first.shape == (10, 8, 16)
  assert np.abs(first).min(axis=(1, 2)).all()  # Every video has its own.
  np.testing.assert_array_equal(cache.tokens(), first)
  assert cache.computed == 1
  # Another tower.
  name = "image_tower/patch_embedding/kernel"
  other = {**cache.params, name: cache.params[name] * 1.5}
  assert not np.allclose(cache.tokens(other), first)
  assert cache.computed == 2
  # Other videos at the same place, of the same sizes.
  videos = [tiny_data.caption_video(i) for i in range(10)]
  videos[0], videos[1] = videos[1], videos[0]
  rebuilt = tiny_data.write(tmp_path / "rebuilt", {"train": videos})
  config = cache.split.config.copy_and_resolve_references()
  config.data.path = str(rebuilt)
  cache.tokens(split=splits.open_split(config, "train"))
  assert cache.computed == 3
  # Half written: only a whole file has the name that is looked for.
  whole = sorted((tmp_path / "frame_tokens").glob("*.npy"))
  assert len(whole) == 3
  for path in whole:
    path.rename(path.with_suffix(".tmp"))
  np.testing.assert_array_equal(cache.tokens(), first)
  assert cache.computed == 4


@pytest.mark.heavy
def test_training_from_tokens_is_training_from_frames(captions, tmp_path):
  found = []
  for kept in (False, True):
    config = frozen_config(captions)
    config.train.cache_frame_tokens = kept
    # AdamW would blow the rounding of a gradient of zero up to its rate.
    config.optimizer.name = "sgd"
    workdir = tmp_path / str(kept)
    loop.train_and_evaluate(config.lock(), str(workdir))
    found.append(load_weights(str(workdir / "weights")).params)
    assert (workdir / "frame_tokens").exists() == kept
  for name, value in found[0].items():
    np.testing.assert_allclose(found[1][name], value, atol=1e-6, err_msg=name)
