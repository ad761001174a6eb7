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

from unloc_jax.data import crop, rand_augment
from unloc_jax.task.sampling import Sampling

Record = dict[str, Any]
Op = Callable[[Record], Record]

# Every draw has a number of its own: no two of a video are correlated.
_DRAWS = {
  name: i
  for i, name in enumerate(
    [
      "queries",
      "jitter",
      "scale",
      "top",
      "left",
      "flip",
      "colour",
      "colour_on",
      "grey",
      "augment",
    ]
  )
}


def draw_seed(record: Record, name: str) -> tf.Tensor:
  """The seed of one kind of draw for one video, int32 [2]."""
  return tf.random.experimental.stateless_fold_in(record["seed"], _DRAWS[name])


def _uniform(record: Record, name: str, shape=(), low=0.0, high=1.0):
  return tf.random.stateless_uniform(shape, draw_seed(record, name), low, high)


def chain(ops: Sequence[Op]) -> Op:
  """One op that applies all of them in order."""

  def apply(record: Record) -> Record:
    for op in ops:
      record = op(record)
    return record

  return apply


def sample(sampling: Sampling) -> Op:
  """Adds frame_index int32 [T], frame_mask bool [T], see `Sampling.frames`.

  Segments turn from seconds to sampled positions.
  """
  length = sampling.num_frames

  def places(
    count: np.ndarray, rate: np.ndarray, segments: np.ndarray
  ) -> tuple[np.ndarray, ...]:
    index, mask = sampling.frames(int(count), float(rate))
    return index, mask, sampling.to_positions(segments, int(count), float(rate))

  def apply(record: Record) -> Record:
    index, mask, segments = tf.numpy_function(
      places,
      [record["frame_count"], record["frame_rate"], record["segments"]],
      (tf.int32, tf.bool, tf.float32),
      stateful=False,
    )
    return {
      **record,
      "frame_index": tf.ensure_shape(index, [length]),
      "frame_mask": tf.ensure_shape(mask, [length]),
      "segments": tf.ensure_shape(segments, [None, 2]),
    }

  return apply


def take_embeddings(record: Record) -> Record:
  """Embeddings of the sampled frames only, zeros where there is none."""
  embeddings = tf.gather(record["embeddings"], record["frame_index"])
  mask = tf.cast(record["frame_mask"], embeddings.dtype)[:, None]
  return {**record, "embeddings": embeddings * mask}


def take_frames(record: Record) -> Record:
  """Encoded images of the sampled frames only, each once.

  A video with fewer frames than positions repeats some; "frame_index" then
  says which of the images kept a position shows.
  """
  needed, place = tf.unique(record["frame_index"])
  return {
    **record,
    "frames": tf.gather(record["frames"], needed),
    "frame_index": place,
  }


def decode_crop(
  image_size: int,
  short_side: int,
  scale: tuple[float, float] = (1.0, 1.0),
  random_crop: bool = False,
) -> Op:
  """Encoded images to uint8 [U, H, W, 3]: decode, crop, resize.

  The crop is cut before resizing, so only its pixels are ever touched.

  Args:
    image_size: H = W, pixels.
    short_side: what the short side counts as, pixels, before the crop.
    scale: range of the factor that short_side is multiplied with.
    random_crop: a random place instead of the centre.
  """

  def apply(record: Record) -> Record:
    images = record["frames"]
    size = tf.io.extract_jpeg_shape(images[0])[:2]
    factor = _uniform(record, "scale", (), *scale) if scale != (1, 1) else 1.0
    top = _uniform(record, "top") if random_crop else 0.5
    left = _uniform(record, "left") if random_crop else 0.5
    view = crop.window(size, short_side * factor, image_size, top, left)
    decode = lambda image: tf.image.decode_and_crop_jpeg(  # noqa: E731
      image, view.box, channels=3, dct_method="INTEGER_ACCURATE"
    )
    pixels = tf.map_fn(decode, images, fn_output_signature=tf.uint8)
    return {**record, "frames": crop.cut(pixels, view, image_size)}

  return apply


def flip(probability: float) -> Op:
  """Mirrors the whole video, left to right, with a probability."""

  def apply(record: Record) -> Record:
    mirrored = _uniform(record, "flip") < probability
    frames = tf.cond(
      mirrored,
      lambda: tf.reverse(record["frames"], [2]),
      lambda: record["frames"],
    )
    return {**record, "frames": frames}

  return apply


def colour(probability: float, grey_probability: float) -> Op:
  """Changes colours, then drops them, each with a probability of its own."""

  def jittered(record: Record) -> tf.Tensor:
    # Strengths as usual in video training (DMVR): 32/255, 0.4, 0.4, 0.2.
    draw = _uniform(record, "colour", [4], -1.0, 1.0)
    pixels = tf.image.convert_image_dtype(record["frames"], tf.float32)
    pixels = tf.image.adjust_brightness(pixels, draw[0] * 32.0 / 255.0)
    pixels = tf.image.adjust_saturation(pixels, 1.0 + 0.4 * draw[1])
    mean = tf.reduce_mean(pixels, axis=[0, 1, 2])
    pixels = (pixels - mean) * (1.0 + 0.4 * draw[2]) + mean
    pixels = tf.image.adjust_hue(tf.clip_by_value(pixels, 0, 1), 0.2 * draw[3])
    pixels = tf.clip_by_value(pixels, 0, 1)
    return tf.saturate_cast(tf.round(pixels * 255.0), tf.uint8)

  def apply(record: Record) -> Record:
    changed = _uniform(record, "colour_on") < probability
    frames = tf.cond(
      changed, lambda: jittered(record), lambda: record["frames"]
    )
    dropped = _uniform(record, "grey") < grey_probability
    frames = tf.cond(
      dropped,
      lambda: tf.repeat(tf.image.rgb_to_grayscale(frames), 3, axis=-1),
      lambda: frames,
    )
    return {**record, "frames": frames}

  return apply


def augment(layers: int, magnitude: float) -> Op:
  """RandAugment, the same operations on all frames of a video."""

  def apply(record: Record) -> Record:
    frames = rand_augment.apply(
      record["frames"], draw_seed(record, "augment"), layers, magnitude
    )
    return {**record, "frames": frames}

  return apply


def spread_frames(record: Record) -> Record:
  """Pixels at every sampled position, zeros where there is no frame."""
  frames, mask = record["frames"], record["frame_mask"]
  places = tf.size(mask)

  def spread() -> tf.Tensor:
    there = tf.cast(mask, frames.dtype)[:, None, None, None]
    return tf.gather(frames, record["frame_index"]) * there

  # Mostly every frame is shown once, and copying them all would be a waste.
  once = (tf.shape(frames)[0] == places) & tf.reduce_all(mask)
  frames = tf.cond(once, lambda: frames, spread)
  return {
    **record,
    "frames": tf.ensure_shape(frames, [*mask.shape, *frames.shape[1:]]),
  }


def jitter_segments(fraction: float) -> Op:
  """Moves starts and ends by up to a fraction of the segment's length."""

  def apply(record: Record) -> Record:
    start, end = tf.unstack(record["segments"], axis=1)
    moved = _uniform(
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
  query_offset on. Adds "query_rows", the kept ones' indices.
  """

  def apply(record: Record) -> Record:
    count = tf.shape(record["texts"])[0]
    if random:
      order = tf.argsort(_uniform(record, "queries", [count]))
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


def class_segments(class_index: Sequence[int]) -> Op:
  """segment_query becomes an index of classes; others' segments are dropped.

  Args:
    class_index: dataset's class indices in the order of the kept classes.
  """
  table = np.full([max(class_index) + 2], -1, np.int32)
  table[list(class_index)] = np.arange(len(class_index))

  def apply(record: Record) -> Record:
    index = tf.strings.to_number(record["query_ids"], tf.int32)
    index = tf.minimum(index, len(table) - 1)
    classes = tf.gather(tf.constant(table), index)
    classes = tf.gather(classes, record["segment_query"])
    kept = classes >= 0
    return {
      **record,
      "segments": tf.boolean_mask(record["segments"], kept),
      "segment_query": tf.boolean_mask(classes, kept),
    }

  return apply


def tokenize(
  tokenizer: Callable[[Sequence[str]], np.ndarray],
  max_queries: int,
  max_tokens: int,
) -> Op:
  """texts [Q] to text_ids int32 [Qv, L] and query_mask bool [Qv]."""

  def rows(texts: np.ndarray) -> np.ndarray:
    ids = np.zeros([max_queries, max_tokens], np.int32)
    if len(texts):
      ids[: len(texts)] = tokenizer([t.decode("utf-8") for t in texts])
    return ids

  def apply(record: Record) -> Record:
    ids = tf.numpy_function(rows, [record["texts"]], tf.int32, stateful=False)
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
