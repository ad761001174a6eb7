"""The scenes: what the benchmark promises of them holds of each one."""

import collections
import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preprocessing.synthetic import captions, random_scenes, render, scenes

HELD_OUT = random_scenes.held_out_triples()
TRAINED = [t for t in scenes.TRIPLES if t not in HELD_OUT]
seeds = st.integers(0, 2**40)


@functools.cache
def _episodes(count: int) -> list[tuple[scenes.Scene, scenes.Episode]]:
  drawn = [random_scenes.draw_scene(i, TRAINED) for i in range(count)]
  return [(scene, e) for scene in drawn for e in scene.episodes]


@given(seeds)
def test_what_holds_of_every_scene(seed):
  scene = random_scenes.draw_scene(seed, TRAINED)
  assert scene == random_scenes.draw_scene(seed, TRAINED)
  assert 2 <= len(scene.episodes) <= 4
  # One episode at a time, inside the video.
  clock = 0.0
  for episode in scene.episodes:
    assert clock < episode.enter <= episode.start
    assert episode.start < episode.end <= episode.leave
    clock = episode.leave
  assert clock < scene.duration
  # The kind says when else the object is seen.
  objects = collections.Counter((e.colour, e.shape) for e in scene.episodes)
  for episode in scene.episodes:
    again = objects[episode.colour, episode.shape]
    assert (episode.kind == "repeat") == (again == 2)
    if episode.kind == "appears":
      assert (episode.enter, episode.leave) == (episode.start, episode.end)
    if episode.kind == "idle":
      assert episode.enter < episode.start < episode.end < episode.leave
  # A query has one answer, and distractors are unlike what is asked for.
  assert len({e.triple for e in scene.episodes}) == len(scene.episodes)
  assert scene.distractors
  others = {(d.state.colour, d.state.shape) for d in scene.distractors}
  assert not others & set(objects)


def test_kinds_and_lengths_are_spread_as_promised():
  found = _episodes(300)
  kinds = collections.Counter(e.kind for _, e in found)
  assert set(kinds) == set(scenes.KINDS)
  assert min(kinds.values()) >= len(found) / 5
  shares = np.array([(e.end - e.start) / s.duration for s, e in found])
  assert shares.min() >= 0.02 - 1e-9
  assert shares.max() <= 0.6 + 1e-9
  assert (shares < 0.06).mean() > 0.1
  assert (shares > 0.25).mean() > 0.1


def test_held_out_triples_leave_every_pair_to_training():
  assert len(HELD_OUT) >= 30
  assert set(scenes.TRIPLES) > HELD_OUT
  for first, second in ((0, 1), (1, 2), (0, 2)):
    whole = {(t[first], t[second]) for t in (*TRAINED, *HELD_OUT)}
    assert {(t[first], t[second]) for t in TRAINED} == whole


def test_too_few_triples_are_refused():
  with pytest.raises(ValueError, match="no cast of 1 triples"):
    random_scenes.draw_scene(0, [("red", "bar", "spin")])


@pytest.mark.parametrize("action", scenes.ACTIONS)
def test_an_action_shows_in_the_frames_and_idling_does_not(action):
  found = [
    (s, e) for s, e in _episodes(300) if e.kind == "idle" and e.action == action
  ]
  scene, episode = max(found, key=lambda pair: pair[1].end - pair[1].start)
  still = dataclasses.replace(
    scene,
    background=scenes.Background((0.2, 0.2, 0.2), (), 0.0),
    distractors=(),
  )
  draw = render.Renderer(still, 32, 32)

  def change(start: float, end: float) -> int:
    frames = [draw(t) for t in np.linspace(start, end - 1e-6, 30)]
    return int(np.ptp(np.stack(frames), axis=0).max())

  assert change(episode.enter, episode.start) == 0
  assert change(episode.start, episode.end) > 60
  assert change(episode.end, episode.leave) == 0


def test_motion_goes_where_its_name_says():
  toward = {
    "move left": (-1, 0),
    "move right": (1, 0),
    "move up": (0, -1),
    "move down": (0, 1),
  }
  seen = set()
  for _, episode in _episodes(300):
    (x0, y0), (x1, y1) = episode.positions
    sign = toward.get(episode.action, (0, 0))
    assert (np.sign(x1 - x0), np.sign(y1 - y0)) == sign
    seen.add(episode.action)
  assert seen == set(scenes.ACTIONS)


def test_a_scene_looks_alike_at_every_size_and_aspect():
  scene = random_scenes.draw_scene(3, TRAINED)
  time = scene.episodes[0].start
  small = render.Renderer(scene, 32, 32)(time).astype(float)
  wide = render.Renderer(scene, 64, 96)(time)[:, 16:80].astype(float)
  halved = wide.reshape(32, 2, 32, 2, 3).mean((1, 3))
  assert np.abs(halved - small).mean() < 12
  assert np.abs(halved[:, ::-1] - small).mean() > 12


@given(seeds)
def test_phrases_of_a_still_are_true_and_complete(seed):
  _, states = random_scenes.draw_still(seed)
  listed = set(captions.phrases(states))
  for state in states:
    name = f"{state.colour} {state.shape}"
    assert name in listed
    for line in range(1, captions.GRID):
      left = f"{name} left of line {line}" in listed
      assert left == (state.x < line / captions.GRID)
      assert left != (f"{name} right of line {line}" in listed)
  assert bool(listed) == bool(states)


def test_captions_name_the_event_in_many_ways():
  rng = np.random.default_rng(0)
  texts = {captions.caption(rng, ("red", "bar", "spin")) for _ in range(200)}
  assert len(texts) > 15
  assert all("red" in t and t.endswith(".") for t in texts)
  others = {captions.caption(rng, ("red", "bar", "grow")) for _ in range(200)}
  assert not texts & others
