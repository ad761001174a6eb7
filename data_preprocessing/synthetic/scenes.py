"""Scenes of the synthetic benchmark: what is on the stage at every time.

`states_at` says where every object is at any second, so that a scene can be
rendered at any frame rate, size and aspect. Objects live in the central square
of the frame, in coordinates 0..1 (x to the right, y down), so that a centre
crop never cuts them off.

An *episode* is one stay of an object on the stage. It acts during its event and
stands still before and after it. What a query can be told apart by is its kind:

* `appears`: the object is on the stage during its event only.
* `idle`: the object stands there before and after its event too.
* `repeat`: the object comes a second time and does something else.
"""

import dataclasses
import itertools
import math

COLOURS = {
  "red": (0.93, 0.12, 0.12),
  "green": (0.10, 0.80, 0.18),
  "blue": (0.15, 0.30, 0.98),
  "yellow": (0.98, 0.90, 0.10),
  "purple": (0.70, 0.15, 0.85),
  "white": (0.98, 0.98, 0.98),
}
SHAPES = ("circle", "square", "triangle", "bar")
# Each with its name as a class.
ACTIONS = {
  "move left": "moving left",
  "move right": "moving right",
  "move up": "moving up",
  "move down": "moving down",
  "grow": "growing",
  "shrink": "shrinking",
  "spin": "spinning",
  "blink": "blinking",
}
KINDS = ("appears", "idle", "repeat")

Point = tuple[float, float]  # x, y
Triple = tuple[str, str, str]  # colour, shape, action
# All that can be seen: of a spinning circle nothing can.
TRIPLES = tuple(
  triple
  for triple in itertools.product(COLOURS, SHAPES, ACTIONS)
  if triple[1:] != ("circle", "spin")
)


@dataclasses.dataclass(frozen=True)
class Episode:
  """One stay of an object; the seconds of it and of its event in order."""

  colour: str
  shape: str
  action: str
  kind: str
  enter: float
  start: float
  end: float
  leave: float
  positions: tuple[Point, Point]  # Before and after the event
  radii: tuple[float, float]  # Before and after the event
  turns: float = 0.0  # During the event, negative is counter-clockwise
  flips: int = 0  # Odd number of equally long phases of a blink, else 0

  @property
  def triple(self) -> Triple:
    """Colour, shape and action."""
    return self.colour, self.shape, self.action


@dataclasses.dataclass(frozen=True)
class State:
  """One object at one time. The angle is in radians."""

  colour: str
  shape: str
  x: float
  y: float
  radius: float
  angle: float = 0.0


@dataclasses.dataclass(frozen=True)
class Distractor:
  """An object nobody asks for; it never acts, but drifts, in sides a second."""

  state: State
  drift: Point


@dataclasses.dataclass(frozen=True)
class Background:
  """A drifting, smooth pattern."""

  base: tuple[float, ...]  # Mean colour
  # Rows of (x cycles, y cycles, cycles per second, phase, r, g, b)
  waves: tuple[tuple[float, ...], ...]
  noise: float  # Standard deviation of the pixel noise, of 0..1


@dataclasses.dataclass(frozen=True)
class Scene:
  """All there is to know about one video, of so many seconds."""

  seed: int
  duration: float
  background: Background
  distractors: tuple[Distractor, ...]
  episodes: tuple[Episode, ...]


def states_at(scene: Scene, time: float) -> list[State]:
  """Everything to be seen at a time, distractors first (they are behind)."""
  states = [
    dataclasses.replace(
      d.state,
      x=d.state.x + d.drift[0] * time,
      y=d.state.y + d.drift[1] * time,
    )
    for d in scene.distractors
  ]
  shown = (_state_at(episode, time) for episode in scene.episodes)
  return states + [state for state in shown if state]


def _state_at(episode: Episode, time: float) -> State | None:
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
    episode.colour,
    episode.shape,
    x=x0 + (x1 - x0) * u,
    y=y0 + (y1 - y0) * u,
    radius=r0 + (r1 - r0) * u,
    angle=2 * math.pi * episode.turns * u,
  )
