"""A frame that cannot be decoded is told by record, video and number."""

import collections
import functools
import itertools
import pathlib

import jax
import numpy as np
import pytest

from tests import tiny_data
from unloc_jax.data import pipeline, shards, splits

# Of the 10 frames of video 5, the four that are sampled are 0, 3, 6 and 9.
SAMPLED, UNUSED = 3, 4


def write(folder: pathlib.Path, changes=(), count=11) -> pathlib.Path:
  """So many videos; (video, frame, bytes) replace frames."""
  videos = [tiny_data.caption_video(i) for i in range(count)]
  for video, frame, content in changes:
    videos[video]["frames"][frame] = content
  return tiny_data.write(folder, {"train": videos, "val": videos})


CUT = tiny_data.jpeg((1, 2, 3))[:-200]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> pathlib.Path:
  """Video 5 has a frame that is cut short."""
  return write(tmp_path_factory.mktemp("damaged"), [(5, SAMPLED, CUT)])


@pytest.mark.parametrize("make", [pipeline.make_train, pipeline.make_eval])
def test_it_is_named_and_fatal(damaged, make):
  options = {"seed": 0} if make is pipeline.make_train else {}
  stream = make(tiny_data.settings(damaged), batch_size=2, **options)
  with pytest.raises(shards.CorruptDataError) as caught:
    collections.deque(itertools.islice(stream, 8), maxlen=0)
  said = str(caught.value)
  assert "\n" not in said
  for words in (
    "record 2 of",
    "tfrecord-00001",
    "video 'video_5'",
    f"frame {SAMPLED} of 10 is not a JPEG",
    "max_corrupt_records=0",
  ):
    assert words in said


def test_allowed_ones_are_counted_and_the_rest_is_as_ever(damaged, captions):
  config = tiny_data.settings(damaged, max_corrupt_records=1, num_workers=2)
  stream = pipeline.make_train(config, batch_size=3, seed=4, start_step=2)
  whole = pipeline.make_train(
    tiny_data.settings(captions), batch_size=3, seed=4, start_step=2
  )
  met = 0
  for _ in range(6):
    found, wanted = next(stream), next(whole)
    bad = wanted["example_index"] == 5
    met += bad.sum()
    np.testing.assert_array_equal(found["example_mask"], ~bad)
    assert not found["frame_mask"][bad].any()
    jax.tree.map(
      lambda x, y, keep=~bad: np.testing.assert_array_equal(x[keep], y[keep]),
      *(found, wanted),
    )
  assert met >= 1
  assert len(stream.split.corrupt.errors) == 1


def test_evaluation_sees_all_others_once(damaged):
  config = tiny_data.settings(damaged, max_corrupt_records=1, max_queries=4)
  batches = list(pipeline.make_eval(config, batch_size=2, split="val"))
  rows = [
    int(i) for b in batches for i in b["example_index"][b["example_mask"]]
  ]
  assert rows == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
  assert len(batches) == 6


def test_what_is_wrong_is_said_and_counted(tmp_path):
  """Of three records; in another one it is a frame that is not sampled."""
  small = tiny_data.jpeg((0, 0, 0), (20, 16))
  changes = [(1, 0, CUT[:40]), (2, 6, b""), (3, 4, small), (5, UNUSED, b"none")]
  path = write(tmp_path, changes, count=6)
  split = splits.open_split(
    tiny_data.settings(path, max_corrupt_records=2), "train"
  )
  make = functools.partial(
    pipeline.make_train, split.config, batch_size=6, seed=0, split=split
  )
  with pytest.raises(shards.CorruptDataError, match=r"^3 corrupt record"):
    next(make())
  split.corrupt.allowed = 3
  batch = next(make())
  whole = batch["example_index"][batch["example_mask"]]
  assert sorted(whole.tolist()) == [0, 4, 5]
  said = "\n".join(split.corrupt.errors.values())
  for words in (
    "frame 0 of 6 is not a JPEG",
    "frame 6 of 7 is not a JPEG",
    "frame 4 of 8 is (16, 20, 3)",
  ):
    assert words in said
