"""Attention in blocks is attention: values, gradients, and what it keeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from tests.models.drawn import drawn
from unloc_jax.models import blocks, kernels
from unloc_jax.models.attention import MultiHeadAttention, attend
from unloc_jax.parallel import sharding

B, Q, H, D = 2, 3, 2, 4
KEY = jax.random.key(0)


def use(monkeypatch, block, whole=0):
  """So many scores make a block, and so many blocks still a whole matrix."""
  monkeypatch.setattr(blocks, "_BLOCK", block)
  monkeypatch.setattr(blocks, "_WHOLE", whole)


def inputs(queries, keys, mask):
  """Arrays and a mask: of keys, of pairs of positions, or none."""
  make = functools.partial(jax.random.normal, dtype=jnp.float32)
  parts = [
    make(key, (B, Q, n, H, D))
    for key, n in zip(
      jax.random.split(KEY, 3), (queries, keys, keys), strict=True
    )
  ]
  rows = {"keys": 1, "pairs": queries}.get(mask)
  if rows is None:
    return parts, None
  found = jax.random.bernoulli(KEY, 0.6, (B, Q, rows, keys))
  # All keys of a row are padding: it looks at all alike.
  return parts, found.at[0, 0, 0].set(False)


def compiled(mask):
  """Attention and its gradient, of query, key and value."""

  def run(query, key, value):
    out = attend(query, (key,), (value,), (mask,), ("batch", "queries"))
    return jnp.sum(jnp.sin(out)), out

  return jax.jit(jax.value_and_grad(run, (0, 1, 2), has_aux=True))


def value_and_gradient(parts, mask):
  (_, value), gradient = compiled(mask)(*parts)
  return value, gradient


def close(a, b, atol=2e-6, rtol=2e-6):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(
      np.asarray(x, float), np.asarray(y, float), rtol, atol
    ),
    a,
    b,
  )


@pytest.mark.parametrize("mask", ["none", "keys", "pairs"])
@pytest.mark.parametrize(
  ("queries", "keys", "block"), [(17, 13, 2 * 13 * 3), (8, 8, 2 * 8 * 8 * 4)]
)
def test_blocks_change_nothing(monkeypatch, mask, queries, keys, block):
  """Queries a few at a time; then some sequences at a time."""
  arguments = inputs(queries, keys, mask)
  use(monkeypatch, 2**20, whole=1)
  whole = value_and_gradient(*arguments)
  use(monkeypatch, block)
  close(value_and_gradient(*arguments), whole)


def test_bfloat16_sums_are_those_of_the_whole(monkeypatch):
  parts, mask = inputs(17, 13, "keys")
  half = [part.astype(jnp.bfloat16) for part in parts]
  use(monkeypatch, 64)
  ours = value_and_gradient(half, mask)
  assert ours[0].dtype == jnp.bfloat16
  use(monkeypatch, 2**20, whole=1)
  close(ours, value_and_gradient(parts, mask), atol=0.06, rtol=0.02)


def attention(length, deterministic=True, **options):
  """Compiled gradient of the module over so many tokens, and its value."""
  module = MultiHeadAttention(H, **options)
  x = jax.random.normal(KEY, (B, length, H * D))
  params = drawn(module, x, None, True)

  def run(params):
    rngs = {"dropout": KEY}
    return jnp.sum(module.apply(params, x, None, deterministic, rngs=rngs) ** 2)

  gradient = jax.jit(jax.grad(run)).lower(params).compile()
  return gradient, gradient(params)


def test_memory_grows_with_the_length_alone(monkeypatch):
  use(monkeypatch, 2**15)
  small, large = (
    attention(n)[0].memory_analysis().temp_size_in_bytes for n in (256, 1024)
  )
  assert large < 5 * small
  use(monkeypatch, 2**30, whole=1)
  assert attention(1024)[0].memory_analysis().temp_size_in_bytes > 8 * large


def test_dropped_weights_need_the_whole_matrix(monkeypatch):
  use(monkeypatch, 64)
  dropped = attention(24, dropout=0.5, deterministic=False)[1]
  use(monkeypatch, 2**20, whole=1)
  close(dropped, attention(24, dropout=0.5, deterministic=False)[1])


@pytest.mark.parametrize("kernel", ["gpu", "tpu"])
def test_kernels_of_libraries_change_nothing(kernel):
  """cuDNN's place is taken by XLA; the TPU's kernel is interpreted."""
  keys = jax.random.split(KEY, 3)
  parts = [jax.random.normal(k, (1, 2, 130, H, D)) for k in keys]
  mask = jnp.arange(130) < jnp.array([100, 130])[None, :, None, None]
  run = kernels.KERNELS[kernel]
  if kernel == "gpu":
    run = functools.partial(jax.nn.dot_product_attention, scale=1.0)

  def total(query, key, value, run):
    if run is None:
      out = attend(query, (key,), (value,), (mask,))
    else:
      out = kernels.attend(run, query, key, value, mask)
    return jnp.sum(jnp.sin(out)), out

  grad = jax.jit(
    jax.grad(total, (0, 1, 2), has_aux=True), static_argnames="run"
  )
  with pltpu.force_tpu_interpret_mode():
    ours = grad(*parts, run=run)
  close(ours, grad(*parts, run=None), atol=1e-5, rtol=1e-5)


def chosen(length, mask=None, dtype=jnp.bfloat16):
  x = jax.ShapeDtypeStruct((4, length, H, D), dtype)
  return kernels.choose(x, x, mask, ())


def test_kernels_are_chosen_by_platform_and_size(monkeypatch):
  assert chosen(577) == "whole"
  monkeypatch.setattr(sharding, "platform", lambda: "tpu")
  lengths = (129, 513, 2049)
  assert [chosen(n) for n in lengths] == ["whole", "tpu", "tpu"]
  assert chosen(513, jnp.ones((513, 513), bool)) == "whole"
  assert chosen(2**14, dtype=jnp.float32) == "blocks"
  monkeypatch.setattr(sharding, "platform", lambda: "cuda")
  assert chosen(513) == "whole"  # No cuDNN is here, as where plans are made.
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert [chosen(n) for n in (64, 129)] == ["whole", "gpu"]


def test_a_mesh_splits_sequences_and_heads(monkeypatch):
  """Each device sums its own; nothing is gathered."""
  use(monkeypatch, 16)
  parts, mask = inputs(17, 13, "keys")
  alone = value_and_gradient(parts, mask)
  mesh = jax.make_mesh(
    (2, 1, 2), sharding.MESH_AXES, (jax.sharding.AxisType.Auto,) * 3
  )
  split = jax.sharding.NamedSharding(
    mesh, jax.sharding.PartitionSpec("data", None, None, "model")
  )
  with sharding.over(mesh):
    parts = jax.device_put(parts, split)
    run = compiled(mask).lower(*parts).compile()
  (_, value), gradient = run(*parts)
  close((value, gradient), alone)
  assert "all-gather" not in run.as_text()
