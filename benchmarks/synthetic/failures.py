"""Why moments of the embedded benchmark are missed, and forty of them drawn.

    python -m benchmarks.synthetic.failures --workdir runs/demo/seed_*/mr \
      [--record failures] [--draw failures.png]

A query is missed if its first answer overlaps the truth by less than 0.5. Then
that answer is another asked event of the video (tIoU of 0.5 or more), or a part
or too much of the right one (0.2), or elsewhere. Shares are of all queries.
"""

import argparse
import collections
import itertools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks import record
from benchmarks.synthetic import tables
from unloc_jax.annotations import moments, pairing
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics.overlap import intersection_over_union
from unloc_jax.results.drawing import figures
from unloc_jax.training.checkpoints import read_config

_CAUSES = ("another event", "part or too much", "elsewhere")


class Answer(NamedTuple):
  """The answers to one query."""

  title: str
  kind: str
  duration: float  # Seconds
  truth: np.ndarray  # [2] seconds
  others: np.ndarray  # [E, 2], the other events asked for in the video
  found: np.ndarray  # [D, 3] seconds and score, best first
  right: np.ndarray  # bool [D], overlaps the truth by half or more
  cause: str  # Why it is missed, "" where it is not

  @property
  def share(self) -> float:
    """Of the video that is asked for."""
    return float(np.ptp(self.truth)) / self.duration


def cause(first: np.ndarray, truth: np.ndarray, others: np.ndarray) -> str:
  """Why the first answer [2] misses the truth [2], "" where it does not."""
  overlap = intersection_over_union(first, truth)
  if overlap >= 0.5:
    return ""
  if np.any(intersection_over_union(first[None], others) >= 0.5):
    return _CAUSES[0]
  return _CAUSES[1] if overlap >= 0.2 else _CAUSES[2]


def answers(folder: pathlib.Path) -> list[Answer]:
  """Those of a split's results."""
  path = folder / "ground_truth.jsonl"
  queries, _ = pairing.read(folder / "predictions.jsonl", path, Problems())
  rows = {str(row.id): row for row in moments.read_rows(path, Problems())[0]}
  asked = collections.defaultdict(list)
  for query in queries:
    asked[rows[query.id].video].append(query)
  found = []
  for query in queries:
    row, truth = rows[query.id], query.truth[0]
    events = [q.truth[0] for q in asked[row.video] if q is not query]
    others = np.array(events).reshape(-1, 2)
    given = np.reshape(
      [] if query.predicted is None else query.predicted, (-1, 3)
    )
    why = cause(given[0, :2], truth, others) if len(given) else _CAUSES[2]
    right = intersection_over_union(given[:, :2], truth) >= 0.5
    told = str(row.text), query.tags.get("kinds", "all"), row.duration
    found.append(Answer(*told, truth, others, given, right, why))
  return found


def _groups(found: Sequence[Answer]) -> list[tables.Group]:
  """Which answers are of a kind and length."""
  kinds = np.array([answer.kind for answer in found])
  shares = np.array([answer.share for answer in found])
  return [
    (f"{kind}, {name}", (kinds == kind) & chosen)
    for kind in np.unique(kinds)
    for name, chosen in tables.by_length(shares)
  ]


def table(title: str, found: Sequence[Answer]) -> tables.Table:
  """Shares of causes by kind and length, in percent of the queries."""
  causes = np.array([answer.cause for answer in found])
  second = [bool(a.cause) and bool(a.right[1:2].any()) for a in found]
  columns = [causes != "", *(causes == each for each in _CAUSES)]
  groups = [("all", np.ones(len(found), bool)), *_groups(found)]
  headers = ["", "queries", "missed", *_CAUSES, "right one is second"]
  return tables.Table.of_groups(
    title, headers, groups, [*columns, np.array(second)]
  )


def draw(found: Sequence[Answer], number: int = 40) -> Figure:
  """Misses in turn from every kind and length: truth, others, five answers."""
  missed = [answer for answer in found if answer.cause]
  apart = [
    [missed[i] for i in np.flatnonzero(chosen)] for _, chosen in _groups(missed)
  ]
  turns = itertools.chain.from_iterable(itertools.zip_longest(*apart))
  drawn = [answer for answer in turns if answer is not None][:number]
  drawn.sort(key=lambda answer: (answer.kind, answer.share))
  figure = Figure(figsize=(20, 0.9 * max(len(drawn), 2)), layout="constrained")
  axes = figure.subplots(max((len(drawn) + 1) // 2, 1), 2, squeeze=False)
  for axis in axes.flat[len(drawn) :]:
    axis.set_axis_off()
  for axis, one in zip(axes.flat, drawn, strict=False):
    bars = [(-2, event, "lightgray") for event in one.others]
    bars += [(-1, one.truth, "tab:green")]
    bars += [(i, row, "tab:blue") for i, row in enumerate(one.found[:5])]
    for place, row, color in bars:
      strength = 0.2 + 0.8 * row[2] if len(row) > 2 else 1.0
      axis.barh(
        place, row[1] - row[0], left=row[0], color=color, alpha=strength
      )
    axis.set_xlim(0, one.duration)
    axis.invert_yaxis()
    axis.set_yticks([])
    axis.set_title(f"{one.kind}: {one.title} ({one.cause})", fontsize=8)
  return figure


def main(argv: Sequence[str] | None = None) -> None:
  """Prints the table of all runs, draws the first one's misses."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--workdir", required=True, nargs="+", type=pathlib.Path, help="run(s)")
  add("--split", default="val")
  add("--record", help="keep the table under this name")
  add("--draw", type=pathlib.Path, help="picture to write")
  flags = parser.parse_args(argv)
  found = [answers(run / "results" / flags.split) for run in flags.workdir]
  made = [table(flags.split, one) for one in found]
  print(tables.render(made))
  if flags.draw:
    figures.save(draw(found[0]), flags.draw)
  if flags.record:
    whole = tables.merged(made)
    record.write(
      flags.record,
      "python -m benchmarks.synthetic.failures --workdir runs/demo/seed_*/mr"
      f" --split {flags.split} --record {flags.record}",
      tables.MEASURES,
      whole.headers,
      whole.rows,
      seeds=[int(read_config(str(run)).seed) for run in flags.workdir],
    )


if __name__ == "__main__":
  main()
