"""Steps from a record dictionary to a row of a batch.

Every function here returns a closure that takes a dictionary and returns a
new one, so a recipe is a list of them; each works eagerly and inside tf.data.
Randomness is stateless: it depends on the entry "seed" (int32 [2]) alone, and
is drawn once per video, so that frames of a video change together.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Record = dict[str, Any]
Op = Callable[[Record], Record]

# Every draw has a number of its own: no two of a video are correlated.
_DRAWS = (
  *("queries", "jitter", "scale", "top", "left", "flip"),
  *("colour", "colour_on", "grey", "augment"),
  *("share", "first", "stretch"),
)


def draw_seed(record: Record, name: str) -> tf.Tensor:
  """The seed of one kind of draw for one video, int32 [2]."""
  number = _DRAWS.index(name)
  return tf.random.experimental.stateless_fold_in(record["seed"], number)


def uniform(
  record: Record, name: str, shape: Any = (), low: Any = 0.0, high: Any = 1.0
) -> tf.Tensor:
  """A draw of one kind for one video."""
  return tf.random.stateless_uniform(shape, draw_seed(record, name), low, high)


def chain(ops: Sequence[Op]) -> Op:
  """One op that applies all of them in order."""

  def apply(record: Record) -> Record:
    for op in ops:
      record = op(record)
    return record

  return apply


def take_window(shortest: float, stretch: float) -> Op:
  """Shows a random stretch of the sampled positions, slower or faster.

  Segments outside the stretch are left out, the others cut at its ends.

  Args:
    shortest: Share of the video that is seen at least.
    stretch: Largest logarithm of the change of speed.
  """

  def apply(record: Record) -> Record:
    index, length = record["frame_index"], tf.size(record["frame_index"])
    total = tf.reduce_sum(tf.cast(record["frame_mask"], tf.float32))
    seen = tf.maximum(
      tf.round(uniform(record, "share", (), shortest) * total), 1
    )
    first = tf.round(uniform(record, "first") * (total - seen))
    speed = tf.exp(uniform(record, "stretch", (), -stretch, stretch))
    shown = tf.minimum(
      tf.maximum(tf.round(seen * speed), 1), tf.cast(length, tf.float32)
    )
    scale = shown / seen  # Positions are the middles of what they stand for.
    places = (tf.range(length, dtype=tf.float32) + 0.5) / scale - 0.5 + first
    places = tf.clip_by_value(tf.round(places), 0, total - 1)
    segments = (record["segments"] - first + 0.5) * scale - 0.5
    segments = tf.clip_by_value(segments, 0.0, shown - 1)
    kept = segments[:, 0] < segments[:, 1]
    return {
      **record,
      "frame_index": tf.gather(index, tf.cast(places, tf.int32)),
      "frame_mask": tf.range(length) < tf.cast(shown, tf.int32),
      "segments": tf.boolean_mask(segments, kept),
      "segment_query": tf.boolean_mask(record["segment_query"], kept),
    }

  return apply


def jitter_segments(fraction: float) -> Op:
  """Moves starts and ends by up to a fraction of the segment's length."""

  def apply(record: Record) -> Record:
    start, end = tf.unstack(record["segments"], axis=1)
    moved = uniform(
      record, "jitter", tf.shape(record["segments"]), -fraction, fraction
    )
    moved = record["segments"] + moved * (end - start)[:, None]
    # A fraction above one half could swap the two.
    moved = tf.stack(
      [tf.reduce_min(moved, axis=1), tf.reduce_max(moved, axis=1)], axis=1
    )
    return {**record, "segments": moved}

  return apply


def choose_queries(max_queries: int, random: bool) -> Op:
  """Keeps at most Qv captions, and the segments that belong to them.

  In training a random subset, in the stored order; otherwise those from
  query_offset on.
  """

  def apply(record: Record) -> Record:
    count = tf.shape(record["texts"])[0]
    if random:
      order = tf.argsort(uniform(record, "queries", [count]))
      rows = tf.sort(order[:max_queries])
      record = {**record, "query_offset": tf.constant(-1, tf.int32)}
    else:
      first = record["query_offset"]
      rows = tf.range(first, tf.minimum(first + max_queries, count))
    texts = tf.gather(record["texts"], rows)
    # Where each stored query went; -1 is nowhere.
    place = tf.tensor_scatter_nd_update(
      tf.fill([count], -1), rows[:, None], tf.range(tf.size(rows))
    )
    query = tf.gather(place, record["segment_query"])
    kept = query >= 0
    return {
      **record,
      "texts": texts,
      "segments": tf.boolean_mask(record["segments"], kept),
      "segment_query": tf.boolean_mask(query, kept),
    }

  return apply


def tokenize(
  tokenizer: Callable[[Sequence[str]], np.ndarray],
  max_queries: int,
  max_tokens: int,
  dtype: Any = np.int32,
) -> Op:
  """Texts [Q] to text_ids [Qv, L], of a dtype, and query_mask bool [Qv]."""

  def rows(texts: np.ndarray) -> np.ndarray:
    ids = np.zeros([max_queries, max_tokens], dtype)
    if len(texts):
      ids[: len(texts)] = tokenizer([t.decode("utf-8") for t in texts])
    return ids

  def apply(record: Record) -> Record:
    ids = tf.numpy_function(rows, [record["texts"]], dtype, stateful=False)
    return {
      **record,
      "text_ids": tf.ensure_shape(ids, [max_queries, max_tokens]),
      "query_mask": tf.range(max_queries) < tf.size(record["texts"]),
    }

  return apply


def pad_segments(max_segments: int) -> Op:
  """The first S segments, padded with zeros and query -1."""

  def apply(record: Record) -> Record:
    segments = record["segments"][:max_segments]
    query = record["segment_query"][:max_segments]
    free = max_segments - tf.shape(query)[0]
    segments = tf.pad(segments, [[0, free], [0, 0]])
    query = tf.pad(query, [[0, free]], constant_values=-1)
    return {
      **record,
      "segments": tf.ensure_shape(segments, [max_segments, 2]),
      "segment_query": tf.ensure_shape(query, [max_segments]),
    }

  return apply
