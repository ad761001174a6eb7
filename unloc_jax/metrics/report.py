"""What every evaluator returns."""

import dataclasses
from collections.abc import Mapping
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
class Confusion:
  """What was taken for what, of N frames or videos."""

  names: Mapping[int, str]  # Of classes, as far as known
  truth: np.ndarray  # int [N]
  predicted: np.ndarray  # int [N]


@dataclasses.dataclass(frozen=True)
class Report:
  """Figures of one submission, and what they are made of."""

  # The figures as JSON values, in the official layout where the benchmark has
  # one
  metrics: dict[str, Any]
  # The few figures to print and log, in percent
  headline: dict[str, float | None]
  # Per-example columns [N] in percent, named as in `headline`; their mean over
  # examples that are not NaN is the headline figure
  values: dict[str, np.ndarray]
  # Per-example columns [N] to break results down by; "length" (seconds),
  # "segments" (how many), and others
  tags: dict[str, np.ndarray]
  seen: int  # Examples that were scored
  expected: int  # Examples in the ground truth
  # One line each on what was missing, skipped or counted as a miss
  notes: tuple[str, ...] = ()
  # Further analysis, printable: title -> (headers, rows)
  tables: dict[str, Table] = dataclasses.field(default_factory=dict)
  # Confidence intervals which are not of a mean over examples, or known
  intervals: dict[str, Interval] = dataclasses.field(default_factory=dict)
  # Per-example score [N] of the best prediction, 0 without any
  confidence: np.ndarray | None = None
  confusion: Confusion | None = None  # Of a class per frame or video
