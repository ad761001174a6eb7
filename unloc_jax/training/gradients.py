"""Losses of a batch and their gradients, at once or part after part."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from unloc_jax.models.unloc import Texts, UnLoc
from unloc_jax.parallel.sharding import constrain
from unloc_jax.task.objective import (
  Targets,
  among,
  compute_losses,
  count_slots,
  displacement_pairs,
  draw_classes,
  make_targets,
)
from unloc_jax.task.predictions import Predictions
from unloc_jax.task.prompts import draw
from unloc_jax.training.state import Parts, nest

Batch = Mapping[str, Any]
Params = Mapping[str, jax.Array]
Losses = dict[str, jax.Array]


@flax.struct.dataclass
class Asked:
  """What a batch is asked, apart from the texts; each has B as first axis.

  Attributes:
    streams: Rows by stream.
    masks: bool [B, N] by stream.
    pairs: int32 [B, M], see `displacement_pairs`; or None.
    targets: What the heads should say.
    drawn: int32 [B, C'], of the texts those that each video meets; or None.
  """

  streams: dict[str, jax.Array]
  masks: dict[str, jax.Array]
  pairs: jax.Array | None
  targets: Targets
  drawn: jax.Array | None = None


def prepare(
  batch: Batch, prompts: jax.Array | None, key: jax.Array, parts: Parts
) -> tuple[jax.Array, Asked]:
  """The texts that a batch meets in this step, and all else it is asked."""
  task = parts.task
  num_classes, drawn = 0, None
  if prompts is not None:
    prompt_key, class_key = jax.random.split(key)
    texts = draw(prompts, prompt_key)
    num_classes, count = texts.shape[0], parts.config.text.sampled
    if 0 < count < num_classes:
      own = parts.config.text.sampled_for == "video"
      drawn = draw_classes(batch, class_key, num_classes, count, own)
      batch, num_classes = among(batch, drawn), count
      texts, drawn = (texts, drawn) if own else (texts[drawn], None)
  elif task.train_pairing == "all":
    texts = batch["text_ids"].reshape(-1, *batch["text_ids"].shape[2:])
  else:
    texts = batch["text_ids"]
  targets = make_targets(task, parts.pyramid, batch, num_classes)
  pairs = displacement_pairs(task, batch)
  return texts, Asked(batch["streams"], batch["masks"], pairs, targets, drawn)


def batch_losses(
  params: Params,
  batch: Batch,
  prompts: jax.Array | None,
  key: jax.Array,
  parts: Parts,
) -> Losses:
  """Losses of a batch in training mode."""
  prompt_key, dropout_key = jax.random.split(key)
  texts, asked = prepare(batch, prompts, prompt_key, parts)
  predictions = localize(
    params,
    lambda model: model.encode_text(texts, False),
    asked,
    dropout_key,
    parts,
  )
  return compute_losses(parts.task, parts.loss, predictions, asked.targets)


def whole_gradients(
  trained: Params,
  frozen: Params,
  batch: Batch,
  prompts: jax.Array | None,
  key: jax.Array,
  parts: Parts,
) -> tuple[Params, Losses]:
  """Gradients of the total loss by `trained`, and all losses."""

  def loss_fn(trained: Params) -> tuple[jax.Array, Losses]:
    losses = batch_losses({**trained, **frozen}, batch, prompts, key, parts)
    return losses["total"], losses

  found: tuple[Params, Losses] = jax.grad(loss_fn, has_aux=True)(trained)
  return found


def summed_gradients(
  trained: Params,
  frozen: Params,
  batch: Batch,
  prompts: jax.Array | None,
  key: jax.Array,
  parts: Parts,
) -> tuple[Params, Losses]:
  """As `whole_gradients`, from `train.accumulate` parts of the batch in turn.

  The same sum in another order; only dropout is drawn anew. Texts are encoded
  once, so that every video meets all texts of the batch, and the losses of a
  part are divided by what the whole batch counts.
  """
  prompt_key, dropout_key = jax.random.split(key)
  texts, asked = prepare(batch, prompts, prompt_key, parts)
  counts = count_slots(parts.task, asked.targets)
  number = parts.config.train.accumulate
  own = parts.task.texts == "captions" and parts.task.train_pairing == "matched"

  def encode(trained: Params) -> tuple[jax.Array, jax.Array]:
    encoded: Any = parts.model.apply(
      nest({**trained, **frozen}), texts, False, method=UnLoc.encode_text
    )
    return encoded.tokens, encoded.mask

  tokens, pull_back, mask = jax.vjp(encode, trained, has_aux=True)

  def loss_fn(
    trained: Params, tokens: jax.Array, part: jax.Array, asked: Asked
  ) -> tuple[jax.Array, Losses]:
    encoded = Texts(tokens, mask)
    if own:
      encoded = jax.tree.map(lambda x: split_rows(x, number)[part], encoded)
    part_key = jax.random.fold_in(dropout_key, part)
    predictions = localize(
      {**trained, **frozen}, lambda _: encoded, asked, part_key, parts
    )
    losses = compute_losses(
      parts.task, parts.loss, predictions, asked.targets, counts
    )
    return losses["total"], losses

  differentiate = jax.grad(loss_fn, argnums=(0, 1), has_aux=True)

  def add(sums: Any, inputs: Any) -> tuple[Any, None]:
    found = differentiate(trained, tokens, *inputs)
    return jax.tree.map(jnp.add, sums, found), None

  asked = jax.tree.map(lambda x: split_rows(x, number), asked)
  one = (jnp.zeros((), jnp.int32), jax.tree.map(lambda x: x[0], asked))
  shapes = jax.eval_shape(differentiate, trained, tokens, *one)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  parts_in_turn = (jnp.arange(number), asked)
  ((grads, by_tokens), losses), _ = jax.lax.scan(add, zeros, parts_in_turn)
  (by_texts,) = pull_back(by_tokens)
  return jax.tree.map(jnp.add, grads, by_texts), losses


def localize(
  params: Params,
  encode: Callable[[UnLoc], Texts],
  asked: Asked,
  key: jax.Array,
  parts: Parts,
) -> Predictions:
  """What the model says of videos and the texts it encodes, in training."""

  def run(model: UnLoc) -> Predictions:
    video = model.encode_video(asked.streams, False)
    mask = model.video_mask(asked.masks)
    encoded = encode(model)
    if asked.drawn is not None:
      encoded = jax.tree.map(lambda x: x[asked.drawn], encoded)
    return model.localize(video, mask, encoded, asked.pairs, False)

  said: Any = parts.model.apply(nest(params), method=run, rngs={"dropout": key})
  predictions: Predictions = said
  return predictions


def split_rows(x: jax.Array, number: int) -> jax.Array:
  """[B, ...] -> [number, B / number, ...]; every device gives to every part."""
  x = x.reshape(x.shape[0] // number, number, *x.shape[1:])
  return constrain(jnp.moveaxis(x, 1, 0), None, "batch")
