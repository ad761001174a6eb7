"""How people ask for a sound: many wordings of one class."""

from collections.abc import Sequence

# Of the classes of ESC-10; the last three of each are asked in tests alone.
_WORDINGS: dict[str, Sequence[str]] = {
  "dog bark": (
    "a dog barks",
    "dog barking",
    "barking",
    "the dog is barking",
    "woof",
    "a dog is heard",
    "someone's dog barks at something",
    "a hound bays",
    "the bark of a dog",
    "a puppy yaps",
    "a big dog is woofing loudly",
    "our pet dog makes noise",
  ),
  "rain": (
    "it rains",
    "rain falling",
    "rain is falling",
    "the sound of rain",
    "raindrops patter",
    "a rain shower",
    "heavy rain pours down",
    "rain on a roof",
    "it is raining",
    "water drops fall from the sky",
    "a downpour",
    "rainy weather",
  ),
  "sea waves": (
    "waves at sea",
    "waves crash on the shore",
    "the sea",
    "ocean waves",
    "waves roll in",
    "surf on a beach",
    "the sound of the ocean",
    "breaking waves",
    "waves wash over the beach",
    "the tide comes in",
    "water laps against the coast",
    "seaside surf",
  ),
  "baby cry": (
    "a baby cries",
    "baby crying",
    "an infant cries",
    "a crying baby",
    "the baby is crying",
    "a newborn wails",
    "a small child weeps",
    "an infant is screaming",
    "a baby sobs",
    "the toddler bawls",
    "a babe in tears",
    "a hungry infant wails",
  ),
  "clock tick": (
    "a clock ticks",
    "clock ticking",
    "a ticking clock",
    "ticking",
    "tick tock",
    "the clock is ticking",
    "a watch ticks",
    "seconds tick by",
    "the tick of a clock",
    "a wall clock counts the seconds",
    "a pendulum clock is going",
    "the hands of an old clock tick",
  ),
  "person sneeze": (
    "a person sneezes",
    "sneezing",
    "someone sneezes",
    "a sneeze",
    "a man sneezes",
    "a woman sneezes",
    "achoo",
    "somebody has to sneeze",
    "the sound of a sneeze",
    "a loud human sneeze",
    "someone with a cold sneezes",
    "an allergic person is sneezing",
  ),
  "helicopter": (
    "a helicopter",
    "helicopter flying",
    "a helicopter flies by",
    "the rotor of a helicopter",
    "a chopper",
    "a helicopter hovers",
    "a helicopter is in the air",
    "the sound of a helicopter",
    "rotor blades whirl",
    "a chopper flies overhead",
    "a rescue helicopter passes",
    "a rotorcraft is landing",
  ),
  "chainsaw": (
    "a chainsaw",
    "chainsaw running",
    "a chain saw cuts wood",
    "someone saws with a chainsaw",
    "a chainsaw is revving",
    "a motor saw",
    "a tree is cut with a chainsaw",
    "the sound of a chainsaw",
    "a lumberjack's saw at work",
    "a power saw roars",
    "felling a tree with a chain saw",
    "a petrol saw is running",
  ),
  "rooster": (
    "a rooster crows",
    "rooster crowing",
    "a rooster",
    "a cock crows",
    "cock-a-doodle-doo",
    "the rooster is crowing",
    "a cockerel calls",
    "the crow of a rooster",
    "a rooster greets the morning",
    "a cockerel crows at dawn",
    "poultry crowing on a farm",
    "the cock is crowing",
  ),
  "fire crackling": (
    "a fire crackles",
    "fire crackling",
    "a crackling fire",
    "a fire burns",
    "flames crackle",
    "a campfire",
    "wood burns and crackles",
    "the sound of fire",
    "a burning fireplace",
    "a bonfire is burning",
    "crackling flames in a stove",
    "burning logs crackle",
  ),
}
_HELD_OUT = 3
# Of a class that is not among them.
_TEMPLATES = ("{}", "the sound of {}", "{} is heard", "one can hear {}")


LABELS = tuple(sorted(_WORDINGS))


def every(label: str) -> tuple[str, ...]:
  """All that a class is asked by, its label first."""
  return (label, *trained(label), *held_out(label))


def trained(label: str) -> tuple[str, ...]:
  """Wordings of a class to train on."""
  if label in _WORDINGS:
    return tuple(_WORDINGS[label][:-_HELD_OUT])
  return tuple(template.format(label) for template in _TEMPLATES)


def held_out(label: str) -> tuple[str, ...]:
  """Wordings that are never trained on; () of a class that is not known."""
  return tuple(_WORDINGS.get(label, ())[-_HELD_OUT:])
