r"""Lays short recordings into mixtures of 45 s, for sound localization.

python -m data_preprocessing.sounds --esc10 ESC10 --out RAW
python -m data_preprocessing.build --dataset custom --extract sound \
      --annotations RAW --videos RAW --sound EXTRACTOR --frame_rate 4 \
      --data_dir DATA

Sounds of folds 1 to 4 are for training, of fold 5 for testing: split `water`
is over rain or sea waves, `noise` over pink noise, both with every class once
at most; `detect` is over faint pink noise, up to 8 sounds one after another.
Whatever is a background is not asked for.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Collection, Sequence

import av
import numpy as np
import tqdm

from data_preprocessing import command
from data_preprocessing.sounds import mixing, recordings, wordings
from unloc_jax import files
from unloc_jax.config.parser import Parser
from unloc_jax.media.sound import RATE

_TEST = (5,)
STYLES = {
  "train": mixing.Style(
    (1, 2, 3, 4), 0.6, (-3, 22), (-6, 6), together=0.2, varied=0.4
  ),
  "water": mixing.Style(_TEST, 1.0, (5, 20), distinct=True),
  "noise": mixing.Style(_TEST, 0.0, (5, 20), distinct=True),
  "detect": mixing.Style(_TEST, 0.0, (20, 20), gap=(0.5, 2.5)),
}
# Wordings of a class that a mixture is asked in training.
_ASKED = 5
# And of one that it does not hold.
_ABSENT = 3


def segments(
  events: Sequence[mixing.Event], training: bool, rng: np.random.Generator
) -> list[dict[str, object]]:
  """Events as the custom format has them, once for each wording.

  Tests ask for the class by name, and in a wording never trained on.
  """
  found = []
  for name in sorted({event.label for event in events}):
    said = wordings.trained if training else wordings.held_out
    texts = list(said(name))
    count = min(_ASKED if training else 1, len(texts))
    chosen = [texts[i] for i in rng.permutation(len(texts))[:count]]
    kinds = {name: "name", **dict.fromkeys(chosen, "sentence")}
    found += [
      {
        "start": event.start,
        "end": event.end,
        "text": text,
        "class": name,
        "kind": kind,
      }
      for text, kind in kinds.items()
      for event in events
      if event.label == name
    ]
  return found


def absent(
  events: Sequence[mixing.Event],
  known: Collection[str],
  rng: np.random.Generator,
) -> list[str]:
  """Texts that nothing answers, of every class that is not there.

  What may be a background is never among them.
  """
  there = {event.label for event in events}
  found: list[str] = []
  for name in sorted(set(known) - there - set(mixing.BACKGROUNDS)):
    texts = [name, *wordings.trained(name)]
    found += [texts[i] for i in rng.permutation(len(texts))[:_ABSENT]]
  return found


def write(path: pathlib.Path, samples: np.ndarray) -> None:
  """Writes float32 samples at 16 kHz as FLAC of 16 bits."""
  whole = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
  with (
    files.replacing(path) as beside,
    av.open(str(beside), "w", format="flac") as out,
  ):
    track = out.add_stream("flac", rate=RATE, layout="mono")
    frame = av.AudioFrame.from_ndarray(whole[None], "s16", "mono")
    frame.sample_rate, frame.pts = RATE, 0
    out.mux(track.encode(frame))
    out.mux(track.encode(None))


def build(args: argparse.Namespace) -> str:
  """Writes OUT/SPLIT/00000.flac and OUT/SPLIT.jsonl of every split.

  Classes that are left out are not in training at all. Raises ValueError
  where one is unknown.
  """
  library = recordings.read(args.esc10)
  left_out = [name for name in args.leave_out.split(",") if name]
  if unknown := sorted(set(left_out) - set(library)):
    raise ValueError(
      f"--leave_out {unknown[0]}: give some of {', '.join(library)}"
    )
  for number, (split, style) in enumerate(STYLES.items()):
    training = split == "train"
    known = {
      name: folds
      for name, folds in library.items()
      if not (training and name in left_out)
    }
    lines = []
    for i in tqdm.trange(
      args.train if training else args.test, desc=split, disable=None
    ):
      rng = np.random.default_rng([args.seed, number, i])
      samples, events = mixing.mix(known, style, rng)
      name = f"{split}/{i:05d}.flac"
      write(args.out / name, samples)
      asked = segments(events, training, rng)
      line = {
        "video": name,
        "duration": mixing.SECONDS,
        "split": split,
        "segments": asked,
        "absent": absent(events, known, rng) if training else [],
      }
      lines.append(json.dumps(line) + "\n")
    files.write_text(args.out / f"{split}.jsonl", "".join(lines))
  count = args.train + (len(STYLES) - 1) * args.test
  return f"{args.out}: {count} mixtures written"


def main(argv: Sequence[str] | None = None) -> int:
  """Builds the mixtures; returns the exit status."""
  parser = Parser(__doc__, "data_preprocessing.sounds")
  add = parser.add_argument
  add("--esc10", required=True, help="folder of CLASS/FOLD-NAME.ogg")
  add("--out", required=True, type=pathlib.Path, help="folder to write")
  add("--train", type=int, default=400, help="mixtures (400)")
  add("--test", type=int, default=40, help="of each split for tests (40)")
  add("--seed", type=int, default=0)
  add("--leave_out", default="", help="classes not trained on, by commas")
  args = parser.parse_args(argv)
  return command.ended(lambda: build(args), args.out)


if __name__ == "__main__":
  sys.exit(main())
