"""Rates by pattern, schedules, frozen towers, the running average."""

import jax.numpy as jnp
import numpy as np
import pytest

from unloc_jax.training import optim

NAMES = ["fusion/a/kernel", "head/kernel", "image_tower/b/kernel"]


def test_the_first_pattern_that_matches_gives_the_rate():
  rates = (("fusion/", 0.1), ("head/", 0.2), ("", 0.01))
  assert optim.base_rates(rates, NAMES) == {
    "fusion/a/kernel": 0.1,
    "head/kernel": 0.2,
    "image_tower/b/kernel": 0.01,
  }


@pytest.mark.parametrize(
  ("patterns", "says"),
  [
    (("fusion/", "image"), "rates.*head/kernel"),
    (("fusoin/", ""), "no parameter matches.*fusoin"),
  ],
)
def test_a_rate_that_is_missing_or_unused_is_refused(patterns, says):
  with pytest.raises(ValueError, match=says):
    optim.base_rates(tuple((each, 0.1) for each in patterns), NAMES)


@pytest.fixture
def optimizer(config):
  return config.optimizer


def factors(optimizer, total=100, unit=1.0):
  schedule = optim.schedule(optimizer, total, unit)
  return np.array([schedule(step) for step in range(total)])


def test_warm_up_is_linear_and_the_first_step_moves(optimizer):
  for warmup, unit in ((4, 1.0), (0.5, 8.0)):
    optimizer.warmup = warmup
    got = factors(optimizer, 8, unit)
    np.testing.assert_allclose(got, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


def test_cosine_falls_to_zero_at_the_end(optimizer):
  optimizer.warmup, optimizer.schedule = 20, "cosine"
  got = factors(optimizer)
  assert got[20] == pytest.approx(1.0)
  assert got[60] == pytest.approx(0.5)
  assert 0 < got[99] < 0.002
  assert (np.diff(got[20:]) < 0).all()


def test_steps_multiply(optimizer):
  optimizer.warmup, optimizer.schedule = 1, "steps"
  optimizer.decay = ((2, 0.1), (3, 0.5))
  got = factors(optimizer, total=40, unit=10.0)
  np.testing.assert_allclose(
    got[[10, 19, 20, 29, 30, 39]], [1, 1, 0.1, 0.1, 0.05, 0.05], rtol=1e-6
  )


@pytest.mark.parametrize("at", [4.0, 5.0, 0.5])
def test_a_step_that_is_never_taken_is_refused(optimizer, at):
  optimizer.warmup, optimizer.schedule = 1, "steps"
  optimizer.decay = ((at, 0.1),)
  with pytest.raises(ValueError, match=rf"optimizer\.decay.*{at}.* of 40"):
    optim.schedule(optimizer, 40, 10.0)


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"warmup": 100}, "100 steps of warm-up"),
    ({"decay": ((1, 0.1),)}, "optimizer.decay goes with"),
    ({"schedule": "steps"}, "optimizer.decay goes with"),
  ],
)
def test_a_wrong_schedule_is_refused(optimizer, changes, words):
  optimizer.update(changes)
  with pytest.raises(ValueError, match=words):
    optim.schedule(optimizer, 100, 1.0)


def params():
  return {name: jnp.full((2,), 2.0) for name in NAMES}


def test_a_step_of_sgd_by_hand(config):
  """Clipped to norm 1, times base rate, times the warm-up's 1/2."""
  c = config.optimizer
  c.name, c.rates, c.warmup = "sgd", (("fusion", 0.5), ("", 0.1)), 2
  c.clip_norm, c.momentum = 1.0, 0.9
  transform = optim.make_optimizer(config, NAMES, 10, 1.0)
  grads = {name: jnp.array([3.0, 4.0]) for name in NAMES}
  norm = np.sqrt(3 * 25)
  updates, _ = transform.update(
    grads, transform.init(params()), params(), norm=norm
  )
  unit = np.array([3.0, 4.0]) / norm
  for name, rate in zip(NAMES, (0.5, 0.1, 0.1), strict=True):
    np.testing.assert_allclose(updates[name], -0.5 * rate * unit, rtol=1e-6)


def test_decay_is_of_matrices_only(config):
  c = config.optimizer
  c.name, c.rates, c.warmup, c.weight_decay = "sgd", (("", 0.1),), 0, 0.5
  names = ["a/kernel", "a/bias", "b/scale", "c/token_embedding/embedding"]
  values = {name: jnp.full((2,), 2.0) for name in names}
  transform = optim.make_optimizer(config, names, 10, 1.0)
  zero = {name: jnp.zeros((2,)) for name in names}
  updates, _ = transform.update(zero, transform.init(values), values, norm=1.0)
  np.testing.assert_allclose(updates["a/kernel"], -0.1)
  assert not any(np.any(updates[name]) for name in names[1:])


def test_frozen_towers_are_split_off(config):
  config.model.image_tower.frozen = True
  trained, frozen = optim.split_frozen(config, params())
  assert sorted(frozen) == ["image_tower/b/kernel"]
  assert sorted(trained) == NAMES[:2]
  config.model.image_tower.num_layers = 0  # No tower, nothing to freeze.
  assert not optim.split_frozen(config, params())[1]


def test_the_average_starts_quick_and_ends_slow():
  old, new = {"a": jnp.zeros(1)}, {"a": jnp.ones(1)}
  first = optim.update_average(old, new, 0.99, jnp.int32(0))["a"]
  late = optim.update_average(old, new, 0.99, jnp.int32(10**6))["a"]
  np.testing.assert_allclose(first, 0.9)
  np.testing.assert_allclose(late, 0.01, rtol=1e-4)
