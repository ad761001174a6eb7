"""Charts of a run: what it logged, and what a report is made of."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util

from unloc_jax.metrics import analysis
from unloc_jax.metrics.report import Confusion, Report

_BINS = 8
_MOST_CLASSES = 25  # Of a confusion that can still be read.
# What is asked of an example to be right, by family of tasks; and recalls.
_RIGHT = ("R1@0.5", "MR-full-R1@0.5", "top1")
_RECALLS = ("R1@", "R5@", "MR-full-R1@", "found@")

Logged = Mapping[str, Mapping[int, float]]


def logged(workdir: os.PathLike[str] | str) -> dict[str, dict[int, float]]:
  """{name: {step: value}} of a run's event files; the latest counts.

  A record that a killed run left half-written ends its file.
  """
  everything = {event_accumulator.TENSORS: 0}
  events = event_accumulator.EventAccumulator(os.fspath(workdir), everything)
  events.Reload()
  values: dict[str, dict[int, float]] = {}
  for name in events.Tags()[event_accumulator.TENSORS]:
    # Files of one second are read by name, which is not when they were begun.
    for event in sorted(events.Tensors(name), key=lambda x: x.wall_time):
      value = tensor_util.make_ndarray(event.tensor_proto)
      if value.size == 1 and value.dtype.kind in "fiu":
        values.setdefault(name, {})[event.step] = float(value.item())
  return values


def _chart(width: float = 4.4, height: float = 3.0) -> tuple[Figure, Axes]:
  figure = Figure(figsize=(width, height), layout="tight")
  FigureCanvasAgg(figure)
  axis = figure.subplots()
  axis.spines[["top", "right"]].set_visible(False)
  return figure, axis


def training(values: Logged, splits: Iterable[str]) -> dict[str, Figure]:
  """Losses, rate and the figures of splits over steps, by title."""
  groups = {"loss": "loss/", "learning rate": "rate"}
  groups.update((f"figures of {name}, %", f"{name}/") for name in splits)
  drawn = {}
  for title, prefix in groups.items():
    names = sorted(name for name in values if name.startswith(prefix))
    if not names:
      continue
    drawn[title], axis = _chart()
    for name in names:
      label = name.removeprefix(prefix) or title
      steps, numbers = zip(*sorted(values[name].items()), strict=True)
      axis.plot(steps, numbers, ".-", linewidth=1, label=label)
    axis.set(xlabel="step", ylabel=title)
    axis.legend(fontsize=7, frameon=False)
  return drawn


def of_report(report: Report) -> dict[str, Figure]:
  """Charts of what a report holds, by title."""
  drawn = {}
  right = [name for name in _RIGHT if name in report.values]
  recalls = [name for name in report.values if name.startswith(_RECALLS)]
  if recalls and "length" in report.tags:
    drawn["Recall by duration of the moment"] = _durations(report, recalls)
  if right and report.confidence is not None and report.confidence.any():
    hits = report.values[right[0]] / 100.0
    chart = _calibration(report.confidence, hits, right[0])
    drawn["Calibration: score of the best against share right"] = chart
  if report.confusion is not None and report.confusion.truth.size:
    drawn["Confusion of classes"] = _confusion(report.confusion)
  return drawn


def _durations(report: Report, names: Iterable[str]) -> Figure:
  """Shares [N] in percent, in ranges of durations with as many examples."""
  lengths = report.tags["length"]
  cuts = np.quantile(lengths, np.linspace(0, 1, _BINS + 1)[1:-1])
  edges = np.unique([float(f"{cut:.2g}") for cut in cuts])
  which, order = analysis.bins(lengths, [*edges, np.inf])
  there = [name for name in order if (which == name).any()]
  figure, axis = _chart(5.4)
  for name in names:
    means = [analysis.mean(report.values[name][which == at]) for at in there]
    shares = [np.nan if mean is None else mean for mean in means]
    axis.plot(range(len(there)), shares, "o-", markersize=4, label=name)
  counts = [f"{at}\n{(which == at).sum()}" for at in there]
  axis.set_xticks(range(len(there)), counts, fontsize=7)
  axis.set(ylim=(0, 105), xlabel="duration, and examples", ylabel="recall, %")
  axis.legend(fontsize=7, frameon=False)
  return figure


def _calibration(scores: np.ndarray, hits: np.ndarray, right: str) -> Figure:
  """Scores and hits [N], in ranges of scores with as many examples."""
  known = np.flatnonzero(~np.isnan(hits))
  order = known[np.argsort(scores[known], kind="stable")]
  parts = [part for part in np.array_split(order, _BINS) if len(part)]
  said = np.array([scores[part].mean() for part in parts])
  true = np.array([hits[part].mean() for part in parts])
  sizes = np.array([len(part) for part in parts])
  gap = float(np.average(np.abs(said - true), weights=sizes))
  figure, axis = _chart()
  axis.plot((0, 1), (0, 1), color="grey", linewidth=0.8)
  axis.plot(said, true, "o-", markersize=4, label=f"mean gap {gap:.2f}")
  axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="score", ylabel=f"share {right}")
  axis.legend(fontsize=7, frameon=False)
  return figure


def _confusion(confusion: Confusion) -> Figure:
  """Shares of true classes; of many classes those most often confused."""
  pairs = np.stack([confusion.truth, confusion.predicted])
  classes, pairs = np.unique(pairs, return_inverse=True)
  counts = np.zeros((len(classes), len(classes)))
  np.add.at(counts, tuple(pairs.reshape(2, -1)), 1)
  wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
  kept = np.sort(np.argsort(-wrong, kind="stable")[:_MOST_CLASSES])
  shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
  names = [confusion.names.get(i, str(i)) for i in classes[kept].tolist()]
  figure, axis = _chart(3.4 + 0.22 * len(names), 2.6 + 0.22 * len(names))
  image = axis.imshow(shares[np.ix_(kept, kept)], vmin=0, vmax=1)
  figure.colorbar(image, ax=axis, shrink=0.7)
  ticks: dict[str, Any] = {"fontsize": 7, "parse_math": False}
  axis.set_xticks(range(len(names)), names, rotation=90, **ticks)
  axis.set_yticks(range(len(names)), names, **ticks)
  axis.set(xlabel="predicted", ylabel="true")
  return figure
