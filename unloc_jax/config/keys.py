"""What a key of a config is: its default, its meaning, what it may be."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

INF = float("inf")


@dataclasses.dataclass(frozen=True)
class Key:
  """One key."""

  default: Any
  meaning: str
  allowed: str  # What it may be, in words
  fits: Callable[[Any], bool]


def whole(
  default: int, meaning: str, low: int = 0, also: tuple[int, ...] = ()
) -> Key:
  """A whole number from `low` on, or one of `also`."""
  allowed = f"a whole number of at least {low}"
  if also:
    allowed += f", or {' or '.join(map(str, also))}"

  def fits(value: Any) -> bool:
    return is_whole(value) and (value >= low or value in also)

  return Key(default, meaning, allowed, fits)


def real(
  default: float,
  meaning: str,
  low: float = -INF,
  high: float = INF,
  open_low: bool = False,
  open_high: bool = False,
) -> Key:
  """A finite number in a range; an open end is not part of it."""
  allowed = "a finite number"
  if low > -INF:
    allowed += f" above {low:g}" if open_low else f" of at least {low:g}"
  if high < INF:
    joined = " and" if low > -INF else ""
    allowed += f"{joined} {'below' if open_high else 'at most'} {high:g}"

  def fits(value: Any) -> bool:
    return (
      is_number(value)
      and (value > low if open_low else value >= low)
      and (value < high if open_high else value <= high)
    )

  return Key(default, meaning, allowed, fits)


def flag(default: bool, meaning: str) -> Key:
  """True or False."""
  return Key(default, meaning, "True or False", lambda x: isinstance(x, bool))


def choice(default: str, meaning: str, *others: str) -> Key:
  """One of some words, the default first."""
  choices = (default, *others)
  allowed = f"one of {', '.join(map(repr, choices))}"
  return Key(default, meaning, allowed, lambda value: value in choices)


def text(default: str, meaning: str) -> Key:
  """Any text; not the empty one where the default says something."""
  if default:
    return Key(default, meaning, "a text that is not empty", is_text)
  return Key(default, meaning, "a text", lambda value: isinstance(value, str))


def pattern(default: str, meaning: str) -> Key:
  """A regular expression."""
  return Key(default, meaning, "a regular expression", is_pattern)


def several(
  default: tuple[Any, ...],
  meaning: str,
  allowed: str,
  item: Callable[[Any], bool],
  least: int = 0,
) -> Key:
  """A tuple, each item of which fits."""

  def fits(value: Any) -> bool:
    is_list = isinstance(value, tuple | list)
    return is_list and len(value) >= least and all(map(item, value))

  return Key(default, meaning, allowed, fits)


def names(default: tuple[str, ...], meaning: str, least: int = 0) -> Key:
  """A tuple of texts."""
  allowed = "a tuple of texts such as ('val', 'test')"
  return several(default, meaning, allowed, is_text, least)


def is_whole(value: Any) -> bool:
  """Whether a value is an int, and no bool."""
  return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
  """Whether a value is a finite int or float, and no bool."""
  if isinstance(value, bool) or not isinstance(value, int | float):
    return False
  try:
    return math.isfinite(value)
  except OverflowError:  # A whole number beyond what a float holds.
    return False


def is_text(value: Any) -> bool:
  """Whether a value is a text with something in it."""
  return isinstance(value, str) and bool(value.strip())


def is_pattern(value: Any) -> bool:
  """Whether a value is a regular expression."""
  try:
    re.compile(value)
  except (re.error, TypeError):
    return False
  return isinstance(value, str)


def is_pair(
  first: Callable[[Any], bool], second: Callable[[Any], bool]
) -> Callable[[Any], bool]:
  """A test of pairs whose items pass a test each."""
  return lambda value: (
    isinstance(value, tuple | list)
    and len(value) == 2
    and first(value[0])
    and second(value[1])
  )
