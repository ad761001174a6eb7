"""Scores a submission file with the official numbers, offline.

  python -m unloc_jax.metrics --benchmark qvhighlights
      --predictions submission.jsonl
      --ground_truth highlight_val_release.jsonl [--json metrics.json]

Formats, by benchmark:
  qvhighlights, anet_captions, charades_sta, tacos: JSONL of {"qid", "query",
    "vid", "pred_relevant_windows": [[start, end, score], ...]} in seconds, for
    QVHighlights also "pred_saliency_scores"; the ground truth as JSONL with
    "relevant_windows", as ActivityNet Captions' JSON, or as Charades-STA's
    lines `VID start end##sentence`.
  anet_tal, thumos14: {"results": {VID: [{"label", "score", "segment"}]}} and
    {"database": {VID: {"subset", "annotations": [{"label", "segment"}]}}}.
  segmentation: .mat files or folders of them with P, Y and S; .npz; JSONL of
    {"vid", "labels", "scores"?, "frame_rate"?}; folders of text files.
  coin: the same frame-wise files against COIN.json, classes being its step
    ids and 0 the background; or detections as for anet_tal, as .json.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from unloc_jax import files
from unloc_jax.annotations import (
  BENCHMARKS,
  Benchmark,
  benchmark,
  detection_submissions,
  frames,
  pairing,
  reading,
)
from unloc_jax.annotations.reading import AnnotationError, Problems
from unloc_jax.metrics import (
  analysis,
  detection,
  overlap,
  qvhighlights,
  recall,
  segmentation,
  show,
)
from unloc_jax.metrics.report import Report

_SEGMENTATION = "segmentation"  # Of no benchmark: the files hold all there is.
_ADVICE = "correct the file, or pass --lenient to go on without"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
  """Parses the command line."""
  parser = argparse.ArgumentParser(
    prog="python -m unloc_jax.metrics",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  scored = [b for b in BENCHMARKS.values() if b.metric]
  names = [name for b in scored for name in (b.name, b.also) if name]
  add = parser.add_argument
  add("--benchmark", required=True, choices=[*names, _SEGMENTATION])
  add("--predictions", required=True, metavar="FILE")
  add("--ground_truth", required=True, metavar="FILE")
  add("--json", metavar="OUT", help="where to write the figures")
  add(
    "--lenient",
    action="store_true",
    help="skip what cannot be scored, and say what was skipped",
  )
  add("--subset", help="of the ground truth; the benchmark's own if unset")
  add("--blocked", metavar="FILE", help="ids of videos to leave out")
  add(
    "--resamples",
    type=int,
    help="bootstrap draws for confidence intervals, 0 for none "
    f"({detection.RESAMPLES} for detection, else {analysis.RESAMPLES})",
  )
  add("--seed", type=int, default=0, help="of the draws")
  return parser.parse_args(argv)


def read_blocked(path: str | None) -> set[str]:
  """Reads ids, one a line or as JSON's list, or keys of its object."""
  if path is None:
    return set()
  text = reading.read_text(path)
  if text.lstrip()[:1] in ("[", "{"):
    return {str(each) for each in reading.read_json(path, text).value}
  return set(text.split())


def scored(
  args: argparse.Namespace, problems: Problems, chosen: Benchmark | None
) -> tuple[Report, dict[str, Any]]:
  """Reads and scores; returns the report, and what else its JSON holds."""
  paths = args.predictions, args.ground_truth
  draws = {"resamples": args.resamples, "seed": args.seed}
  subset = chosen.subset if chosen else "testing"
  if args.subset is not None:
    subset = args.subset
  if chosen is None:
    videos, expected, names, notes = frames.read(*paths, problems, subset)
    return segmentation.evaluate(
      videos, expected=expected, classes=names, notes=notes, **draws
    ), {}
  if chosen.metric == "detection":
    blocked = read_blocked(args.blocked)
    found, truth, notes = detection_submissions.read(
      *paths, problems, subset, blocked
    )
    tiou = chosen.tiou or overlap.THRESHOLDS
    return detection.evaluate(
      found, truth, thresholds=tiou, notes=notes, **draws
    ), {}
  queries, expected = pairing.read(*paths, problems)
  if chosen.metric == "qvhighlights":
    return qvhighlights.evaluate(queries, expected=expected), {}
  report = recall.evaluate(queries, expected=expected)
  return report, qvhighlights.exchange_layout(queries)


def run(args: argparse.Namespace) -> None:
  """Prints the figures, and writes them if asked to."""
  problems = Problems(args.lenient, _ADVICE)
  chosen = None
  # Of COIN, frames or detections are scored; the latter are one JSON object.
  of_frames = args.benchmark == "coin" and args.predictions[-5:] != ".json"
  if args.benchmark != _SEGMENTATION and not of_frames:
    chosen = benchmark(args.benchmark)
  if args.resamples is None:
    by_video = chosen is not None and chosen.metric == "detection"
    args.resamples = detection.RESAMPLES if by_video else analysis.RESAMPLES
  report, more = scored(args, problems, chosen)
  notes = (*report.notes, *problems.skipped)
  report = dataclasses.replace(report, notes=notes)
  published = chosen.published if chosen else {}
  draws = args.resamples, args.seed
  print(show.text(report, args.benchmark, published, *draws))
  if not args.json:
    return
  value = report.metrics
  if chosen is None or chosen.metric != "qvhighlights":
    # QVHighlights' official file has nothing beside the official keys.
    value = {**show.to_json(report, *draws), **more}
  try:
    files.write_text(args.json, json.dumps(value, indent=4))
  except OSError as error:
    raise AnnotationError(
      f"{args.json}: {error.strerror}; name a place that can be written"
    ) from error


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command. Returns 0, or 1 after one line on what is wrong."""
  try:
    run(arguments(argv))
  except AnnotationError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
