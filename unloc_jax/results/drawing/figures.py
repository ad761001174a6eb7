"""Figures of one video: what was asked, what is true, what was found."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_TRUTH, _FOUND, _CURVE = "#2a9d8f", "#e76f51", "#264653"
_THUMBNAILS = 12


class Event(NamedTuple):
  """A class from start to end, in seconds; the truth has score 1."""

  label: str
  start: float
  end: float
  score: float = 1.0


def _figure(
  title: str, heights: Sequence[float], frames: np.ndarray | None
) -> tuple[Figure, list[Axes]]:
  """A figure with axes of these heights in inches below a strip of frames."""
  if frames is not None:
    heights = [0.9, *heights]
  figure = Figure(figsize=(10, sum(heights) + 0.7))
  FigureCanvasAgg(figure)
  axes = figure.subplots(
    len(heights), 1, gridspec_kw={"height_ratios": heights}, squeeze=False
  )[:, 0]
  # Captions are not formulas, whatever dollars they are about.
  axes[0].set_title(title, loc="left", fontsize=11, wrap=True, parse_math=False)
  return figure, list(axes)


def timeline(
  title: str,
  duration: float,
  truth: np.ndarray | None,
  segments: np.ndarray,
  scores: np.ndarray,
  times: np.ndarray,
  curve: np.ndarray,
  frames: np.ndarray | None = None,
) -> Figure:
  """Draws one query of one video.

  Args:
    title: What was asked.
    duration: Seconds.
    truth: [S, 2], true segments in seconds; None where nobody knows.
    segments: [K, 2], found segments in seconds, best first; all are drawn.
    scores: [K].
    times: [T], seconds of the sampled frames.
    curve: [T], their relevance, 0 to 1.
    frames: uint8 [T, H, W, 3] or None.
  """
  figure, axes = _figure(title, [0.9, 1.7], frames)
  if frames is not None:
    _draw_strip(axes[0], frames, float(times[-1]) or duration)
    axes[0].set_xlim(0, duration)
  _draw_segments(axes[-2], truth, segments, scores)
  axes[-1].fill_between(times, curve, color=_CURVE, alpha=0.25, linewidth=0)
  axes[-1].plot(times, curve, color=_CURVE, linewidth=1.2)
  axes[-1].set_ylabel("relevance")
  axes[-1].set_xlabel("seconds")
  axes[-1].set_ylim(0, max(1e-3, 1.05 * float(curve.max(initial=0.0))))
  for axis in axes[-2:]:
    axis.set_xlim(0, duration)
    axis.spines[["top", "right"]].set_visible(False)
  axes[-2].set_xticklabels([])
  figure.tight_layout()
  return figure


def _draw_strip(axis, frames, seconds) -> None:
  """A row of frames over the time they were sampled from."""
  places = np.linspace(0, len(frames) - 1, _THUMBNAILS).round().astype(int)
  strip = np.concatenate(list(frames[places]), axis=1)
  axis.imshow(strip, aspect="auto", extent=(0, seconds, 0, 1))
  axis.set_axis_off()


def _draw_segments(axis, truth, segments, scores) -> None:
  """True segments above, the best found ones below."""
  names = []
  if truth is not None:
    names = ["true"]
    for start, end in truth:
      axis.barh(0, end - start, left=start, color=_TRUTH, height=0.7)
  for rank, (start, end) in enumerate(segments):
    axis.barh(
      len(names),
      end - start,
      left=start,
      color=_FOUND,
      height=0.7,
      alpha=0.45 if rank else 1.0,
    )
    said = f" {scores[rank]:.2f}"
    axis.text(end, len(names), said, va="center", fontsize=8)
    names.append(f"#{rank + 1}")
  axis.set_yticks(range(len(names)), names)
  axis.invert_yaxis()


def events(
  title: str,
  duration: float,
  truth: Sequence[Event],
  found: Sequence[Event],
  times: np.ndarray,
  curves: Mapping[str, np.ndarray],
  frames: np.ndarray | None = None,
) -> Figure:
  """Draws the classes of one video, a row each: true above, found below.

  Args:
    title: Of the figure.
    duration: Seconds.
    truth: True events.
    found: Found events; the paler, the less sure.
    times: [T], seconds of the sampled frames.
    curves: Relevance [T], 0 to 1, of every class that has a row.
    frames: uint8 [T, H, W, 3] or None.
  """
  names = sorted({event.label for event in (*truth, *found)}) or ["nothing"]
  figure, axes = _figure(title, [0.35 + 0.3 * len(names), 1.4], frames)
  if frames is not None:
    _draw_strip(axes[0], frames, float(times[-1]) or duration)
    axes[0].set_xlim(0, duration)
  rows, below = axes[-2:]
  for shift, colour, some in ((-0.2, _TRUTH, truth), (0.2, _FOUND, found)):
    for event in some:
      rows.barh(
        names.index(event.label) + shift,
        event.end - event.start,
        left=event.start,
        height=0.36,
        color=colour,
        alpha=0.25 + 0.75 * min(1.0, event.score),
      )
  rows.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
  rows.set_ylim(len(names) - 0.5, -0.5)
  for name in names:
    if name in curves:
      below.plot(times, curves[name], linewidth=1.2, label=name)
  if below.lines:
    below.legend(
      fontsize=7,
      loc="lower right",
      bbox_to_anchor=(1.0, 1.0),
      ncols=5,
      frameon=False,
    )
  below.set_ylabel("relevance")
  below.set_xlabel("seconds")
  below.set_ylim(bottom=0)
  for axis in (rows, below):
    axis.set_xlim(0, duration)
    axis.spines[["top", "right"]].set_visible(False)
  figure.tight_layout()
  return figure


def ranking(
  title: str,
  names: Sequence[str],
  scores: np.ndarray,
  true: Sequence[bool],
  frames: np.ndarray | None = None,
) -> Figure:
  """Draws the best classes of a video.

  Args:
    title: Of the figure.
    names: Classes, best first.
    scores: [N], 0 to 1.
    true: Which of them are right.
    frames: uint8 [T, H, W, 3] or None.
  """
  figure, axes = _figure(title, [0.5 + 0.3 * len(names)], frames)
  if frames is not None:
    _draw_strip(axes[0], frames, 1.0)
  colours = [_TRUTH if right else _FOUND for right in true]
  axes[-1].barh(range(len(names)), scores, color=colours)
  axes[-1].set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
  axes[-1].invert_yaxis()
  axes[-1].set_xlim(0, 1)
  axes[-1].set_xlabel("relevance")
  axes[-1].spines[["top", "right"]].set_visible(False)
  figure.tight_layout()
  return figure
