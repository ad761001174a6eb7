"""Draws scenes at random; a seed is all there is to one."""

import collections
import itertools
import math
from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from data_preprocessing.synthetic.scenes import (
  COLOURS,
  SHAPES,
  TRIPLES,
  Background,
  Distractor,
  Episode,
  Point,
  Scene,
  State,
  Triple,
)

# Radii as a share of the central square's side.
_SMALL, _MEDIUM, _LARGE = 0.085, 0.15, 0.23
_MIN_SHARE, _MAX_SHARE = 0.02, 0.6  # Of the video, for every event.
# An event too short to be seen is no event: seconds needed per action.
_MIN_SECONDS = {"spin": 1.2, "blink": 1.2}
_ANY_MIN_SECONDS = 0.5
_HELD_OUT_SHARE = 0.2

Item = TypeVar("Item")


def held_out_triples() -> frozenset[Triple]:
  """The combinations kept for `unseen`.

  Every colour, shape, action and pair of them except the triple itself stays in
  training, because the held-out cells are spread like a Latin square.
  """
  taken: list[Triple] = []
  counts: collections.Counter[tuple[str, str]] = collections.Counter()
  most = round(_HELD_OUT_SHARE * len(TRIPLES))
  for index in np.random.default_rng(7).permutation(len(TRIPLES)):
    pairs = list(itertools.combinations(TRIPLES[index], 2))
    if len(taken) < most and all(counts[pair] < 2 for pair in pairs):
      taken.append(TRIPLES[index])
      counts.update(pairs)
  return frozenset(taken)


def draw_scene(
  seed: int,
  triples: Collection[Triple],
  min_duration: float = 12.0,
  max_duration: float = 28.0,
) -> Scene:
  """Draws a scene of two to four episodes, one at a time; durations in seconds.

  Raises ValueError where no scene can be made of the triples.
  """
  rng = np.random.default_rng(seed)
  triples = sorted(triples)
  duration = round(rng.uniform(min_duration, max_duration), 2)
  for _ in range(2000):
    repeat = rng.random() < 0.6
    count = int(rng.integers(3 if repeat else 2, 5))
    cast = _draw_cast(rng, triples, repeat, count)
    times = _draw_times(rng, cast, duration) if cast else []
    if times:
      break
  else:
    raise ValueError(
      f"scene {seed}: no cast of {len(triples)} triples fits; give more triples"
    )
  episodes = tuple(
    _draw_episode(rng, triple, kind, when)
    for (triple, kind), when in zip(cast, times, strict=True)
  )
  taken = {episode.triple[:2] for episode in episodes}
  background = _draw_background(rng)
  distractors = _draw_distractors(rng, taken, duration)
  return Scene(seed, duration, background, distractors, episodes)


def draw_still(seed: int) -> tuple[Scene, list[State]]:
  """Draws a background and up to two objects in any pose.

  Returns the scene to render, at time 0, and the objects to draw besides.
  """
  rng = np.random.default_rng([seed, 2])
  names = list(itertools.product(COLOURS, SHAPES))
  count = int(rng.choice(3, p=(0.1, 0.65, 0.25)))
  picks = [names[i] for i in rng.permutation(len(names))[:count]]
  states = []
  for colour, shape in picks:
    x, y = rng.uniform(0.12, 0.88, 2).tolist()
    radius = rng.uniform(_SMALL, _LARGE) if rng.random() < 0.6 else _MEDIUM
    turned = shape != "circle" and rng.random() < 0.5
    angle = rng.uniform(0.0, 2 * math.pi) if turned else 0.0
    states.append(State(colour, shape, x, y, radius, angle))
  distractors = _draw_distractors(rng, picks, 1.0)
  return Scene(seed, 1.0, _draw_background(rng), distractors, ()), states


def choice(rng: np.random.Generator, items: Sequence[Item]) -> Item:
  """Draws one of some items, each as likely."""
  return items[int(rng.integers(len(items)))]


def _draw_cast(
  rng: np.random.Generator, triples: Sequence[Triple], repeat: bool, count: int
) -> list[tuple[Triple, str]]:
  """Who does what: distinct objects, one of them twice if `repeat`; or []."""
  cast: list[tuple[Triple, str]] = []
  if repeat:
    first = choice(rng, triples)
    others = [t for t in triples if t[:2] == first[:2] and t != first]
    if not others:
      return []
    cast += [(first, "repeat"), (choice(rng, others), "repeat")]
  for _ in range(20 * count):  # Few triples may not hold that many objects.
    triple = choice(rng, triples)
    if len(cast) < count and all(triple[:2] != t[:2] for t, _ in cast):
      cast.append((triple, "idle" if rng.random() < 0.6 else "appears"))
  if len(cast) < count:
    return []
  return [cast[i] for i in rng.permutation(len(cast))]


def _draw_times(
  rng: np.random.Generator,
  cast: Sequence[tuple[Triple, str]],
  duration: float,
) -> list[tuple[float, float, float, float]]:
  """Disjoint stays in the order of the cast, or [] if they do not fit."""
  spans = []
  for (_, _, action), kind in cast:
    if rng.random() < 0.15:
      share = rng.uniform(_MIN_SHARE, 0.08)
    else:
      share = 0.08 + (_MAX_SHARE - 0.08) * rng.beta(1.0, 2.2)
    event = max(duration * share, _MIN_SECONDS.get(action, _ANY_MIN_SECONDS))
    before = after = 0.0
    if kind == "idle" or (kind == "repeat" and rng.random() < 0.5):
      scale = max(event, 0.06 * duration)
      before = scale * rng.uniform(0.3, 1.6)
      after = scale * rng.uniform(0.3, 1.6)
    spans.append((before, event, after))
  least_gap = 0.015 * duration
  used = sum(sum(span) for span in spans)
  free = duration - used - least_gap * (len(spans) + 1)
  if free < 0:
    return []
  gaps = least_gap + free * rng.dirichlet(np.ones(len(spans) + 1))
  times, clock = [], 0.0
  for gap, (before, event, after) in zip(gaps, spans, strict=False):
    enter = clock + float(gap)
    start = enter + before
    clock = start + event + after
    times.append((enter, start, start + event, clock))
  return times


def _draw_episode(
  rng: np.random.Generator,
  triple: Triple,
  kind: str,
  times: tuple[float, float, float, float],
) -> Episode:
  """Draws how an episode looks, given when it is."""
  action = triple[2]
  length = times[2] - times[1]
  turns, flips = 0.0, 0
  if action == "spin":
    turns = rng.uniform(0.25, 0.4) * length * choice(rng, (-1.0, 1.0))
  if action == "blink":
    flips = max(3, 2 * int(length / rng.uniform(0.6, 0.9) / 2) + 1)
  radii = {"grow": (_SMALL, _LARGE), "shrink": (_LARGE, _SMALL)}
  return Episode(
    *triple,
    kind,
    *times,
    positions=_draw_path(rng, action),
    radii=radii.get(action, (_MEDIUM, _MEDIUM)),
    turns=turns,
    flips=flips,
  )


def _draw_path(rng: np.random.Generator, action: str) -> tuple[Point, Point]:
  """Positions before and after the action."""
  near = rng.uniform(0.16, 0.32)
  far = rng.uniform(0.68, 0.84)
  across = rng.uniform(0.2, 0.8)
  paths = {
    "move left": ((far, across), (near, across)),
    "move right": ((near, across), (far, across)),
    "move up": ((across, far), (across, near)),
    "move down": ((across, near), (across, far)),
  }
  if action in paths:
    return paths[action]
  point = (rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75))
  return point, point


def _draw_background(rng: np.random.Generator) -> Background:
  grey = rng.uniform(0.15, 0.45)
  base = grey + rng.uniform(-0.05, 0.05, 3)
  waves = tuple(
    (
      *rng.uniform(-1.2, 1.2, 2).tolist(),
      rng.uniform(-0.08, 0.08),
      rng.random(),
      *rng.uniform(-0.06, 0.06, 3).tolist(),
    )
    for _ in range(3)
  )
  return Background(tuple(base.tolist()), waves, rng.uniform(0.01, 0.03))


def _draw_distractors(
  rng: np.random.Generator,
  taken: Collection[tuple[str, str]],
  duration: float,
) -> tuple[Distractor, ...]:
  """One or two small objects, in the corners, unlike any object which acts."""
  free = [p for p in itertools.product(COLOURS, SHAPES) if p not in taken]
  corners = [(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)]
  distractors = []
  picks = rng.permutation(len(corners))[: int(rng.integers(1, 3))]
  for pick in picks:
    colour, shape = free.pop(int(rng.integers(len(free))))
    drift = (rng.uniform(-0.08, 0.08, 2) / duration).tolist()
    x, y = corners[int(pick)]
    state = State(colour, shape, x, y, 0.065)
    distractors.append(Distractor(state, (drift[0], drift[1])))
  return tuple(distractors)
