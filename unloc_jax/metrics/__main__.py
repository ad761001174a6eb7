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
  kinetics400, kinetics600, kinetics700, classification: scores as JSON {VID:
    [score of each class] or {class: score}}, or as CSV `video,CLASS,...`; the
    ground truth as JSON {VID: label or [labels]}, CSV `video,label`, or
    Kinetics' own. The predictions.json of a run is both.

Intervals are percentiles (2.5 to 97.5) of the figure over examples, or videos,
drawn again with replacement, those without a segment or outside of the ground
truth too; widened to the figure where they would miss it.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from unloc_jax import files
from unloc_jax.annotations import (
  BENCHMARKS,
  benchmark,
  class_submissions,
  detection_submissions,
  frames,
  pairing,
  reading,
)
from unloc_jax.annotations.reading import AnnotationError, Problems, fault
from unloc_jax.config.parser import Parser
from unloc_jax.config.parser import show as show_lines
from unloc_jax.metrics import (
  analysis,
  classification,
  detection,
  overlap,
  qvhighlights,
  recall,
  segmentation,
  show,
)
from unloc_jax.metrics.report import Report

_OWN = ("segmentation", "classification")  # The files hold all there is.
_ADVICE = "correct the file, or pass --lenient to go on without"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
  """Parses the command line."""
  parser = Parser(__doc__, "unloc_jax.metrics")
  scored = [b for b in BENCHMARKS.values() if b.metric]
  names = [name for b in scored for name in (b.name, b.also) if name]
  add = parser.add_argument
  add("--benchmark", required=True, choices=[*names, *_OWN])
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
  args: argparse.Namespace,
  metric: str,
  tiou: tuple[float, ...],
  problems: Problems,
) -> Report:
  """Reads and scores by a metric; `tiou` are thresholds of detection."""
  paths = args.predictions, args.ground_truth
  draws = {"resamples": args.resamples, "seed": args.seed}
  if metric == "segmentation":
    videos, expected, names, notes = frames.read(*paths, problems, args.subset)
    return segmentation.evaluate(
      videos, expected=expected, classes=names, notes=notes, **draws
    )
  if metric == "classification":
    scores, labels, classes, notes = class_submissions.read(*paths, problems)
    return classification.evaluate(scores, labels, classes, notes=notes)
  if metric == "detection":
    found, truth, notes = detection_submissions.read(
      *paths, problems, args.subset, read_blocked(args.blocked)
    )
    return detection.evaluate(
      found, truth, thresholds=tiou, notes=notes, **draws
    )
  queries, expected = pairing.read(*paths, problems)
  score = qvhighlights if metric == "qvhighlights" else recall
  return score.evaluate(queries, expected=expected)


def run(args: argparse.Namespace) -> None:
  """Writes the figures if asked to, and prints them."""
  problems = Problems(args.lenient, _ADVICE)
  for flag in ("resamples", "seed"):
    if (getattr(args, flag) or 0) < 0:
      where = f"--{flag} {getattr(args, flag)}"
      raise fault(where, "below 0", "give 0 or more")
  given = args.predictions, args.ground_truth
  if args.json and files.is_one_of(args.json, given):
    raise fault(f"--json {args.json}", "is read", "name another file")
  # Of COIN, frames or detections are scored; the latter are one JSON object.
  in_one = args.predictions.lower().endswith(".json")
  if args.benchmark == "coin" and not in_one:
    args.benchmark = "segmentation"
  chosen = None if args.benchmark in _OWN else benchmark(args.benchmark)
  metric = chosen.metric if chosen else args.benchmark
  if args.subset is None:
    args.subset = chosen.subset if chosen else "testing"
  if args.resamples is None:
    by_video = metric == "detection"
    args.resamples = detection.RESAMPLES if by_video else analysis.RESAMPLES
  tiou = (chosen and chosen.tiou) or overlap.THRESHOLDS
  report = scored(args, metric, tiou, problems)
  report = dataclasses.replace(
    report,
    notes=(*report.notes, *problems.skipped),
    intervals=analysis.intervals(report, args.resamples, args.seed),
  )
  if args.json:
    # QVHighlights' official file has nothing beside the official keys.
    official = metric == "qvhighlights"
    value = report.metrics if official else show.to_json(report)
    try:
      files.write_text(args.json, json.dumps(value, indent=4))
    except OSError as error:
      do = "name a place that can be written"
      raise fault(args.json, error.strerror or str(error), do) from error
  published = chosen.published if chosen else {}
  show_lines(show.text(report, args.benchmark, published))


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command. Returns 0, or 1 after one line on what is wrong."""
  try:
    run(arguments(argv))
  except AnnotationError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  except BrokenPipeError:
    pass  # Whoever read has enough.
  except OSError as error:
    print(f"error: {error.strerror or error}", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
