"""Batches from written datasets: order, hosts, resuming, completeness."""

import itertools

import jax
import numpy as np
import pytest

from unloc_jax.data import pipeline, splits
from unloc_jax.data.batch import batch_spec
from unloc_jax.data.tokenizer import Tokenizer

CLASSES = {"task": "temporal_localization"}


def take(stream, count: int) -> list[dict[str, np.ndarray]]:
  return list(itertools.islice(stream, count))


def assert_same(left: dict, right: dict) -> None:
  jax.tree.map(np.testing.assert_array_equal, left, right)


def join(parts: list[dict]) -> dict:
  return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


AUGMENTED = {
  "image_size": 16,
  "augment": {
    "flip": 0.5,
    "scale": (0.9, 1.33),
    "colour": 0.8,
    "grey": 0.1,
    "segment_jitter": 0.1,
  },
}


@pytest.mark.parametrize("name", ["captions", "classes", "embedded"])
def test_batches_have_the_promised_shapes(tiny, name, request):
  path = request.getfixturevalue(name)
  config = tiny.settings(
    path,
    task="temporal_localization" if name == "classes" else "moment_retrieval",
    streams=("embeddings",) if name == "embedded" else ("frames",),
    embedding_width=4,
  )
  spec = batch_spec(config, 3)
  streams = [pipeline.make_train(config, batch_size=3, seed=0)]
  if name != "embedded":
    streams.append(pipeline.make_eval(config, batch_size=3))
  for stream in streams:
    got = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), next(stream)
    )
    assert got == spec


def test_a_row_is_its_video(tiny, captions):
  config = tiny.settings(captions)
  (batch,) = take(pipeline.make_train(config, batch_size=6, seed=1), 1)
  tokenizer = Tokenizer(8)
  for row in range(6):
    i = int(batch["example_index"][row])
    video = tiny.caption_video(i)
    count = video["frame_count"]
    assert batch["frame_count"][row] == count
    assert batch["duration"][row] == count / tiny.RATE
    stored = [k * (count - 1) // 3 for k in range(4)]
    colours = [tiny.frame_colour(i, n) for n in stored]
    np.testing.assert_allclose(
      batch["streams"]["frames"][row][:, 5, 5], colours, atol=3
    )
    known = tokenizer(video["queries"]["text"]).tolist()
    used = batch["query_mask"][row]
    assert used.sum() == min(2, len(known))
    for j in np.flatnonzero(batch["segment_query"][row] >= 0):
      ids = batch["text_ids"][row, batch["segment_query"][row, j]]
      query = known.index(ids.tolist())
      seconds = batch["segments"][row, j] * (count - 1) / 3 / tiny.RATE
      pairs = [
        (s, e)
        for s, e, q in zip(*video["segments"].values(), strict=True)
        if q == query
      ]
      assert min(np.abs(np.subtract(pairs, seconds)).max(axis=1)) < 1e-5


def test_a_global_batch_is_the_same_on_any_number_of_hosts(tiny, captions):
  config = tiny.settings(captions, **AUGMENTED)
  whole = take(pipeline.make_train(config, batch_size=6, seed=5), 3)
  for hosts in (2, 3):
    parts = [
      take(pipeline.make_train(config, batch_size=6, seed=5, rows=rows), 3)
      for rows in np.arange(6).reshape(hosts, -1)
    ]
    for step in range(3):
      assert_same(whole[step], join([p[step] for p in parts]))


def test_a_resumed_run_sees_the_same_batches(tiny, captions):
  config = tiny.settings(captions, **AUGMENTED)
  whole = take(pipeline.make_train(config, batch_size=4, seed=5), 6)
  for start in (1, 4):
    rest = pipeline.make_train(config, batch_size=4, seed=5, start_step=start)
    assert_same(whole[start], next(rest))
    assert_same(whole[start + 1], next(rest))
  other = next(pipeline.make_train(config, batch_size=4, seed=6))
  assert (other["example_index"] != whole[0]["example_index"]).any()


def test_resuming_late_costs_nothing(tiny, captions):
  """Step ten million is read at once: nothing before it is."""
  config = tiny.settings(captions)
  late = pipeline.make_train(
    config, batch_size=4, seed=5, start_step=10_000_000
  )
  assert next(late)["example_mask"].all()


def test_one_worker_or_many_make_the_same(tiny, captions):
  augment = {**AUGMENTED["augment"], "rand_layers": 1}
  one, many = (
    take(
      pipeline.make_train(
        tiny.settings(captions, num_workers=n, image_size=16, augment=augment),
        batch_size=4,
        seed=5,
      ),
      2,
    )
    for n in (1, -1)
  )
  for left, right in zip(one, many, strict=True):
    assert_same(left, right)


def test_epochs_hold_videos_once():
  order = pipeline.GlobalOrder(seed=3, count=11, batch_size=4)
  epochs = [
    [order(step, row) for step in (2 * e, 2 * e + 1) for row in range(4)]
    for e in range(30)
  ]
  assert all(len(set(epoch)) == 8 for epoch in epochs)
  assert epochs[0] != epochs[1]
  # Those left out of one epoch come up in others.
  counts = np.bincount(np.concatenate(epochs), minlength=11)
  assert counts.min() > 0
  assert counts.max() - counts.min() < 16


def test_fewer_videos_than_a_batch_repeat():
  order = pipeline.GlobalOrder(seed=3, count=3, batch_size=8)
  rows = [order(0, row) for row in range(8)]
  assert np.bincount(rows).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


@pytest.mark.parametrize("hosts", [1, 2])
def test_evaluation_holds_every_query_once(tiny, captions, hosts):
  config = tiny.settings(captions)
  seen = []
  lengths = set()
  for h in range(hosts):
    stream = pipeline.make_eval(
      config, batch_size=4, rows=np.arange(4).reshape(hosts, -1)[h]
    )
    batches = list(stream)
    lengths.add(len(batches))
    assert len(batches) == stream.length
    table = stream.split.table
    for batch in batches:
      for row in range(4 // hosts):
        if not batch["example_mask"][row]:
          assert not batch["frame_mask"][row].any()
          assert not batch["query_mask"][row].any()
          assert (batch["segment_query"][row] == -1).all()
          continue
        video = table[int(batch["example_index"][row])]
        for q in np.flatnonzero(batch["query_mask"][row]):
          seen.append(video.query_ids[batch["query_offset"][row] + q])
  assert len(lengths) == 1
  expected = [
    x for i in range(7) for x in tiny.caption_video(i)["queries"]["id"]
  ]
  assert sorted(seen) == sorted(expected)


def test_the_table_knows_what_was_written(tiny, captions):
  table = splits.open_split(tiny.settings(captions), "val").table
  assert len(table) == 7
  for i in range(7):
    written = tiny.caption_video(i)
    video = table[i]
    assert video.video_id == written["video_id"]
    assert video.duration == written["duration"]
    assert video.frame_rate == written["frame_rate"]
    assert video.frame_count == written["frame_count"]
    assert list(video.texts) == written["queries"]["text"]
    # Seconds to the last bit.
    assert video.segments[:, 0].tolist() == written["segments"]["start"]
    assert video.segments[:, 1].tolist() == written["segments"]["end"]
    last = len(video.query_ids) - 1
    assert table.annotation(i, last) == {"kind": last}
    assert len(table.segments_of(i, last)) == 2


def test_class_indices(tiny, classes):
  config = tiny.settings(classes, **CLASSES)
  stream = pipeline.make_eval(config, batch_size=4)
  (batch,) = list(stream)
  assert stream.split.classes == tiny.CLASSES
  for row in range(4):
    expected = [row % 4, (row + 1) % 4, row % 4, -1]
    assert batch["segment_query"][row].tolist() == expected


def test_a_subset_of_classes_leaves_the_other_videos_out(tiny, classes):
  config = tiny.settings(classes, **CLASSES, classes=("sit", "run"))
  split = splits.open_split(config, "train")
  assert split.classes == ("sit", "run")
  # Videos 1 and 5 hold jump and sit; none holds neither of the two.
  assert split.usable.tolist() == list(range(8))
  described = pipeline.describe(split)(split.table[2])
  # Of its segments the second is of "stand".
  assert described["segment_query"].tolist() == [0, 0]
  assert described["segments"].shape == (2, 2)
  config = tiny.settings(classes, **CLASSES, classes=("run",))
  split = splits.open_split(config, "train")
  assert split.usable.tolist() == [0, 3, 4, 7]
  batch = next(pipeline.make_train(config, batch_size=4, seed=0, split=split))
  assert set(batch["segment_query"].ravel().tolist()) == {0, -1}
  assert (batch["segment_query"] == 0).any(axis=1).all()


def test_embeddings_are_gathered(tiny, embedded):
  config = tiny.settings(embedded, streams=("embeddings",), embedding_width=4)
  batch = next(pipeline.make_train(config, batch_size=4, seed=0))
  for row in range(4):
    i, count = int(batch["example_index"][row]), batch["frame_count"][row]
    expected = [100 * i + k * (count - 1) // 3 for k in range(4)]
    assert batch["streams"]["embeddings"][row, :, 2].tolist() == expected
