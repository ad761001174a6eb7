"""Class lists, zero-shot class splits and prompt templates, as small files.

The lists of ActivityNet, THUMOS14, Kinetics, HMDB51 and UCF101 are those their
owners publish. The ten random splits of ActivityNet and THUMOS14 are those of
Ju et al., "Prompting visual-language models for efficient video
understanding", so that results compare. The prompts are our own.
"""

import dataclasses
import functools
import json
import pathlib
from typing import Any

_FOLDER = pathlib.Path(__file__).parent / "class_data"


@dataclasses.dataclass(frozen=True)
class ClassSplit:
  """Classes to train on, and those first seen in the test."""

  seen: tuple[str, ...]  # Names, sorted
  unseen: tuple[str, ...]  # Names, sorted


@functools.cache
def _load(name: str) -> Any:
  return json.loads((_FOLDER / name).read_text(encoding="utf-8"))


def class_list(name: str) -> tuple[str, ...]:
  """Returns a benchmark's official class names. Raises ValueError if none."""
  lists = _load("class_lists.json")
  if name not in lists:
    raise ValueError(f"no class list {name!r}; there are {', '.join(lists)}")
  return tuple(lists[name])


def zero_shot_splits(
  dataset: str, unseen_percent: int
) -> tuple[ClassSplit, ...]:
  """Returns the ten published class splits of "anet" or "thumos14".

  `unseen_percent`, 25 or 50, is the share of classes kept for the test. Raises
  ValueError: there are no such splits.
  """
  splits = _load("zero_shot_splits.json")
  if dataset not in splits or str(unseen_percent) not in splits[dataset]:
    raise ValueError(
      f"no zero-shot splits of {dataset!r} with {unseen_percent}% unseen;"
      f" there are {', '.join(splits)} with 25 and 50"
    )
  names = class_list(dataset)
  return tuple(
    ClassSplit(
      tuple(n for i, n in enumerate(names) if i not in set(unseen)),
      tuple(names[i] for i in unseen),
    )
    for unseen in splits[dataset][str(unseen_percent)]
  )


def prompt_templates(kind: str) -> tuple[str, ...]:
  """Returns templates with one {} for a class name.

  There are those of kind "action", for names of activities, and "step", for
  instructions. Raises ValueError for another kind.
  """
  prompts = _load("prompts.json")
  if kind not in prompts:
    raise ValueError(f"no prompts {kind!r}; there are {', '.join(prompts)}")
  return tuple(prompts[kind])
