"""What every evaluator returns."""

import dataclasses
from typing import Any, TypeAlias

import numpy as np

Table: TypeAlias = tuple[list[str], list[list[Any]]]  # Headers, rows.


@dataclasses.dataclass(frozen=True)
class Interval:
  """A figure and its bootstrap confidence interval, in the figure's unit."""

  value: float
  low: float
  high: float


@dataclasses.dataclass(frozen=True)
class Report:
  """Figures of one submission, and what they are made of.

  Attributes:
    metrics: The figures as JSON values, in the official layout where the
      benchmark has one.
    headline: The few figures to print and log, in percent.
    values: Per-example columns [N] in percent, named as in `headline`; their
      mean over examples that are not NaN is the headline figure.
    tags: Per-example columns [N] to break results down by; "length"
      (seconds), "segments" (how many), and others.
    seen: Examples that were scored.
    expected: Examples in the ground truth.
    notes: One line each on what was missing, skipped or counted as a miss.
    tables: Further analysis, printable: title -> (headers, rows).
    intervals: Confidence intervals which are not of a mean over examples.
  """

  metrics: dict[str, Any]
  headline: dict[str, float | None]
  values: dict[str, np.ndarray]
  tags: dict[str, np.ndarray]
  seen: int
  expected: int
  notes: tuple[str, ...] = ()
  tables: dict[str, Table] = dataclasses.field(default_factory=dict)
  intervals: dict[str, Interval] = dataclasses.field(default_factory=dict)
