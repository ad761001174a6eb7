"""Words for what happens: captions, classes and phrases of state.

A caption speaks of an event in one of many wordings. A class of localization
says a shape and an action at once ("Circle moving left"), so that one which
nobody trained on is made of words that everybody knows. A phrase of state
speaks of one still: which object is there, where, how large and how turned.
Phrases have one wording each and are listed in full, so that a phrase which a
still does not list is false of it.
"""

import math
from collections.abc import Iterable

import numpy as np

from data_preprocessing.synthetic import scenes
from data_preprocessing.synthetic.random_scenes import choice

_SHAPES = {
  "circle": ("circle", "disc"),
  "square": ("square", "box"),
  "triangle": ("triangle",),
  "bar": ("bar", "stick"),
}
_VERBS = {
  "move left": ("moves left", "slides to the left", "travels leftwards"),
  "move right": ("moves right", "slides to the right", "travels rightwards"),
  "move up": ("moves up", "rises to the top", "travels upwards"),
  "move down": ("moves down", "sinks to the bottom", "travels downwards"),
  "grow": ("grows", "gets bigger", "becomes larger"),
  "shrink": ("shrinks", "gets smaller", "becomes tiny"),
  "spin": ("spins", "turns around", "rotates in place"),
  "blink": ("blinks", "flashes on and off", "keeps flickering"),
}
_TEMPLATES = (
  "a {colour} {shape} {verb}",
  "the {colour} {shape} {verb}",
  "the {shape} which is {colour} {verb}",
  "a {shape}, {colour}, {verb}",
  "we see how a {colour} {shape} {verb}",
  "here the {colour} {shape} slowly {verb}",
)

GRID = 6  # Lines per axis which a phrase of state can refer to.
_SIZES = (0.105, 0.135, 0.165, 0.2)  # Bounds between five sizes.
_TURNS = 4  # Directions told apart within a shape's symmetry.
# After this share of a full turn a shape looks the same again.
_SYMMETRY = {"circle": 0, "square": 4, "triangle": 3, "bar": 2}


def caption(rng: np.random.Generator, triple: scenes.Triple) -> str:
  """One sentence about an event, in a wording drawn at random."""
  colour, shape, action = triple
  text = choice(rng, _TEMPLATES).format(
    colour=colour,
    shape=choice(rng, _SHAPES[shape]),
    verb=choice(rng, _VERBS[action]),
  )
  return text[0].upper() + text[1:] + "."


def class_of(shape: str, action: str) -> str:
  """The class of localization of an event, such as "Circle moving left"."""
  return f"{shape.capitalize()} {scenes.ACTIONS[action]}"


# In the order of shapes, then actions, each once.
CLASSES = tuple(dict.fromkeys(class_of(*t[1:]) for t in scenes.TRIPLES))


def _facts(state: scenes.State) -> Iterable[str]:
  """What holds of one object; each fact follows the object's name."""
  for line in range(1, GRID):
    across = "left" if state.x < line / GRID else "right"
    yield f"{across} of line {line}"
    down = "above" if state.y < line / GRID else "below"
    yield f"{down} line {line}"
  for number, bound in enumerate(_SIZES, 1):
    size = "larger" if state.radius >= bound else "smaller"
    yield f"{size} than {number}"
  # 0 is upright.
  share = state.angle / (2 * math.pi) * _SYMMETRY[state.shape]
  yield f"turned {round(share * _TURNS) % _TURNS}"


def phrases(states: Iterable[scenes.State]) -> list[str]:
  """Every phrase true of a still of these objects, sorted."""
  found: set[str] = set()
  for state in states:
    name = f"{state.colour} {state.shape}"
    found.update((name, state.colour, state.shape))
    for fact in _facts(state):
      found.update((f"{name} {fact}", f"something {fact}"))
  return sorted(found)
