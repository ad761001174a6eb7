"""Every config imports, is locked, fits the model and its own schedule."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import anet_tal
from tests.config.config_cases import (
  ARGUMENTS,
  CASES,
  FOLDER,
  HELPERS,
  TRACED,
  load,
  num_classes,
  parts_of,
  shapes_of,
)
from unloc_jax.config.check import check
from unloc_jax.config.schema import base, flat
from unloc_jax.data.batch import batch_spec
from unloc_jax.task.tasks import get_task
from unloc_jax.training import gradients, loop, optim
from unloc_jax.training.evaluation import eval_config


def test_no_config_is_forgotten():
  there = {path.stem for path in FOLDER.glob("*.py")} - HELPERS
  assert there == set(ARGUMENTS), "add new ones to config_cases.py"


def prompt_shapes(config):
  """Class prompts as `class_texts` makes them; None for captions."""
  if get_task(config.task).texts == "captions":
    return None
  count = num_classes(config)
  if config.model.text_tower.num_layers:
    shape = (len(config.text.prompts), count, config.data.max_tokens)
    return jax.ShapeDtypeStruct(shape, jnp.int32)
  return jax.ShapeDtypeStruct((1, count, config.model.width), jnp.float32)


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_locked_and_whole(name, argument):
  config = load(name, argument)
  assert config.is_locked
  with pytest.raises(AttributeError):
    config.model.fusion.num_layer = 3
  assert dict(flat(config)).keys() == dict(flat(base())).keys()
  check(config)


@pytest.mark.parametrize(("name", "argument"), TRACED)
def test_losses_have_the_right_shapes(name, argument):
  parts = parts_of(name, argument)
  config = parts.config
  losses = jax.eval_shape(
    functools.partial(gradients.batch_losses, parts=parts),
    shapes_of(name, argument),
    batch_spec(config, config.train.batch_size),
    prompt_shapes(config),
    jax.eval_shape(lambda: jax.random.key(0)),
  )
  wanted = {"total", "relevance"}
  if parts.task.has_displacement:
    wanted.add("displacement")
  assert set(losses) == wanted
  assert all(x.shape == () and x.dtype == jnp.float32 for x in losses.values())


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_schedule_and_rates_fit(name, argument):
  """`make_optimizer` refuses steps after the end and unused patterns."""
  parts = parts_of(name, argument)
  config = parts.config
  videos = config.train.num_videos
  assert videos or config.train.unit == "steps", "epochs cannot be counted"
  unit_steps, total_steps = loop.run_length(config, videos)
  trained, _ = optim.split_frozen(config, shapes_of(name, argument))
  optim.make_optimizer(config, sorted(trained), total_steps, unit_steps)
  factor = optim.schedule(config.optimizer, total_steps, unit_steps)
  steps = np.linspace(0, total_steps - 1, 40, dtype=int)
  top = max(float(factor(step)) for step in steps)
  assert top == pytest.approx(1.0, abs=0.05)
  for every in (config.eval.every, config.checkpoint.every):
    assert every * unit_steps <= total_steps


@pytest.mark.parametrize(
  ("name", "argument", "part"),
  [
    ("anet_mr", "M", "M"),
    ("anet_mr", "B,split=50-0", "split=50-0"),
    ("anet_tal", "B,split=50-10", "split=50-10"),
    ("anet_tal", "split", "split"),
    ("kinetics_pretrain", "B,classes=500", "classes=500"),
    ("synthetic_tal", "B", "B"),
    ("coin_as", "L,L", "L"),
    ("qvhighlights_mr", "xyz", "xyz"),
  ],
)
def test_unknown_argument_is_one_clear_line(name, argument, part):
  with pytest.raises(ValueError, match=re.escape(repr(part))) as info:
    load(name, argument)
  message = str(info.value)
  assert "\n" not in message
  assert "give " in message
  assert name != "qvhighlights_mr" or "B|L|features|" in message
  assert len(message) < 400


def test_every_zero_shot_split_leaves_no_class_out_or_twice():
  for name in anet_tal._SPLITS:
    config = load("anet_tal", f"B,split={name}")
    seen, unseen = set(config.data.classes), set(config.eval.classes)
    assert len(config.data.classes) == {"50": 100, "75": 150}[name[:2]]
    assert len(seen) == len(config.data.classes)
    assert not seen & unseen
    assert len(seen | unseen) == 200
    assert eval_config(config).data.classes == config.eval.classes
    assert config.data.classes != config.eval.classes
  whole = load("anet_tal", "B")
  assert eval_config(whole).data.classes == ()
