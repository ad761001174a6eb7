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
  detected,
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


def score_moments(
  args: argparse.Namespace, problems: Problems, metric: str
) -> tuple[Report, dict[str, Any]]:
  """Returns the report of moments, and what else its JSON holds."""
  queries, expected = pairing.read(
    args.predictions, args.ground_truth, problems
  )
  if metric == "qvhighlights":
    return qvhighlights.evaluate(queries, expected=expected), {}
  report = recall.evaluate(queries, expected=expected)
  return report, qvhighlights.exchange_layout(queries)


def score_detection(
  args: argparse.Namespace, problems: Problems, chosen: Benchmark
) -> Report:
  """Returns the report of detections."""
  found, truth, notes = detected.read(
    args.predictions,
    args.ground_truth,
    problems,
    chosen.subset if args.subset is None else args.subset,
    read_blocked(args.blocked),
  )
  return detection.evaluate(
    found,
    truth,
    thresholds=chosen.tiou or overlap.THRESHOLDS,
    resamples=args.resamples,
    seed=args.seed,
    notes=notes,
  )


def score_frames(args: argparse.Namespace, problems: Problems) -> Report:
  """Returns the report of frame-wise classes."""
  subset = "testing" if args.subset is None else args.subset
  videos, expected, names, notes = frames.read(
    args.predictions, args.ground_truth, problems, subset
  )
  return segmentation.evaluate(
    videos,
    expected=expected,
    classes=names,
    resamples=args.resamples,
    seed=args.seed,
    notes=notes,
  )


def read_blocked(path: str | None) -> set[str]:
  """Reads ids, one a line or as JSON's list, or keys of its object."""
  if path is None:
    return set()
  text = reading.read_text(path)
  if text.lstrip()[:1] in ("[", "{"):
    return {str(each) for each in reading.read_json(path, text).value}
  return set(text.split())


def score(args: argparse.Namespace) -> None:
  """Prints the figures, and writes them if asked to."""
  problems = Problems(args.lenient, _ADVICE)
  chosen = None
  # Of COIN, frames or detections are scored; the latter are one JSON object.
  of_frames = args.benchmark == "coin" and args.predictions[-5:] != ".json"
  if args.benchmark != _SEGMENTATION and not of_frames:
    chosen = benchmark(args.benchmark)
  by_video = chosen is not None and chosen.metric == "detection"
  if args.resamples is None:
    args.resamples = detection.RESAMPLES if by_video else analysis.RESAMPLES
  more: dict[str, Any] = {}
  if chosen is None:
    report = score_frames(args, problems)
  elif by_video:
    report = score_detection(args, problems, chosen)
  else:
    report, more = score_moments(args, problems, chosen.metric)
  notes = (*report.notes, *problems.skipped)
  report = dataclasses.replace(report, notes=notes)
  published = chosen.published if chosen else {}
  print(show.text(report, args.benchmark, published, args.resamples, args.seed))
  if not args.json:
    return
  value = report.metrics
  if chosen is None or chosen.metric != "qvhighlights":
    # QVHighlights' official file has nothing beside the official keys.
    value = {**show.to_json(report, args.resamples, args.seed), **more}
  try:
    files.write_text(args.json, json.dumps(value, indent=4))
  except OSError as error:
    raise AnnotationError(
      f"{args.json}: {error.strerror}; name a place that can be written"
    ) from error


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command.

  Returns:
    0, or 1 after one line on what is wrong.
  """
  try:
    score(arguments(argv))
  except AnnotationError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
