"""Slideshows: videos whose every second shows a new still.

A slideshow's annotations say which phrases of state are true of which still,
in the format of ActivityNet 1.3: a phrase is a class and a still a segment.
They pretrain both towers on single frames, through the same builders and the
same input as any other benchmark.
"""

import pathlib
from fractions import Fraction
from typing import Any

from data_preprocessing.synthetic import captions, encode, render
from data_preprocessing.synthetic.random_scenes import draw_still

STILLS_PER_SHOW = 64  # Seconds of a slideshow.
_SIDE = 48
_VALIDATION_SHARE = 16  # One slideshow of so many is kept for validation.
# A still's phrases end before the next still is shown.
_SHOWN_SECONDS = 0.9


def plan(num_stills: int, first_seed: int) -> dict[str, range]:
  """Returns name -> seeds of slideshows with at least so many stills."""
  return {
    f"stills_{i:05d}": range(seed, seed + STILLS_PER_SHOW)
    for i, seed in enumerate(
      range(first_seed, first_seed + num_stills, STILLS_PER_SHOW)
    )
  }


def write(job: tuple[range, pathlib.Path]) -> None:
  """Writes the slideshow of some seeds unless it is there."""
  seeds, path = job
  if path.exists():
    return
  stills = map(draw_still, seeds)
  images = (
    (Fraction(second), render.Renderer(scene, _SIDE, _SIDE)(0.0, states))
    for second, (scene, states) in enumerate(stills)
  )
  encode.write_frames(images, (_SIDE, _SIDE), Fraction(1), path)


def annotation_file(shows: dict[str, range]) -> dict[str, Any]:
  """Returns ActivityNet 1.3's JSON of all slideshows."""
  database = {}
  for number, (name, seeds) in enumerate(shows.items(), 1):
    database[name] = {
      "duration": float(STILLS_PER_SHOW),
      "subset": "training" if number % _VALIDATION_SHARE else "validation",
      "annotations": [
        {"segment": [second, second + _SHOWN_SECONDS], "label": phrase}
        for second, seed in enumerate(seeds)
        for phrase in captions.phrases(draw_still(seed)[1])
      ],
    }
  return {"version": "VERSION 1.3", "taxonomy": [], "database": database}
