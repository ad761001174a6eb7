"""Class names of the synthetic benchmark: closed lists; captions are free.

Localization asks for a shape and an action at once ("Circle moving left"), so
that a class nobody trained on is made of words that everybody knows: what
zero-shot localization needs. Segmentation asks for the action alone.
"""

from __future__ import annotations

from data_preprocessing.synthetic import scenes

ACTIONS: dict[str, str] = {
  "move left": "moving left",
  "move right": "moving right",
  "move up": "moving up",
  "move down": "moving down",
  "grow": "growing",
  "shrink": "shrinking",
  "spin": "spinning",
  "blink": "blinking",
}


def localization_class(shape: str, action: str) -> str:
  """The class of an event, such as "Circle moving left"."""
  return f"{shape.capitalize()} {ACTIONS[action]}"


LOCALIZATION_CLASSES: tuple[str, ...] = tuple(
  localization_class(shape, action)
  for shape in scenes.SHAPES
  for action in ACTIONS
  if (shape, action) != scenes.INVISIBLE
)

# One class of each action, two of each shape.
UNSEEN_CLASSES: tuple[str, ...] = (
  "Circle moving left",
  "Circle shrinking",
  "Square growing",
  "Square spinning",
  "Triangle moving right",
  "Triangle blinking",
  "Bar moving up",
  "Bar moving down",
)
SEEN_CLASSES: tuple[str, ...] = tuple(
  name for name in LOCALIZATION_CLASSES if name not in UNSEEN_CLASSES
)
