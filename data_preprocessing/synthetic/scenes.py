"""Scenes of the synthetic benchmark: what is on the stage at every time.

A scene is a continuous-time thing: `state_at` says where every object is at any
second, so that it can be rendered at any frame rate, frame size and aspect.
Objects live in the central square of the frame, in coordinates 0..1 (x to the
right, y down), so that a centre crop never cuts them off.

An *episode* is one stay of an object on the stage. It acts during its event and
stands still before and after it. What a query can be told apart by is its kind:

* `appears`: the object is on the stage during its event only.
* `idle`: the object stands there before and after its event too.
* `repeat`: the object comes a second time and does something else.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

COLOURS: dict[str, tuple[float, float, float]] = {
  "red": (0.93, 0.12, 0.12),
  "green": (0.10, 0.80, 0.18),
  "blue": (0.15, 0.30, 0.98),
  "yellow": (0.98, 0.90, 0.10),
  "purple": (0.70, 0.15, 0.85),
  "white": (0.98, 0.98, 0.98),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "bar")
ACTIONS: tuple[str, ...] = (
  "move left",
  "move right",
  "move up",
  "move down",
  "grow",
  "shrink",
  "spin",
  "blink",
)
# A spinning circle shows nothing of it.
INVISIBLE: tuple[str, str] = ("circle", "spin")
KINDS: tuple[str, ...] = ("appears", "idle", "repeat")

# Radii as a share of the central square's side.
SMALL, MEDIUM, LARGE = 0.085, 0.15, 0.23
MIN_SHARE, MAX_SHARE = 0.02, 0.6  # Of the video, for every event.
# An event too short to be seen is no event: seconds needed per action.
_MIN_SECONDS = {"spin": 1.2, "blink": 1.2}
_ANY_MIN_SECONDS = 0.5

T = TypeVar("T")
Triple = tuple[str, str, str]  # colour, shape, action


@dataclasses.dataclass(frozen=True)
class Episode:
  """One stay of an object: idle, its event, idle.

  Attributes:
    colour: Key of COLOURS.
    shape: One of SHAPES.
    action: One of ACTIONS.
    kind: One of KINDS.
    enter: Second at which the object appears.
    start: Second at which its event starts.
    end: Second at which its event ends.
    leave: Second at which the object disappears.
    positions: (x, y) before and after the event.
    radii: Radius before and after the event.
    turns: Turns during the event, negative is counter-clockwise.
    flips: Odd number of equally long phases of a blink, else 0.
  """

  colour: str
  shape: str
  action: str
  kind: str
  enter: float
  start: float
  end: float
  leave: float
  positions: tuple[tuple[float, float], tuple[float, float]]
  radii: tuple[float, float]
  turns: float = 0.0
  flips: int = 0


@dataclasses.dataclass(frozen=True)
class Distractor:
  """An object nobody asks for; it drifts slowly and never acts."""

  colour: str
  shape: str
  position: tuple[float, float]
  drift: tuple[float, float]  # Square sides per second.
  radius: float


@dataclasses.dataclass(frozen=True)
class Background:
  """A drifting, smooth pattern.

  Attributes:
    base: Mean colour.
    waves: Rows of (x cycles, y cycles, cycles per second, phase, r, g, b).
    noise: Standard deviation of the pixel noise, of 0..1.
  """

  base: tuple[float, float, float]
  waves: tuple[tuple[float, ...], ...]
  noise: float


@dataclasses.dataclass(frozen=True)
class Scene:
  """All there is to know about one video."""

  seed: int
  duration: float  # Seconds.
  background: Background
  distractors: tuple[Distractor, ...]
  episodes: tuple[Episode, ...]


@dataclasses.dataclass(frozen=True)
class State:
  """One object at one time. The angle is in radians."""

  colour: str
  shape: str
  x: float
  y: float
  radius: float
  angle: float


def held_out_triples(share: float = 0.2, seed: int = 7) -> frozenset[Triple]:
  """The combinations kept for `unseen`.

  Every colour, shape, action and pair of them except the triple itself stays in
  training, because the held-out cells are spread like a Latin square.

  Args:
    share: Share of all triples to hold out.
    seed: Seed of the draw.

  Returns:
    The held-out (colour, shape, action) triples.
  """
  rng = np.random.default_rng(seed)
  cells = [
    triple
    for triple in itertools.product(COLOURS, SHAPES, ACTIONS)
    if triple[1:] != INVISIBLE
  ]
  keep = round(share * len(cells))
  order = rng.permutation(len(cells))
  taken: list[Triple] = []
  counts: dict[tuple[str, str], int] = {}
  for index in order:
    triple = cells[index]
    pairs = [triple[:2], triple[1:], (triple[0], triple[2])]
    if len(taken) < keep and all(counts.get(p, 0) < 2 for p in pairs):
      taken.append(triple)
      for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
  return frozenset(taken)


def state_at(episode: Episode, time: float) -> State | None:
  """The object of an episode at a time, or None when it is not to be seen."""
  if not episode.enter <= time < episode.leave:
    return None
  length = episode.end - episode.start
  u = min(max((time - episode.start) / length, 0.0), 1.0)
  if episode.flips and episode.start <= time < episode.end:
    # Idle neighbours are "on", so the first and last phase must be "off".
    first_off = episode.enter < episode.start
    phase = min(int(u * episode.flips), episode.flips - 1)
    if (phase % 2 == 0) == first_off:
      return None
  (x0, y0), (x1, y1) = episode.positions
  r0, r1 = episode.radii
  return State(
    colour=episode.colour,
    shape=episode.shape,
    x=x0 + (x1 - x0) * u,
    y=y0 + (y1 - y0) * u,
    radius=r0 + (r1 - r0) * u,
    angle=2 * math.pi * episode.turns * u,
  )


def states_at(scene: Scene, time: float) -> list[State]:
  """Everything to be seen at a time, distractors first (they are behind)."""
  states = [
    State(
      d.colour,
      d.shape,
      d.position[0] + d.drift[0] * time,
      d.position[1] + d.drift[1] * time,
      d.radius,
      0.0,
    )
    for d in scene.distractors
  ]
  for episode in scene.episodes:
    state = state_at(episode, time)
    if state is not None:
      states.append(state)
  return states


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
  return float(rng.uniform(low, high))


def _choice(rng: np.random.Generator, items: Sequence[T]) -> T:
  return items[int(rng.integers(len(items)))]


def _path(
  rng: np.random.Generator, action: str
) -> tuple[tuple[float, float], tuple[float, float]]:
  """Positions before and after the action."""
  near = _uniform(rng, 0.16, 0.32)
  far = _uniform(rng, 0.68, 0.84)
  across = _uniform(rng, 0.2, 0.8)
  paths = {
    "move left": ((far, across), (near, across)),
    "move right": ((near, across), (far, across)),
    "move up": ((across, far), (across, near)),
    "move down": ((across, near), (across, far)),
  }
  if action in paths:
    return paths[action]
  point = (_uniform(rng, 0.25, 0.75), _uniform(rng, 0.25, 0.75))
  return point, point


def _make_episode(
  rng: np.random.Generator, triple: Triple, kind: str, times: Sequence[float]
) -> Episode:
  """Draws how an episode looks, given when it is."""
  colour, shape, action = triple
  enter, start, end, leave = times
  length = end - start
  radii = {"grow": (SMALL, LARGE), "shrink": (LARGE, SMALL)}
  turns = 0.0
  flips = 0
  if action == "spin":
    turns = _uniform(rng, 0.25, 0.4) * length * _choice(rng, (-1.0, 1.0))
  if action == "blink":
    flips = max(3, 2 * int(length / _uniform(rng, 0.6, 0.9) / 2) + 1)
  return Episode(
    colour,
    shape,
    action,
    kind,
    enter,
    start,
    end,
    leave,
    positions=_path(rng, action),
    radii=radii.get(action, (MEDIUM, MEDIUM)),
    turns=turns,
    flips=flips,
  )


def _draw_cast(
  rng: np.random.Generator, triples: Sequence[Triple], repeat: bool, count: int
) -> list[tuple[Triple, str]] | None:
  """Who does what: distinct objects, one of them twice if `repeat`."""
  cast: list[tuple[Triple, str]] = []
  if repeat:
    first = _choice(rng, triples)
    others = [t for t in triples if t[:2] == first[:2] and t != first]
    if not others:
      return None
    cast += [(first, "repeat"), (_choice(rng, others), "repeat")]
  for _ in range(20 * count):  # Few triples may not hold that many objects.
    triple = _choice(rng, triples)
    if len(cast) < count and all(triple[:2] != t[:2] for t, _ in cast):
      cast.append((triple, "idle" if rng.random() < 0.6 else "appears"))
  if len(cast) < count:
    return None
  return [cast[i] for i in rng.permutation(len(cast))]


def _draw_share(rng: np.random.Generator) -> float:
  """Share of the video which an event takes."""
  if rng.random() < 0.15:
    return _uniform(rng, MIN_SHARE, 0.08)
  return 0.08 + (MAX_SHARE - 0.08) * float(rng.beta(1.0, 2.2))


def _draw_times(
  rng: np.random.Generator,
  cast: Sequence[tuple[Triple, str]],
  duration: float,
) -> list[tuple[float, float, float, float]] | None:
  """Disjoint stays in the order of the cast, or None if they do not fit."""
  spans = []
  for (_, _, action), kind in cast:
    event = duration * _draw_share(rng)
    shortest = max(
      _MIN_SECONDS.get(action, _ANY_MIN_SECONDS), MIN_SHARE * duration
    )
    event = max(event, shortest)
    before = after = 0.0
    if kind == "idle" or (kind == "repeat" and rng.random() < 0.5):
      scale = max(event, 0.06 * duration)
      before = scale * _uniform(rng, 0.3, 1.6)
      after = scale * _uniform(rng, 0.3, 1.6)
    spans.append((before, event, after))
  used = sum(sum(span) for span in spans)
  least_gap = 0.015 * duration
  free = duration - used - least_gap * (len(spans) + 1)
  if free < 0:
    return None
  gaps = least_gap + free * rng.dirichlet(np.ones(len(spans) + 1))
  times, clock = [], 0.0
  for gap, (before, event, after) in zip(gaps[:-1], spans, strict=True):
    enter = clock + float(gap)
    start = enter + before
    clock = start + event + after
    times.append((enter, start, start + event, clock))
  return times


def _draw_background(rng: np.random.Generator) -> Background:
  grey = _uniform(rng, 0.15, 0.45)
  base = tuple(float(grey + d) for d in rng.uniform(-0.05, 0.05, 3))
  waves = tuple(
    tuple(
      float(v)
      for v in (
        *rng.uniform(-1.2, 1.2, 2),
        rng.uniform(-0.08, 0.08),
        rng.random(),
        *rng.uniform(-0.06, 0.06, 3),
      )
    )
    for _ in range(3)
  )
  return Background(base, waves, noise=_uniform(rng, 0.01, 0.03))  # type: ignore[arg-type]


def _draw_distractors(
  rng: np.random.Generator, taken: set[tuple[str, str]], duration: float
) -> tuple[Distractor, ...]:
  """One or two small objects, in the corners, unlike any object which acts."""
  free = [p for p in itertools.product(COLOURS, SHAPES) if p not in taken]
  corners = [(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)]
  distractors = []
  picks = rng.permutation(len(corners))[: int(rng.integers(1, 3))]
  for pick in picks:
    colour, shape = free.pop(int(rng.integers(len(free))))
    drift = tuple(float(d) for d in rng.uniform(-0.08, 0.08, 2) / duration)
    distractors.append(
      Distractor(colour, shape, corners[pick], drift, 0.065)  # type: ignore[arg-type]
    )
  return tuple(distractors)


def draw_scene(
  seed: int,
  triples: Sequence[Triple],
  min_duration: float = 12.0,
  max_duration: float = 28.0,
) -> Scene:
  """Draws a scene.

  Args:
    seed: All there is to the scene; the same seed gives the same scene.
    triples: The combinations of colour, shape and action it may use.
    min_duration: Seconds.
    max_duration: Seconds.

  Returns:
    A scene of two to four episodes, one at a time.

  Raises:
    ValueError: If no scene can be made of the triples.
  """
  rng = np.random.default_rng(seed)
  triples = sorted(triples)
  duration = round(_uniform(rng, min_duration, max_duration), 2)
  for _ in range(2000):
    repeat = rng.random() < 0.6
    count = int(rng.integers(3 if repeat else 2, 5))
    cast = _draw_cast(rng, triples, repeat, count)
    times = _draw_times(rng, cast, duration) if cast else None
    if cast and times:
      break
  else:
    raise ValueError(
      f"scene {seed}: no cast of {len(triples)} triples fits; give more triples"
    )
  episodes = tuple(
    _make_episode(rng, triple, kind, when)
    for (triple, kind), when in zip(cast, times, strict=True)
  )
  taken = {(e.colour, e.shape) for e in episodes}
  return Scene(
    seed,
    duration,
    _draw_background(rng),
    _draw_distractors(rng, taken, duration),
    episodes,
  )


def draw_still(seed: int) -> tuple[Scene, list[State]]:
  """Draws one still: up to two objects in any pose, over a background.

  Args:
    seed: All there is to the still.

  Returns:
    The scene to render it from, at time 0, and the objects to draw besides.
  """
  rng = np.random.default_rng([seed, 2])
  names = list(itertools.product(COLOURS, SHAPES))
  count = int(rng.choice(3, p=(0.1, 0.65, 0.25)))
  picks = [names[i] for i in rng.permutation(len(names))[:count]]
  states = []
  for colour, shape in picks:
    x, y = rng.uniform(0.12, 0.88, 2)
    radius = _uniform(rng, SMALL, LARGE) if rng.random() < 0.6 else MEDIUM
    turned = shape != "circle" and rng.random() < 0.5
    angle = _uniform(rng, 0.0, 2 * math.pi) if turned else 0.0
    states.append(State(colour, shape, float(x), float(y), radius, angle))
  distractors = _draw_distractors(rng, set(picks), 1.0)
  return Scene(seed, 1.0, _draw_background(rng), distractors, ()), states
