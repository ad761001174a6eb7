"""Shapes that sound: films in which only the sound says when.

    python -m data_preprocessing.synthetic.sounding --out RAW

Each colour has its tone, and shapes of any colour call at any time, whatever
the scene of the embedded benchmark shows meanwhile. Files are as
`data_preprocessing.build --dataset custom` reads them.
"""

import json
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tqdm

from data_preprocessing import command
from data_preprocessing.synthetic import encode, random_scenes, scenes
from unloc_jax import files
from unloc_jax.config.parser import Parser
from unloc_jax.media.sound import RATE

# Hertz; a fifth apart and more, so that bands of log-mel tell them apart.
TONES = dict(
  zip(scenes.COLOURS, (300, 480, 760, 1200, 1900, 3000), strict=True)
)
_TEXTS = (
  "the {} one calls",
  "something {} is heard",
  "listen: a {} shape sounds",
  "the tone of the {} shape",
)
_FADE = RATE // 50
# Far from the seeds of the embedded benchmark.
_FIRST_SEEDS = {"train": 90_000_000, "val": 95_000_000}


def calls(
  rng: np.random.Generator, duration: float
) -> list[tuple[str, float, float]]:
  """(colour, start, end) of two to four disjoint calls, each of a colour."""
  count = int(rng.integers(2, 5))
  colours = [list(TONES)[i] for i in rng.permutation(len(TONES))[:count]]
  spans = duration * rng.uniform(0.08, 0.2, count)
  gaps = (duration - sum(spans)) * rng.dirichlet(np.full(count + 1, 2.0))
  starts = np.cumsum(gaps[:-1]) + np.cumsum(spans) - spans
  return [
    (colour, round(float(start), 2), round(float(start + span), 2))
    for colour, start, span in zip(colours, starts, spans, strict=True)
  ]


def samples(
  rng: np.random.Generator,
  duration: float,
  found: Sequence[tuple[str, float, float]],
) -> np.ndarray:
  """Calls over faint noise, float32 [N] at 16 kHz."""
  sound = 0.01 * rng.standard_normal(round(duration * RATE))
  for colour, start, end in found:
    first, last = round(start * RATE), round(end * RATE)
    time = np.arange(last - first)
    ramp = np.minimum(time, time[::-1]) / _FADE
    tone = np.sin(2 * np.pi * TONES[colour] * time / RATE)
    sound[first:last] += 0.3 * np.minimum(ramp, 1.0) * tone
  return sound.astype(np.float32)


def film(folder: pathlib.Path, split: str, number: int) -> str:
  """Writes a film unless it is there; returns its line of annotations."""
  seed = _FIRST_SEEDS[split] + number
  scene = random_scenes.draw_scene(seed, scenes.TRIPLES)
  rng = np.random.default_rng([seed, 6])
  found = calls(rng, scene.duration)
  sound = samples(rng, scene.duration, found)
  path = folder / split / f"{number:05d}.mp4"
  if not path.exists():
    encode.write_video(scene, encode.draw_format(seed), path, sound)
  segments = [
    {
      "start": start,
      "end": end,
      "text": random_scenes.choice(rng, _TEXTS).format(colour),
    }
    for colour, start, end in found
  ]
  name = f"{split}/{path.name}"
  return json.dumps(
    {"video": name, "duration": scene.duration, "segments": segments}
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Builds the films; returns the exit status."""
  parser = Parser(__doc__, "data_preprocessing.synthetic.sounding")
  add = parser.add_argument
  add("--out", required=True, type=pathlib.Path, help="folder to write")
  add("--train", type=int, default=240, help="films (240)")
  add("--val", type=int, default=80, help="films (80)")
  args = parser.parse_args(argv)

  def run() -> str:
    for split in _FIRST_SEEDS:
      numbers = tqdm.tqdm(range(getattr(args, split)), split, disable=None)
      lines = [film(args.out, split, number) + "\n" for number in numbers]
      files.write_text(args.out / f"{split}.jsonl", "".join(lines))
    return f"{args.out}: {args.train + args.val} films"

  return command.ended(run, args.out)


if __name__ == "__main__":
  sys.exit(main())
