"""Figures of one video: what was asked, what is true, what was found."""

import io
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unloc_jax import files

_TRUTH, _FOUND, _CURVE = "#2a9d8f", "#e76f51", "#264653"
THUMBNAILS = 12


class Event(NamedTuple):
  """A class from start to end, in seconds; the truth has score 1."""

  label: str
  start: float
  end: float
  score: float = 1.0


class Seen(NamedTuple):
  """What the model saw of a video of `duration` seconds."""

  duration: float  # Seconds
  times: np.ndarray  # [T], seconds of the sampled frames
  frames: np.ndarray | None  # uint8 [THUMBNAILS, H, W, 3], evenly spread


def _figure(
  title: str, heights: Sequence[float], seen: Seen
) -> tuple[Figure, list[Axes]]:
  """A figure with axes of these heights in inches below a strip of frames."""
  strip = [] if seen.frames is None else [0.9]
  heights = [*strip, *heights]
  figure = Figure(figsize=(10, sum(heights) + 0.7), layout="tight")
  FigureCanvasAgg(figure)
  axes = figure.subplots(
    len(heights), 1, gridspec_kw={"height_ratios": heights}, squeeze=False
  )[:, 0]
  # Captions are no formulas, whatever dollars they are about; without math at
  # all, what wraps them would still parse it.
  shown = title.replace("$", r"\$")
  axes[0].set_title(shown, loc="left", fontsize=11, wrap=True)
  if seen.frames is not None:  # A row over the time they were sampled from.
    last = float(seen.times[-1]) or seen.duration
    pixels = np.concatenate(list(seen.frames), axis=1)
    axes[0].imshow(pixels, aspect="auto", extent=(0, last, 0, 1))
    axes[0].set_xlim(0, seen.duration)
    axes[0].set_axis_off()
  below = list(axes[len(strip) :])
  for axis in below:
    axis.spines[["top", "right"]].set_visible(False)
  return figure, below


def rendered(figure: Figure, kind: str = "png", dpi: float = 100.0) -> bytes:
  """A picture as a file's content; `kind` as of `savefig`."""
  content = io.BytesIO()
  with warnings.catch_warnings():
    # Letters that the font lacks are drawn as boxes; that is seen.
    warnings.filterwarnings("ignore", "Glyph")
    figure.savefig(content, format=kind, dpi=dpi)
  return content.getvalue()


def save(figure: Figure, path: pathlib.Path) -> None:
  """Writes a picture of the kind that its name ends in."""
  files.write_bytes(path, rendered(figure, path.suffix[1:].lower()))


def timeline(
  title: str,
  seen: Seen,
  truth: np.ndarray | None,
  segments: np.ndarray,
  scores: np.ndarray,
  curve: np.ndarray,
) -> Figure:
  """Draws one query of one video.

  Args:
    title: What was asked.
    seen: The video.
    truth: [S, 2], true segments in seconds; None where nobody knows.
    segments: [K, 2], found segments in seconds, best first; all are drawn.
    scores: [K].
    curve: [T], relevance of the sampled frames, 0 to 1.
  """
  figure, (rows, below) = _figure(title, [0.9, 1.7], seen)
  names = [] if truth is None else ["true"]
  for start, end in () if truth is None else truth:
    rows.barh(0, end - start, left=start, color=_TRUTH, height=0.7)
  for rank, (start, end) in enumerate(segments):
    bar = rows.barh(len(names), end - start, left=start, height=0.7)
    bar.patches[0].set(color=_FOUND, alpha=0.45 if rank else 1.0)
    said = f" {scores[rank]:.2f}"
    rows.text(end, len(names), said, va="center", fontsize=8)
    names.append(f"#{rank + 1}")
  rows.set_yticks(range(len(names)), names)
  rows.invert_yaxis()
  rows.set_xlim(0, seen.duration)
  rows.set_xticklabels([])
  below.fill_between(seen.times, curve, color=_CURVE, alpha=0.25, linewidth=0)
  below.plot(seen.times, curve, color=_CURVE, linewidth=1.2)
  below.set_ylim(0, max(1e-3, 1.05 * float(curve.max(initial=0.0))))
  _label(below, seen)
  return figure


def _label(axis: Axes, seen: Seen) -> None:
  """Relevance over the seconds of the video."""
  axis.set(ylabel="relevance", xlabel="seconds", xlim=(0, seen.duration))


def events(
  title: str,
  seen: Seen,
  truth: Sequence[Event],
  found: Sequence[Event],
  curves: Mapping[str, np.ndarray],
) -> Figure:
  """Draws the classes of one video, a row each: true above, found below.

  Found events are the paler, the less sure. Of the curves, relevance [T] from 0
  to 1 by class, only those of events are drawn.
  """
  names = sorted({event.label for event in (*truth, *found)}) or ["nothing"]
  figure, (rows, below) = _figure(title, [0.35 + 0.3 * len(names), 1.4], seen)
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
  rows.set_xlim(0, seen.duration)
  for name in names:
    if name in curves:
      below.plot(seen.times, curves[name], linewidth=1.2, label=name)
  if below.lines:
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": 5}
    below.legend(fontsize=7, frameon=False, **place)
  below.set_ylim(bottom=0)
  _label(below, seen)
  return figure


def ranking(
  title: str,
  seen: Seen,
  names: Sequence[str],
  scores: np.ndarray,
  true: Sequence[bool],
) -> Figure:
  """Draws the best classes of a video, scores [N] in 0..1, best first."""
  figure, (bars,) = _figure(title, [0.5 + 0.3 * len(names)], seen)
  colours = [_TRUTH if right else _FOUND for right in true]
  bars.barh(range(len(names)), scores, color=colours)
  bars.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
  bars.invert_yaxis()
  bars.set(xlim=(0, 1), xlabel="relevance")
  return figure
