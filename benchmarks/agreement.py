"""Prediction beside evaluation, video by video.

  python -m benchmarks.agreement --workdir RUN --split test --videos FOLDER

Asks every video file of a split what evaluation asked, through an export of
the run, and prints by how much the moments differ from those that
`python -m unloc_jax.evaluate` wrote. Target: below 1e-4 seconds.
"""

import argparse
import collections
import json
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import tqdm

from unloc_jax import Localizer
from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.use.export_run import export_run

TARGET_SECONDS = 1e-4


def compare(
  localizer: Localizer, path: pathlib.Path, asked: Sequence[dict[str, Any]]
) -> tuple[float, float, int]:
  """Largest differences in seconds and in score, and moments compared.

  What evaluation found in the video has an entry for each query asked.
  """
  encoded = localizer.encode_video(path)
  answers = localizer.ask(encoded, [entry["query"] for entry in asked], 100)
  seconds = scores = 0.0
  count = 0
  for answer, entry in zip(answers, asked, strict=True):
    ours = np.array([(m.start, m.end, m.score) for m in answer.moments])
    theirs = np.array(entry["pred_relevant_windows"])
    if ours.shape != theirs.shape:
      return np.inf, np.inf, count
    error = np.abs(ours - theirs).max(0, initial=0.0)
    seconds = max(seconds, *error[:2].tolist())
    scores = max(scores, float(error[2]))
    count += len(ours)
  return seconds, scores, count


def main(argv: Sequence[str] | None = None) -> None:
  """Compares and prints; exits with 1 where the target is missed."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--workdir", required=True, help="an evaluated run")
  parser.add_argument("--split", default="test")
  parser.add_argument("--videos", required=True, type=pathlib.Path)
  flags = parser.parse_args(argv)
  results = pathlib.Path(flags.workdir) / "results" / flags.split
  asked = collections.defaultdict(list)
  for line in (results / "predictions.jsonl").read_text().splitlines():
    entry = json.loads(line)
    asked[entry["vid"]].append(entry)
  keep_programs()
  with tempfile.TemporaryDirectory() as folder:
    made = export_run(flags.workdir, f"{folder}/export")
    localizer = Localizer(made)
    rows = []
    for video, entries in tqdm.tqdm(asked.items(), unit="video", disable=None):
      path = next(flags.videos.glob(f"{video}.*"))
      rows.append((*compare(localizer, path, entries), video))
  worst = max(rows)
  print(
    f"{len(rows)} videos, {sum(map(len, asked.values()))} queries, "
    f"{sum(row[2] for row in rows)} moments: at most {worst[0]:.1e} s apart "
    f"({worst[3]}), scores {max(row[1] for row in rows):.1e}; target "
    f"{TARGET_SECONDS:g} s"
  )
  sys.exit(worst[0] >= TARGET_SECONDS)


if __name__ == "__main__":
  main()
