"""Error analysis: results by kind of example, and confidence intervals."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unloc_jax.metrics.report import Interval, Report, Table

LENGTH_EDGES = (0.0, 10.0, 30.0, 60.0, 120.0, np.inf)
COUNT_EDGES = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, np.inf)
COUNTS = ("0", "1", "2", "3", "4-5", "6-10", "> 10")
RESAMPLES = 1000
COVERAGE = 0.95


def bins(
  values: np.ndarray, edges: Sequence[float], names: Sequence[str] = ()
) -> tuple[np.ndarray, list[str]]:
  """Sorts numbers [N] into half-open ranges (low, high], the last to infinity.

  Values at or below the first edge are a range. Names are by default what the
  ranges are, in seconds. Returns [N] names of ranges, and all names in order.
  """
  labels = list(names)
  if not labels:
    middle = itertools.pairwise(edges[:-1])
    labels = [f"<= {edges[0]:g} s", *(f"({a:g}, {b:g}] s" for a, b in middle)]
    labels.append(f"> {edges[-2]:g} s")
  which = np.searchsorted(np.asarray(edges), values, side="left")
  return np.array(labels, object)[np.minimum(which, len(labels) - 1)], labels


def mean(values: np.ndarray) -> float | None:
  """Mean of the values [N] that are not NaN; None when there are none."""
  kept = values[~np.isnan(values)]
  return float(np.mean(kept)) if kept.size else None


def breakdown(report: Report, by: str) -> Table:
  """Breaks a report down by one of its tags.

  Numbers are put into ranges of lengths where it is "length", of counts where
  it is "segments".
  """
  if by == "length":
    names, order = bins(report.tags[by], LENGTH_EDGES)
  elif by == "segments":
    names, order = bins(report.tags[by], COUNT_EDGES, COUNTS)
  else:
    names = np.array([str(each) for each in report.tags[by]], object)
    order = sorted(set(names))
  rows: list[list[Any]] = []
  for name in order:
    chosen = names == name
    if chosen.any():
      means = [mean(column[chosen]) for column in report.values.values()]
      rows.append([name, int(chosen.sum()), *means])
  return ["", "examples", *report.values], rows


def draws(examples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
  """Yields how often each example was drawn, [examples], once a resample."""
  rng = np.random.default_rng(seed)
  for _ in range(resamples):
    drawn = rng.integers(examples, size=examples)
    yield np.bincount(drawn, minlength=examples)


def interval(value: float, samples: np.ndarray) -> Interval:
  """Percentile interval of resampled figures [R], of those not NaN.

  Widened to the figure itself where the samples all but miss it, as those of
  mAP may: classes are rarer in a draw.
  """
  tail = 100 * (1 - COVERAGE) / 2
  samples = samples[~np.isnan(samples)]
  low = high = value
  if samples.size:
    low, high = np.percentile(samples, [tail, 100 - tail]).tolist()
  return Interval(value, min(low, value), max(high, value))


def bootstrap(
  columns: Mapping[str, np.ndarray],
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> dict[str, Interval]:
  """Confidence intervals of the means of per-example columns [N].

  Examples are drawn with replacement, the same ones for all columns. NaN is no
  value; a column without any gets no interval.
  """
  columns = {
    name: column for name, column in columns.items() if mean(column) is not None
  }
  if not columns:
    return {}
  table = np.stack(list(columns.values()), axis=1).astype(float)
  there = ~np.isnan(table)
  table = np.where(there, table, 0.0)
  means = np.empty((resamples, table.shape[1]))
  for index, drawn in enumerate(draws(len(table), resamples, seed)):
    total = drawn @ there  # Whole numbers.
    # A draw may hold no example that has a value.
    some = np.where(total > 0, total, np.nan)
    # Row by row: a product of matrices adds in an order of the processor's.
    means[index] = (drawn[:, None] * table).sum(axis=0) / some
  return {
    name: interval(float(mean(columns[name]) or 0.0), means[:, index])
    for index, name in enumerate(columns)
  }


def intervals(report: Report, resamples: int, seed: int) -> dict[str, Interval]:
  """Confidence intervals of the headline, {} without draws."""
  if not resamples:
    return {}
  known = report.intervals
  columns = {k: v for k, v in report.values.items() if k not in known}
  found = {**bootstrap(columns, resamples, seed), **known}
  return {name: found[name] for name in report.headline if name in found}
