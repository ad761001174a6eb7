"""A step in parts is the step at once."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import feature_config, task_config
from tests.training.random_batch import random_batch, random_params
from unloc_jax.data.class_texts import class_texts
from unloc_jax.training import gradients, optim, state
from unloc_jax.training.step import check_sizes

ROOT = pathlib.Path("/")


def class_prompts(config):
  return jnp.asarray(class_texts(config, ("run", "jump", "sit", "stand")))


def found(config, accumulate: int, batch, params):
  """Gradients and losses of the batch in so many parts."""
  config = config.copy_and_resolve_references()
  config.train.accumulate = accumulate
  parts = state.Parts.from_config(config)
  prompts = class_prompts(config) if parts.task.texts == "classes" else None
  trained, frozen = optim.split_frozen(config, params)
  find = (
    gradients.whole_gradients if accumulate == 1 else gradients.summed_gradients
  )
  compute = jax.jit(
    lambda trained: find(
      trained, frozen, batch, prompts, jax.random.key(3), parts
    )
  )
  return jax.tree.map(np.asarray, compute(trained))


@pytest.mark.heavy
@pytest.mark.parametrize(
  ("task", "stream"),
  [
    ("moment_retrieval", "frames"),
    ("matched_moment_retrieval", "embeddings"),
    ("temporal_localization", "embeddings"),
    ("own classes", "embeddings"),
  ],
)
def test_gradients_are_those_of_the_whole_batch(task, stream):
  """In-batch negatives and what the means are over, too."""
  own = task == "own classes"
  task = "temporal_localization" if own else task
  config = feature_config(task)
  if stream == "frames":
    config = task_config(task, ROOT, ROOT)
  if own:
    config.text.sampled, config.text.sampled_for = 3, "video"
  config.model.fusion.dropout = 0.0
  # Parts that count differently, which a mean of means would show.
  batch = random_batch(config, batch_size=4)
  batch["example_mask"][3] = False
  params = random_params(config)
  (want, want_losses), (have, have_losses) = (
    found(config, n, batch, params) for n in (1, 2)
  )
  assert want_losses.keys() == have_losses.keys()
  for name, value in want_losses.items():
    np.testing.assert_allclose(have_losses[name], value, rtol=1e-6)
  assert want.keys() == have.keys()
  for name, value in want.items():
    np.testing.assert_allclose(
      have[name], value, atol=2e-6, rtol=1e-5, err_msg=name
    )
  assert np.abs(want["text_projection/kernel"]).max() > 1e-4


@pytest.mark.parametrize(("accumulate", "nearest"), [(3, 2), (9, 8)])
def test_parts_that_do_not_divide_the_batch(config, accumulate, nearest):
  config.train.accumulate = accumulate
  mesh = jax.make_mesh(
    (1, 1, 1), ("data", "fsdp", "model"), devices=jax.devices()[:1]
  )
  parts = state.Parts.from_config(config)
  with pytest.raises(ValueError, match=f"that does: {nearest}$"):
    check_sizes(parts, mesh)


def test_texts_of_stacked_layers_need_no_randomness():
  """COIN with UnLoc-B: a text tower, its layers scanned, in parts."""
  config = task_config("temporal_localization", ROOT, ROOT)
  config.model.scan_layers = True
  config.train.accumulate = 2
  parts = state.Parts.from_config(config)
  prompts = class_prompts(config)
  batch = random_batch(config, batch_size=4)
  trained = state.param_shapes(parts)
  grads, _ = jax.eval_shape(
    lambda trained, key: gradients.summed_gradients(
      trained, {}, batch, prompts, key, parts
    ),
    trained,
    jax.random.key(0),
  )
  assert grads.keys() == trained.keys()


def test_a_video_asked_for_some_classes_answers_as_asked_for_all():
  config = feature_config("temporal_localization")
  config.model.fusion.dropout = 0.0
  parts = state.Parts.from_config(config)
  batch, params = random_batch(config, batch_size=2), random_params(config)
  drawn = jnp.asarray([[3, 0], [1, 2]])

  @jax.jit
  def answer(drawn):
    asked = gradients.Asked(batch["streams"], batch["masks"], None, None, drawn)
    texts = class_prompts(config)[0]
    return gradients.localize(
      params,
      lambda model: model.encode_text(texts, False),
      asked,
      jax.random.key(0),
      parts,
    )

  some, whole = answer(drawn), answer(None)
  for part, all_of_it in (
    (some.relevance, whole.relevance),
    (some.displacement, whole.displacement),
  ):
    index = np.asarray(drawn).reshape(2, 2, *[1] * (part.ndim - 2))
    want = np.take_along_axis(np.asarray(all_of_it), index, axis=1)
    np.testing.assert_allclose(part, want, atol=2e-5)
