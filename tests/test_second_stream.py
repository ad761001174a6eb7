"""A second sense from within a test: no file of the package is touched.

The toy sense hears, ten times a window, how far into it one is. It has an
encoder, an op, a reader and a section of the config.
"""

import flax.linen as nn
import jax
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_data
from tests.films import film  # noqa: F401
from tests.training.conftest import (
  no_pictures,  # noqa: F401
  quick_start,  # noqa: F401
  tiny_config,
)
from tests.training.random_batch import random_params
from unloc_jax import Localizer
from unloc_jax.config import keys, schema
from unloc_jax.data import pipeline, streams
from unloc_jax.models.towers import streams as towers
from unloc_jax.training import loop
from unloc_jax.training.state import Parts, nest
from unloc_jax.use import readers
from unloc_jax.use.export_run import export_run

TICKS = 10


class ToyTower(nn.Module):
  """Ticks [B, N] -> tokens [B, N, width]."""

  width: int

  @nn.compact
  def __call__(self, ticks, deterministic):
    del deterministic
    return nn.Dense(self.width, name="embed")(ticks[..., None])


def toy_encoder(config):
  tower = config.model.toy_tower
  return towers.Encoder(
    "ticks", "toy", lambda: ToyTower(tower.width), tower.frozen
  )


def toy_op(config, training):
  """Ticks, silent where the video has no second caption."""
  del config, training

  def apply(record):
    ticks = tf.linspace(0.0, 1.0, TICKS)
    heard = tf.fill([TICKS], tf.size(record["texts"]) > 1)
    return {**record, "ticks": ticks, "heard": heard}

  return apply


def toy_reader(path, config):
  del path, config
  ticks = np.linspace(0, 1, TICKS, dtype=np.float32)
  return lambda start, duration: (ticks, np.full(TICKS, duration > 0))


@pytest.fixture
def toy(monkeypatch):
  """Registers the sense."""
  section = {
    "width": keys.whole(8, "Channels.", 1),
    "num_layers": keys.whole(1, "Of the toy."),
    "frozen": keys.flag(False, "No gradient."),
  }
  stream = streams.Stream(
    features=lambda config: {},
    row=lambda config: ((TICKS,), np.float32),
    num_tokens=lambda config: TICKS,
    make=toy_op,
    mask=lambda record: record["heard"],
  )
  monkeypatch.setitem(schema.SCHEMA["model"], "toy_tower", section)
  monkeypatch.setitem(towers.ENCODERS, "ticks", toy_encoder)
  monkeypatch.setitem(streams.STREAMS, "ticks", stream)
  monkeypatch.setitem(readers.READERS, "ticks", toy_reader)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
  videos = [tiny_data.caption_video(i) for i in range(6)]
  folder = tmp_path_factory.mktemp("toy")
  return tiny_data.write(folder, {"train": videos, "val": videos[:3]})


@pytest.fixture
def config(toy, dataset):
  c = tiny_config(dataset)
  c.streams = ("frames", "ticks")
  c.train.length, c.train.batch_size = 2, 4
  c.optimizer.warmup, c.checkpoint.every = 0, 0
  c.eval.batch_size = 4
  return c


def test_a_model_of_two_streams(config):
  """Types tell streams apart; what is masked is not heard."""
  parts = Parts.from_config(config.lock())
  params = random_params(config)
  width = config.model.width
  assert params["kind_embedding"].shape == (3, width)
  assert params["toy_tower/embed/kernel"].shape == (1, 8)
  batch = next(pipeline.make_train(config, batch_size=4, seed=0))
  assert {k: v.shape for k, v in batch["masks"].items()} == {
    "frames": (4, 8),
    "ticks": (4, TICKS),
  }
  rows = batch["masks"]["ticks"][:, 0]
  counts = batch["query_mask"].sum(1)
  np.testing.assert_array_equal(rows, counts > 1)
  apply = jax.jit(
    lambda ticks: parts.model.apply(
      nest(params),
      {**batch["streams"], "ticks": ticks},
      batch["masks"],
      batch["text_ids"][:, 0],
    )
  )
  one, two = (apply(batch["streams"]["ticks"] + more) for more in (0.0, 1.0))
  assert one.relevance.shape == (4, 4, parts.pyramid.num_points)
  changed = np.abs(one.relevance - two.relevance).max(axis=(1, 2)) > 1e-7
  np.testing.assert_array_equal(changed, rows)


@pytest.mark.heavy
@pytest.mark.usefixtures("no_pictures", "quick_start")
def test_it_trains_evaluates_exports_and_predicts(config, film, tmp_path):  # noqa: F811
  workdir, folder = tmp_path / "run", tmp_path / "export"
  reports = loop.train_and_evaluate(config.lock(), str(workdir))
  assert reports["val"].seen == reports["val"].expected
  export_run(str(workdir), str(folder))
  localizer = Localizer.from_export(folder)
  video = film(tmp_path / "video.mp4", [n / 10 for n in range(20)], rate=10)
  encoded = localizer.encode_video(video)
  assert encoded.tokens.shape == (1, 8 + TICKS, config.model.width)
  assert encoded.token_mask[:, :8].tolist() == encoded.frame_mask.tolist()
  assert encoded.token_mask[:, 8:].all()
  saved = tmp_path / "kept.encoded.npz"
  encoded.save(str(saved))
  loaded = type(encoded).load(str(saved))
  found = localizer.localize(encoded, ["a red square"], 2)
  assert found == localizer.localize(loaded, ["a red square"], 2)
