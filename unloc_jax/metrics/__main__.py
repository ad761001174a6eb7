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
    ids and 0 the background; or detections as for anet_tal.
"""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from unloc_jax.metrics import (
  analysis,
  detection,
  files,
  frames,
  moments,
  pairing,
  qvhighlights,
  recall,
  segmentation,
  show,
)
from unloc_jax.metrics.problems import MetricsError, Problems
from unloc_jax.metrics.report import Report

MOMENTS = ("anet_captions", "charades_sta", "tacos")
DETECTION = {
  "anet_tal": (detection.ACTIVITYNET, "validation"),
  "thumos14": (detection.THUMOS14, "test"),
  "coin": (detection.ACTIVITYNET, "testing"),
}
BENCHMARKS = (
  "qvhighlights",
  "anet_captions",
  "charades_sta",
  "anet_tal",
  "thumos14",
  "coin",
  "tacos",
  "segmentation",
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
  """Parses the command line."""
  parser = argparse.ArgumentParser(
    prog="python -m unloc_jax.metrics",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--benchmark", required=True, choices=BENCHMARKS)
  parser.add_argument("--predictions", required=True, metavar="FILE")
  parser.add_argument("--ground_truth", required=True, metavar="FILE")
  parser.add_argument(
    "--json", metavar="OUT", help="where to write the figures"
  )
  parser.add_argument(
    "--lenient",
    action="store_true",
    help="skip what cannot be scored, and say what was skipped",
  )
  parser.add_argument(
    "--subset", help="subset of the ground truth; the benchmark's own if unset"
  )
  parser.add_argument(
    "--blocked", metavar="FILE", help="ids of videos to leave out, one a line"
  )
  parser.add_argument(
    "--resamples",
    type=int,
    help="bootstrap draws for confidence intervals, 0 for none "
    f"({detection.RESAMPLES} for detection, else {analysis.RESAMPLES})",
  )
  parser.add_argument("--seed", type=int, default=0, help="of the draws")
  return parser.parse_args(argv)


def score_moments(args: argparse.Namespace) -> tuple[Report, dict[str, Any]]:
  """Returns the report and the JSON of a moment-retrieval benchmark."""
  problems = Problems(args.lenient)
  predictions = moments.read_predictions(args.predictions, problems)
  truth = moments.read_ground_truth(args.ground_truth, problems)
  kind = qvhighlights if args.benchmark == "qvhighlights" else recall
  report = kind.evaluate(predictions, truth, lenient=args.lenient)
  report = _noted(report, problems)
  if args.benchmark == "qvhighlights":
    # Nothing beside the official keys.
    return report, report.metrics
  quiet = Problems(lenient=True)
  paired = pairing.pair(predictions, truth, quiet)
  layout = qvhighlights.exchange_layout(paired.queries)
  return report, {**show.to_json(report, args.resamples, args.seed), **layout}


def score_detection(args: argparse.Namespace) -> tuple[Report, dict[str, Any]]:
  """Returns the report and the JSON of a detection benchmark."""
  thresholds, subset = DETECTION[args.benchmark]
  report = detection.evaluate(
    files.read_json(args.predictions),
    files.read_json(args.ground_truth),
    thresholds=thresholds,
    subset=subset if args.subset is None else args.subset,
    blocked=read_blocked(args.blocked),
    lenient=args.lenient,
    resamples=args.resamples,
    seed=args.seed,
  )
  return report, show.to_json(report, args.resamples, args.seed)


def score_frames(args: argparse.Namespace) -> tuple[Report, dict[str, Any]]:
  """Returns the report and the JSON of a segmentation benchmark."""
  problems = Problems(args.lenient)
  subset = "testing" if args.subset is None else args.subset
  videos, expected, names, notes = frames.read(
    args.predictions, args.ground_truth, problems, subset
  )
  report = segmentation.evaluate(
    videos,
    expected=expected,
    classes=names,
    lenient=args.lenient,
    resamples=args.resamples,
    seed=args.seed,
    notes=notes,
  )
  report = _noted(report, problems)
  return report, show.to_json(report, args.resamples, args.seed)


def _noted(report: Report, problems: Problems) -> Report:
  """Adds what was skipped in reading."""
  notes = (*report.notes, *problems.skipped)
  return dataclasses.replace(report, notes=notes)


def read_blocked(path: str | None) -> list[str]:
  """Reads ids, one a line or as JSON's list, or keys of its object."""
  if path is None:
    return []
  text = files.read_text(path)
  if text.lstrip()[:1] in ("[", "{"):
    return [str(each) for each in files.read_json(path).value]
  return text.split()


def is_detections(path: str) -> bool:
  """Whether a submission for COIN holds segments rather than frames."""
  if pathlib.Path(path).suffix != ".json":
    return False
  value = files.read_json(path).value
  return isinstance(value, dict)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command.

  Returns:
    0, or 1 after one line on what is wrong.
  """
  args = arguments(argv)
  frame_wise = args.benchmark == "segmentation"
  try:
    if args.benchmark == "coin":
      frame_wise = not is_detections(args.predictions)
    by_video = args.benchmark in DETECTION and not frame_wise
    if args.resamples is None:
      args.resamples = detection.RESAMPLES if by_video else analysis.RESAMPLES
    if frame_wise:
      report, value = score_frames(args)
    elif by_video:
      report, value = score_detection(args)
    else:
      report, value = score_moments(args)
    print(show.text(report, args.benchmark, args.resamples, args.seed))
    if args.json:
      files.write_json(args.json, value)
  except MetricsError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
