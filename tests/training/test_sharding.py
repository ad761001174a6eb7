"""Meshes that fit, meshes that do not, and the same step on every mesh."""

import jax
import numpy as np
import pytest

from tests.training.random_batch import random_batch
from unloc_jax.data import pipeline
from unloc_jax.parallel import sharding
from unloc_jax.training import loop, state


def mesh_of(config, *shape: int):
  config.mesh.data, config.mesh.fsdp, config.mesh.model = shape
  return sharding.make_mesh(config.mesh)


def test_minus_one_takes_what_is_left(config):
  assert tuple(mesh_of(config, -1, 2, 2).shape.values()) == (2, 2, 2)


@pytest.mark.parametrize(
  "shape", [(3, 1, 1), (-1, 3, 1), (4, 1, 1), (16, 1, 1), (-1, -1, 1)]
)
def test_a_mesh_that_does_not_divide_the_devices(config, shape):
  with pytest.raises(ValueError, match="mesh: ") as error:
    mesh_of(config, *shape)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("asked", "batches", "shape"),
  [
    # Fewer videos than devices: fsdp takes what data leaves.
    ((-1, 1, 1), (64, 64, 1), (64, 4, 1)),
    ((-1, 1, 1), (64, 16, 1), (16, 16, 1)),
    ((-1, 1, 2), (64, 64, 1), (64, 2, 2)),
    ((-1, 2, 1), (64, 64, 1), (64, 4, 1)),
    ((-1, 1, 1), (64, 64, 4), (16, 16, 1)),
    ((-1, 1, 1), (512, 256, 1), (256, 1, 1)),
    # What does not divide is refused later, not split in odd ways.
    ((-1, 1, 1), (60, 60, 1), (256, 1, 1)),
    ((-1, 1, 1), (300, 256, 1), (256, 1, 1)),
    ((64, 1, 4), (64, 64, 1), (64, 1, 4)),
    ((64, -1, 1), (64, 16, 1), (64, 4, 1)),
  ],
)
def test_what_data_leaves_is_fsdp(config, asked, batches, shape):
  config.mesh.data, config.mesh.fsdp, config.mesh.model = asked
  config.train.batch_size, config.eval.batch_size = batches[:2]
  config.train.accumulate = batches[2]
  sizes = batches[0] // batches[2], batches[1]
  assert sharding.mesh_shape(config.mesh, 256, sizes) == shape


@pytest.mark.parametrize(
  ("asked", "nearest"),
  [
    ((16, 1, 1), "data=8, fsdp=1, model=1"),
    ((3, 1, 2), "data=4, fsdp=1, model=2"),
    ((-1, 1, 3), "data=2, fsdp=1, model=4"),
    ((0, 1, 1), "data=1, fsdp=1, model=8"),
  ],
)
def test_the_nearest_mesh_is_named(config, asked, nearest):
  config.mesh.data, config.mesh.fsdp, config.mesh.model = asked
  with pytest.raises(ValueError, match="8 devices") as error:
    sharding.mesh_shape(config.mesh, 8)
  found = str(error.value).partition("nearest that does: ")[2]
  shape = [int(part.partition("=")[2]) for part in found.split(", ")]
  assert np.prod(shape) == 8
  assert found == nearest


@pytest.mark.parametrize(
  ("size", "frames", "nearest"), [(1, 8, 2), (7, 8, 6), (9, 7, 8), (2, 7, 4)]
)
def test_a_batch_that_does_not_divide(config, size, frames, nearest):
  mesh = mesh_of(config, 2, 2, 2)
  with pytest.raises(ValueError, match=f"that are: {nearest}(;|$)") as error:
    sharding.check_batch(mesh, size, "train.batch_size", frames)
  assert "\n" not in str(error.value)
  sharding.check_batch(mesh, nearest, "train.batch_size", frames)


def test_fewer_videos_than_devices(config):
  """Four devices a video: they share its frames, and its pairs with texts."""
  mesh = mesh_of(config, 2, 2, 2)
  sharding.check_batch(mesh, 2, "train.batch_size", 8)
  shape = {"data": 64, "fsdp": 4, "model": 1}
  spec = sharding.resolve(("batch", "frames"), (64, 128), shape)
  assert spec == jax.P("data", ("fsdp", "model"))
  spec = sharding.resolve(("batch", "queries"), (64, 512), shape)
  assert spec == jax.P("data", "fsdp")


def test_the_mesh_that_a_batch_would_fit_is_named(config):
  mesh = mesh_of(config, 8, 1, 1)
  with pytest.raises(ValueError, match="data=4, fsdp=2") as error:
    sharding.check_batch(mesh, 4, "train.batch_size", 8)
  assert "train.batch_size=4" in str(error.value)


def test_matrices_are_split_as_the_table_says(config):
  mesh = mesh_of(config, 2, 2, 2)
  spec = sharding.partition
  query = "fusion/layer_0/attention/query/kernel"
  assert spec(query, (16, 2, 8), mesh) == jax.P("fsdp", "model", None)
  # An axis the mesh does not divide stays whole; stacked layers come first.
  assert spec(query, (16, 3, 8), mesh) == jax.P("fsdp", None, None)
  assert spec(query, (4, 16, 2, 8), mesh) == jax.P(None, "fsdp", "model", None)
  assert spec("norm/scale", (16,), mesh) == jax.P()


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 2, 2), (1, 2, 4), (1, 1, 8)])
@pytest.mark.parametrize("rows", [8, 2])
def test_a_batch_arrives_where_it_belongs(config, shape, rows):
  mesh = mesh_of(config, *shape)
  if rows % shape[0]:
    pytest.skip("refused by check_batch")
  batch = random_batch(config, rows)
  sharded = sharding.shard_batch(batch, mesh)
  assert sharding.local_rows(mesh, rows) == list(range(rows))
  jax.tree.map(np.testing.assert_array_equal, sharded, batch)
  # No device has more than its share of the frames.
  frames = sharded["streams"]["frames"]
  for piece in frames.addressable_shards:
    assert piece.data.size * 8 == frames.size


def test_without_a_mesh_nothing_is_constrained():
  x = np.ones((3, 5))
  assert sharding.constrain(x, "batch", "frames") is x
  assert sharding.shares("queries", ("batch", 3)) == 1


@pytest.mark.heavy
def test_one_step_is_the_same_on_every_mesh(config):
  """And the buffers of the old state hold the new one."""
  config.optimizer.name = "sgd"
  config.optimizer.rates = (("", 0.1),)
  config.train.batch_size = 8
  batch = next(pipeline.make_train(config, batch_size=8, seed=0))
  expected = None
  # More, and all tasks: tests/training/meshes.py.
  for shape in ((8, 1, 1), (2, 2, 2)):
    mesh = mesh_of(config, *shape)
    parts = state.Parts.from_config(config)
    optimizer = loop.make_optimizer(parts, 6, 1.0)
    before = state.init_state(parts, optimizer, mesh)
    step = loop.compile_train_step(parts, optimizer, mesh, before)
    arguments = before, sharding.shard_batch(batch, mesh), None
    program = step.lower(*arguments).compile()
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(before))
    kept = program.memory_analysis().alias_size_in_bytes
    assert kept >= 0.99 * size / len(jax.devices()) * mesh.shape["data"]
    after, metrics = program(*arguments)
    got = (
      {name: np.asarray(value) for name, value in metrics.items()},
      {name: np.asarray(value) for name, value in after.params.items()},
    )
    expected = expected or got
    for want, have in zip(expected, got, strict=True):
      for name, value in want.items():
        np.testing.assert_allclose(
          have[name], value, rtol=1e-5, atol=1e-5, err_msg=f"{shape} {name}"
        )
