"""Every op, eagerly and inside tf.data."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests import tiny_data
from unloc_jax.data import ops, pixels, rand_augment, streams
from unloc_jax.data.tokenizer import Tokenizer
from unloc_jax.task.sampling import Sampling


def png_free_jpeg(image: np.ndarray) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, "JPEG", quality=98, subsampling=0)
  return buffer.getvalue()


def ramp(height=24, width=40, shift=0) -> np.ndarray:
  """Rows and columns recognisable by red and green."""
  red = np.broadcast_to(np.arange(height)[:, None] * 5, (height, width))
  green = np.broadcast_to(np.arange(width)[None] * 5, (height, width))
  blue = np.full((height, width), shift)
  return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def record(count=6, seed=(3, 4), **entries) -> dict:
  return {
    "frames": tf.constant(
      [png_free_jpeg(ramp(shift=20 * i)) for i in range(count)]
    ),
    "duration": tf.constant(count / 2.0),
    "frame_rate": tf.constant(2.0),
    "frame_count": tf.constant(count),
    "texts": tf.constant(["a cat", "a dog", "two birds"]),
    "segments": tf.constant([[0.0, 1.0], [0.5, 2.0], [1.0, 2.5]]),
    "segment_query": tf.constant([0, 1, 2]),
    "query_offset": tf.constant(0),
    "seed": tf.constant(seed, tf.int32),
    **entries,
  }


def both(op: ops.Op, entries: dict) -> dict[str, np.ndarray]:
  """What op gives eagerly, after checking that tf.data gives the same."""
  (made,) = all_both(op, [entries])
  return made


def all_both(op: ops.Op, records: list[dict]) -> list[dict[str, np.ndarray]]:
  """As `both`, of records whose entries have the same shapes."""
  eager = [{k: np.asarray(v) for k, v in op(x).items()} for x in records]
  together = {k: tf.stack([x[k] for x in records]) for k in records[0]}
  dataset = tf.data.Dataset.from_tensor_slices(together).map(op)
  for made, inside in zip(eager, dataset.as_numpy_iterator(), strict=True):
    assert made.keys() == inside.keys()
    for key, value in made.items():
      np.testing.assert_array_equal(value, inside[key], err_msg=key)
  return eager


def sampled(entries: dict, sampling: Sampling) -> dict:
  index, mask = sampling.frames(int(entries["frame_count"]), 2.0)
  return {**entries, "frame_index": index, "frame_mask": mask}


def shown(entries: dict, sampling: Sampling | int, decode: ops.Op) -> dict:
  """Frames of a record; a number of them is spread over the video."""
  (made,) = all_shown([entries], sampling, decode)
  return made


def all_shown(
  records: list[dict], sampling: Sampling | int, decode: ops.Op
) -> list[dict]:
  """As `shown`, of records of as many frames."""
  if isinstance(sampling, int):
    sampling = Sampling("linspace", sampling, 1.0)
  return all_both(
    ops.chain([pixels.take_frames, decode, pixels.spread_frames]),
    [sampled(entries, sampling) for entries in records],
  )


def test_centre_crop_without_resizing_is_exact():
  decode = pixels.decode_crop(16, 24)
  out = shown(record(), 3, decode)["frames"]
  assert out.shape == (3, 16, 16, 3)
  whole = np.stack(
    [
      np.asarray(Image.open(io.BytesIO(png_free_jpeg(ramp(shift=20 * i)))))
      for i in (0, 2, 5)
    ]
  )
  np.testing.assert_array_equal(out, whole[:, 4:20, 12:28])


def test_a_short_video_repeats_frames_and_decodes_each_once():
  entries = sampled(record(4), Sampling("linspace", 9, 1.0))
  assert pixels.take_frames(entries)["frames"].shape == (4,)
  out = shown(record(4), 9, pixels.decode_crop(16, 24))["frames"]
  blue = out[:, 0, 0, 2].astype(int)
  expected = [20 * (i * 3 // 8) for i in range(9)]
  np.testing.assert_allclose(blue, expected, atol=4)


def test_frames_not_sampled_are_never_decoded():
  frames = [png_free_jpeg(ramp())] * 7
  for i in (1, 2, 4, 5):
    frames[i] = b"not a JPEG"
  entries = record(frames=tf.constant(frames), frame_count=tf.constant(7))
  out = shown(entries, 3, pixels.decode_crop(16, 24))
  assert out["frames"].shape == (3, 16, 16, 3)


def test_padding_frames_are_zero():
  out = shown(record(), Sampling("rate", 5, 1.0), pixels.decode_crop(16, 24))
  assert out["frames"][:3].any(axis=(1, 2, 3)).all()
  assert not out["frames"][3:].any()


@pytest.mark.parametrize("size", [16, 48])
def test_resize_keeps_the_ramp(size):
  out = shown(record(), 2, pixels.decode_crop(size, size))["frames"][0]
  # The centre square of 24 source pixels, sampled at size points.
  at = (np.arange(size) + 0.5) * 24 / size - 0.5
  inner = slice(size // 6, -size // 6)
  np.testing.assert_allclose(out[inner, size // 2, 0], 5 * at[inner], atol=5)
  green = 5 * (at + 8)
  np.testing.assert_allclose(out[size // 2, inner, 1], green[inner], atol=5)


def test_random_crops_agree_over_frames_and_differ_over_seeds():
  decode = pixels.decode_crop(16, 20, (0.9, 1.33), True)
  seen = set()
  records = [record(seed=(seed, 1)) for seed in range(6)]
  for out in all_shown(records, 3, decode):
    frames = out["frames"].astype(int)
    assert frames.shape == (3, 16, 16, 3)
    # Only blue tells the frames apart: the crop must be the same.
    assert np.abs(frames[0, ..., :2] - frames[2, ..., :2]).max() < 6
    seen.add(frames[0].tobytes())
  assert len(seen) == 6


def test_flip_mirrors_all_or_nothing():
  frames = tf.constant(np.stack([ramp(shift=i) for i in range(3)]))
  entries = [{"frames": frames, "seed": [seed, 0]} for seed in range(12)]
  outcomes = set()
  for out in all_both(pixels.flip(0.5), entries):
    mirrored = np.array_equal(out["frames"], frames.numpy()[:, :, ::-1])
    assert mirrored or np.array_equal(out["frames"], frames)
    outcomes.add(mirrored)
  for out in all_both(pixels.flip(0.0), entries):
    np.testing.assert_array_equal(out["frames"], frames)
  assert outcomes == {True, False}


def test_colour_changes_frames_alike():
  frames = tf.constant(np.stack([ramp(shift=9)] * 3))
  entries = {"frames": frames, "seed": tf.constant([1, 5])}
  changed = both(pixels.colour(1.0, 0.0), entries)["frames"]
  assert (changed != frames.numpy()).any()
  np.testing.assert_array_equal(changed[0], changed[2])
  np.testing.assert_array_equal(
    both(pixels.colour(0.0, 0.0), entries)["frames"], frames
  )
  grey = both(pixels.colour(0.0, 1.0), entries)["frames"]
  np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
  assert grey.shape == frames.shape


def test_colour_happens_with_its_probability():
  op = pixels.colour(0.8, 0.0)
  frames = tf.constant(ramp(4, 4)[None] + 50)
  changed = [
    bool(
      (
        op({"frames": frames, "seed": tf.constant([s, 1])})["frames"].numpy()
        != frames.numpy()
      ).any()
    )
    for s in range(200)
  ]
  assert 140 < sum(changed) < 180


@pytest.mark.parametrize("name", rand_augment.OPERATIONS)
def test_rand_augment_operations(name):
  op = rand_augment.OPERATIONS[name]
  rng = np.random.default_rng(0)
  frame = rng.integers(30, 200, (1, 9, 9, 3)).astype(np.float32)
  frames = np.repeat(frame, 3, axis=0)
  out = op(tf.constant(frames), tf.constant(0.9)).numpy()
  assert out.shape == frames.shape
  assert np.isfinite(out).all()
  assert (out != frames).any()
  np.testing.assert_array_equal(out[0], out[2])
  # At strength 0 others still do something.
  if name not in ("autocontrast", "equalize", "invert", "solarize"):
    still = op(tf.constant(frames), tf.constant(0.0)).numpy()
    np.testing.assert_allclose(still, frames, atol=1e-3)


def test_rand_augment_is_a_function_of_the_seed():
  frames = tf.constant(np.stack([ramp(shift=9)] * 2))
  both(
    pixels.rand_augmented(1, 10),
    {"frames": frames, "seed": tf.constant([0, 0])},
  )
  op = tf.function(pixels.rand_augmented(2, 10))
  outs = [
    op({"frames": frames, "seed": tf.constant([s, 0])})["frames"].numpy()
    for s in range(5)
  ]
  assert all(np.array_equal(o[0], o[1]) for o in outs)
  assert len({o.tobytes() for o in outs}) > 2


@given(st.integers(0, 1000), st.floats(0.01, 0.9))
def test_jitter_stays_within_its_fraction(seed, fraction):
  entries = record(seed=(seed, 0))
  before = np.asarray(entries["segments"])
  after = ops.jitter_segments(fraction)(entries)["segments"].numpy()
  length = (before[:, 1] - before[:, 0])[:, None]
  bound = max(fraction, 1.0) if fraction > 0.5 else fraction
  assert (np.abs(after - before) <= bound * length + 1e-5).all()
  assert (after[:, 0] <= after[:, 1]).all()
  assert (after != before).any()


def test_queries_in_turn():
  op = ops.choose_queries(2, random=False)
  out = both(op, record(query_offset=tf.constant(2)))
  assert out["texts"].tolist() == [b"two birds"]
  assert out["segment_query"].tolist() == [0]
  np.testing.assert_array_equal(out["segments"], [[1.0, 2.5]])


def test_queries_at_random_keep_their_segments():
  op = ops.choose_queries(2, random=True)
  chosen = set()
  starts = {b"a cat": 0.0, b"a dog": 0.5, b"two birds": 1.0}
  for out in all_both(op, [record(seed=(seed, 9)) for seed in range(12)]):
    assert len(out["texts"]) == 2
    for segment, query in zip(
      out["segments"], out["segment_query"], strict=True
    ):
      assert segment[0] == starts[out["texts"][query]]
    chosen.add(tuple(out["texts"]))
  assert len(chosen) == 3


def test_a_video_without_queries():
  entries = record(
    texts=tf.constant([], tf.string),
    segments=tf.zeros([0, 2]),
    segment_query=tf.zeros([0], tf.int32),
  )
  op = ops.chain(
    [
      ops.choose_queries(2, random=True),
      ops.tokenize(Tokenizer(6), 2, 6),
      ops.pad_segments(3),
    ]
  )
  out = both(op, entries)
  assert not out["query_mask"].any()
  assert not out["text_ids"].any()
  assert out["segment_query"].tolist() == [-1] * 3


def test_tokens_and_padding():
  op = ops.chain([ops.tokenize(Tokenizer(6), 4, 6), ops.pad_segments(2)])
  out = both(op, record())
  np.testing.assert_array_equal(
    out["text_ids"][:3], Tokenizer(6)(["a cat", "a dog", "two birds"])
  )
  assert not out["text_ids"][3].any()
  assert out["query_mask"].tolist() == [True, True, True, False]
  assert out["segment_query"].tolist() == [0, 1]


def test_embeddings_of_sampled_frames():
  table = np.arange(12, dtype=np.float32).reshape(6, 2)
  config = tiny_data.settings("", streams=("embeddings",), embedding_width=2)
  take = streams.make(config, training=True)
  entries = record(embeddings=tf.constant(table.ravel()))
  out = take(sampled(entries, Sampling("rate", 5, 1.0)))
  found = out["streams"]["embeddings"].numpy()
  np.testing.assert_array_equal(found[:3], table[[0, 2, 4]])
  assert not found[3:].any()
  assert out["masks"]["embeddings"].tolist() == [True] * 3 + [False] * 2


@given(seed=st.integers(0, 200), shown=st.integers(8, 20))
def test_a_window_shows_the_same_moments(seed, shown):
  """A frame is inside a segment after the move as it was before."""
  given_ = {
    "seed": tf.constant([seed, 1]),
    "frame_index": tf.minimum(tf.range(20), shown - 1),
    "frame_mask": tf.range(20) < shown,
    "segments": tf.constant([[2.0, 5.0], [4.6, shown - 1.5]]),
    "segment_query": tf.constant([0, 1]),
  }
  moved = ops.take_window(0.4, 0.5)(given_)
  mask, index = moved["frame_mask"].numpy(), moved["frame_index"].numpy()
  assert 1 <= mask.sum() <= 20
  assert np.all(np.diff(index[mask]) >= 0)
  owners = moved["segment_query"].numpy().tolist()
  for query, (start, end) in enumerate(given_["segments"].numpy()):
    before = (index >= start) & (index <= end)
    after = np.zeros(20, bool)
    if query in owners:
      low, high = moved["segments"].numpy()[owners.index(query)]
      after = (np.arange(20) >= low - 1e-4) & (np.arange(20) <= high + 1e-4)
    # A position stands for what is half a frame around it, slowed down.
    assert np.sum((before != after)[mask]) <= 4


def test_the_whole_video_at_its_speed_is_no_change():
  given_ = {
    "seed": tf.constant([3, 1]),
    "frame_index": tf.range(6),
    "frame_mask": tf.range(6) < 6,
    "segments": tf.constant([[1.0, 2.5]]),
    "segment_query": tf.constant([0]),
  }
  moved = ops.take_window(1.0, 0.0)(given_)
  for name in ("frame_index", "frame_mask", "segments", "segment_query"):
    np.testing.assert_allclose(
      tf.cast(moved[name], tf.float32), tf.cast(given_[name], tf.float32)
    )
