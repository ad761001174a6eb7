"""Sound localization on mixtures of ESC-10, beside YAMNet with thresholds.

    python -m benchmarks.sounds --workdir runs/sounds --export exports/sounds \
      --raw RAW [--record sounds]

Moments: what evaluation of the run found of the splits `noise` and `water`, by
name and by sentence, and by class. Detection: the export is asked for the ten
names on RAW/detect; YAMNet's own scores of them, at the same positions, are cut
at a threshold: every stretch above it is a detection.
"""

import argparse
import collections
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from benchmarks import record
from benchmarks.synthetic.tables import Table, merged, render
from unloc_jax import Localizer
from unloc_jax.annotations import pairing
from unloc_jax.annotations.arrays import FoundSegments, TrueSegments
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import detection, recall, segmentation
from unloc_jax.training.checkpoints import read_config
from unloc_jax.use import exports
from unloc_jax.use.encoded import EncodedVideo

_THRESHOLDS = (0.3, 0.5, 0.7)
# YAMNet's classes that mean one of ESC-10's.
_YAMNET = {
  "dog bark": ("Dog", "Bark", "Bow-wow", "Yip"),
  "rain": ("Rain", "Rain on surface", "Raindrop"),
  "sea waves": ("Ocean", "Waves, surf"),
  "baby cry": ("Baby cry, infant cry", "Crying, sobbing"),
  "clock tick": ("Tick", "Tick-tock", "Clock"),
  "person sneeze": ("Sneeze",),
  "helicopter": ("Helicopter",),
  "chainsaw": ("Chainsaw",),
  "rooster": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
  "fire crackling": ("Fire", "Crackle"),
}
_CUTS = (0.03, 0.05, 0.1, 0.2, 0.4)

# What the figures of given weights depend on.
_MEASURES = (
  *(f"unloc_jax/{room}" for room in ("task", "models", "data", "metrics")),
  "unloc_jax/use",
  "data_preprocessing/sounds",
  "configs/sounds.py",
)

# Label, start, end, score of each
Answers = list[tuple[str, float, float, float]]


def moments(folder: pathlib.Path) -> Table:
  """R1 of one split: all queries, by kind of query, by class."""
  given = folder / "predictions.jsonl", folder / "ground_truth.jsonl"
  queries, _ = pairing.read(*given, Problems())
  report = recall.evaluate(queries)
  hits = [report.values[f"R1@{m:g}"] > 0 for m in _THRESHOLDS]
  groups = [("all queries", np.ones(len(queries), bool))]
  for tag in ("kinds", "classes", "kind", "class"):
    column = np.array([query.tags.get(tag, "") for query in queries])
    groups += [(str(x), column == x) for x in np.unique(column) if x]
  headers = ["", "queries", *(f"R1@{m:g}" for m in _THRESHOLDS)]
  return Table.of_groups(folder.name, headers, groups, hits)


def cut_scores(
  scores: np.ndarray, names: Sequence[str], cut: float, step: float
) -> Answers:
  """Stretches of scores [T, 521] above a threshold, scored by their mean.

  Pauses of up to a second are bridged.
  """
  found = []
  for label, wanted in _YAMNET.items():
    said = scores[:, [names.index(name) for name in wanted]].max(axis=1)
    loud = ndimage.binary_closing(said > cut, np.ones(round(1 / step) + 1))
    is_loud, places = segmentation.runs(loud)
    found += [
      (label, (a - 0.5) * step, (b - 0.5) * step, float(said[a:b].mean()))
      for a, b in places[is_loud].tolist()
    ]
  return found


def _asked(localizer: Localizer, video: EncodedVideo) -> Answers:
  found = localizer.detect(video, list(_YAMNET))
  return [(m.query, m.start, m.end, m.score) for m in found]


def detections(folder: str, raw: pathlib.Path, most: int) -> Table:
  """MAP of the model and of thresholds on up to `most` mixtures."""
  export = exports.read(folder)
  config = export.config.copy_and_resolve_references().unlock()
  config.decode.class_agnostic = True
  localizer = Localizer(export)
  agnostic = Localizer(dataclasses.replace(export, config=config.lock()))
  with np.load(config.text.sentences) as file:
    names = list(map(str, file["names"]))
  rows: list[tuple[str, str, float, float]] = []
  # System -> video -> what it found
  found: dict[str, dict[str, Answers]] = collections.defaultdict(dict)
  for line in (raw / "detect.jsonl").read_text().splitlines()[:most]:
    video = json.loads(line)
    path = video["video"]
    rows += [
      (path, s["class"], s["start"], s["end"])
      for s in video["segments"]
      if s["kind"] == "name"
    ]
    encoded = localizer.encode_video(raw / path)
    scores = encoded.tokens[0, :, config.model.width :][:, : len(names)]
    found["model"][path] = _asked(localizer, encoded)
    found["model, NMS over all names"][path] = _asked(agnostic, encoded)
    for cut in _CUTS:
      answers = cut_scores(scores, names, cut, float(encoded.steps[0]))
      found[f"YAMNet above {cut:g}"][path] = answers
  truth = TrueSegments.of({row[0] for row in rows}, rows)
  headers = ["", "segments", *(f"mAP@{m:g}" for m in _THRESHOLDS)]
  table = [[name, len(rows), *_precision(truth, found[name])] for name in found]
  return Table(f"detect, {len(truth.videos)} mixtures", headers, table)


def _precision(
  truth: TrueSegments, found: Mapping[str, Answers]
) -> list[float]:
  """MAP at each of the thresholds, percent."""
  number = {label: i for i, label in enumerate(truth.labels)}
  tables = {
    video: np.array(
      [(number.get(label, -1), *moment) for label, *moment in answers]
    ).reshape(-1, 4)
    for video, answers in found.items()
  }
  detected = FoundSegments.of(truth, tables)
  report = detection.evaluate(
    detected, truth, thresholds=_THRESHOLDS, resamples=0
  )
  return [report.headline[f"mAP@{m:g}"] for m in _THRESHOLDS]


def keep(name: str, found: Sequence[Table], flags: argparse.Namespace) -> None:
  """Writes tables of the same columns, one below the other."""
  if flags.workdir:
    seed = read_config(str(flags.workdir)).seed
  else:
    seed = exports.read(flags.export).config.seed
  given = [("workdir", flags.workdir), ("export", flags.export)]
  options = "".join(f" --{k} {v}" for k, v in given if v)
  raw = " --raw RAW" if flags.raw else ""
  record.write(
    name,
    f"python -m benchmarks.sounds{options}{raw} --record {flags.record}",
    _MEASURES,
    found[0].headers,
    [
      [f"{one.title.partition(',')[0]}: {row[0]}", *row[1:]]
      for one in found
      for row in merged([one]).rows
    ],
    seeds=[int(seed)],
  )


def main(argv: Sequence[str] | None = None) -> None:
  """Prints the tables."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--workdir", type=pathlib.Path, help="run whose moments are shown")
  add("--export", help="model that detects")
  add("--raw", type=pathlib.Path, help="folder of mixtures")
  add("--most", type=int, default=30, help="mixtures detected in (30)")
  add("--record", help="keep NAME_moments and NAME_detection")
  flags = parser.parse_args(argv)
  found = {}
  if flags.workdir:
    results = flags.workdir / "results"
    found["moments"] = [moments(results / part) for part in ("noise", "water")]
  if flags.export and flags.raw:
    found["detection"] = [detections(flags.export, flags.raw, flags.most)]
  for name, made in found.items():
    for one in made:
      print(render([one]), end="\n\n")
    if flags.record:
      keep(f"{flags.record}_{name}", made, flags)


if __name__ == "__main__":
  main()
