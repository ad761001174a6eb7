"""Slideshows: videos whose every second shows a new still.

A slideshow's annotations say which phrases of state are true of which still,
in the format of ActivityNet 1.3: a phrase is a class and a still a segment.
They pretrain both towers on single frames, through the same builders and the
same input as any other benchmark.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from data_preprocessing.synthetic import captions, encode, render
from data_preprocessing.synthetic.random_scenes import draw_still

STILLS_PER_SHOW = 64  # Seconds of a slideshow.
_SIDE = 48
_VALIDATION_SHARE = 16  # One slideshow of so many is kept for validation.
_FRAME_RATE = Fraction(1)
# A still's phrases end before the next still is shown.
_SHOWN_SECONDS = 0.9


@dataclasses.dataclass(frozen=True)
class Slideshow:
  """One slideshow.

  Attributes:
    number: Which one it is.
    first_seed: Seed of its first still; each still has the next.
  """

  number: int
  first_seed: int

  @property
  def name(self) -> str:
    """Its identifier, which is also its file's stem."""
    return f"stills_{self.number:05d}"

  @property
  def seeds(self) -> range:
    """Seeds of its stills."""
    return range(self.first_seed, self.first_seed + STILLS_PER_SHOW)


def plan(num_stills: int, first_seed: int) -> list[Slideshow]:
  """Slideshows that hold at least `num_stills` stills."""
  count = -(-num_stills // STILLS_PER_SHOW)
  return [Slideshow(i, first_seed + i * STILLS_PER_SHOW) for i in range(count)]


def _images(show: Slideshow) -> Iterator[tuple[Fraction, np.ndarray]]:
  for second, seed in enumerate(show.seeds):
    scene, states = draw_still(seed)
    draw = render.Renderer(scene, _SIDE, _SIDE)
    yield Fraction(second), draw(0.0, states)


def write(job: tuple[Slideshow, pathlib.Path]) -> None:
  """Writes a slideshow into a folder unless it is there."""
  show, folder = job
  path = folder / f"v_{show.name}.mp4"
  if not path.exists():
    encode.write_frames(_images(show), (_SIDE, _SIDE), _FRAME_RATE, path)


def annotation_file(shows: list[Slideshow]) -> dict[str, Any]:
  """ActivityNet 1.3's JSON of all slideshows."""
  return {
    "version": "VERSION 1.3",
    "taxonomy": [],
    "database": {show.name: _entry(show) for show in shows},
  }


def _entry(show: Slideshow) -> dict[str, Any]:
  held_out = show.number % _VALIDATION_SHARE == _VALIDATION_SHARE - 1
  return {
    "duration": float(STILLS_PER_SHOW),
    "subset": "validation" if held_out else "training",
    "annotations": [
      {"segment": [second, second + _SHOWN_SECONDS], "label": phrase}
      for second, seed in enumerate(show.seeds)
      for phrase in captions.phrases(draw_still(seed)[1])
    ],
  }
