"""Windows cover videos; what overlaps is blended."""

import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny_data
from unloc_jax.use import windows


@given(count=st.integers(1, 200), length=st.integers(1, 50))
def test_windows_cover_the_video_and_are_whole(count, length):
  made = list(windows.cut(iter(range(count)), length))
  assert [is_last for *_, is_last in made] == [False] * (len(made) - 1) + [True]
  for first, frames, _ in made:
    assert frames == list(range(first, first + min(count, length)))
  assert {i for _, frames, _ in made for i in frames} == set(range(count))
  starts = [first for first, *_ in made]
  assert starts == sorted(set(starts))
  hop = max(1, length // 2)
  assert all(start == i * hop for i, start in enumerate(starts[:-1]))
  if count <= length:
    assert made == [(0, list(range(count)), True)]


def test_no_more_than_a_window_is_held():
  alive = 0

  class Frame:
    def __init__(self):
      nonlocal alive
      alive += 1

    def __del__(self):
      nonlocal alive
      alive -= 1

  made = windows.cut((Frame() for _ in range(100)), 10)
  most = 0
  for window in made:
    most = max(most, alive)
    del window
  assert most <= 12


def test_blend_is_the_mean_where_windows_overlap():
  one = np.arange(4.0), np.ones((2, 4))
  assert windows.blend([one[0]], [one[1]], 5.0) == one
  times = [np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])]
  values = [np.array([[0.0, 0.0, 0.0]]), np.array([[1.0, 1.0, 1.0]])]
  grid, curve = windows.blend(times, values, 3.5)
  np.testing.assert_allclose(grid, [0, 1, 2, 3])
  np.testing.assert_allclose(curve, [[0.0, 0.5, 0.5, 1.0]])


@pytest.mark.parametrize(
  ("seconds", "rate", "frames"),
  [(10.0, 5.0, 50), (10.01, 5.0, 51), (0.01, 5.0, 1), (27.3, 10.0, 273)],
)
def test_window_has_as_many_frames_as_a_built_video(seconds, rate, frames):
  assert windows.length_in_frames(seconds, rate) == frames


def test_pictures_are_seen_where_points_sit_on_the_sound():
  config = tiny_data.settings("", streams=("sound", "frames"), sound_width=2)
  source = types.SimpleNamespace(extract="frames", frame_rate=2.0)
  export = types.SimpleNamespace(
    config=config, source=source, window_seconds=2.0
  )
  heard = np.ones((4, 2), np.float32), np.array([True, True, False, False])
  pictures = [tiny_data.jpeg((200, 100, 50))] * 4
  (clip,) = windows.clips(export, pictures, 2.0, {"sound": lambda *_: heard})
  assert clip.masks["frames"].all()
  assert (clip.streams["frames"] > 20).all()
  np.testing.assert_array_equal(clip.masks["sound"], heard[1])
  np.testing.assert_array_equal(clip.streams["sound"], heard[0])
