"""Features of texts that a dataset holds, in place of token ids.

Others made them, [L, E] of each query (`data_preprocessing.build --texts`).
"""

from collections.abc import Mapping
from typing import Any

import ml_collections
import tensorflow as tf

from unloc_jax.data.ops import Op, Record

# Tokens of all texts of a video, one after the other, and how many are whose.
NAMES = ("text_tokens", "text_lengths")


def features(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Stored features, as `tf.io.parse_single_example` takes them."""
  many, types = tf.io.FixedLenSequenceFeature, (tf.float32, tf.int64)
  if not config.data.text_width:
    return {}
  return {n: many([], t, True) for n, t in zip(NAMES, types, strict=True)}


def manifest(config: ml_collections.ConfigDict) -> Mapping[str, Any]:
  """What the dataset's manifest has to say."""
  width = config.data.text_width
  return {"text_width": width} if width else {}


def take(data: ml_collections.ConfigDict) -> Op:
  """Makes "texts" of a record features, float32 [Q, L, E], zeros as padding.

  As a tokenizer cuts them, longer texts keep their last token.
  """
  length, width = data.max_tokens, data.text_width

  def apply(record: Record) -> Record:
    tokens = tf.reshape(record["text_tokens"], [-1, width])
    lengths = tf.cast(record["text_lengths"], tf.int32)
    starts = tf.cumsum(lengths, exclusive=True)
    place = tf.range(length)
    is_last = place == length - 1
    index = tf.where(is_last, lengths[:, None] - 1, place)
    mask = place < lengths[:, None]
    rows = tf.gather(tokens, tf.where(mask, starts[:, None] + index, 0))
    return {**record, "texts": rows * tf.cast(mask, rows.dtype)[..., None]}

  return apply


def pad(data: ml_collections.ConfigDict) -> Op:
  """Chosen texts [Q, L, E] to text_ids [Qv, L, E] and query_mask bool [Qv]."""
  count = data.max_queries

  def apply(record: Record) -> Record:
    rows = record["texts"]
    free = count - tf.shape(rows)[0]
    padded = tf.pad(rows, [[0, free], [0, 0], [0, 0]])
    return {
      **record,
      "text_ids": tf.ensure_shape(padded, [count, *rows.shape[1:]]),
      "query_mask": tf.range(count) < tf.shape(rows)[0],
    }

  return apply
