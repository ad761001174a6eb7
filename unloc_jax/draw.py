"""Timelines: what was asked, what is true, what was found, and how sure."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unloc_jax.data.pipeline import Split
from unloc_jax.detections import Detections, seconds_per_position
from unloc_jax.state import Parts
from unloc_jax.submissions import caption_rows

_TRUTH, _FOUND, _CURVE = "#2a9d8f", "#e76f51", "#264653"
_THUMBNAILS = 12
_SHOWN_DETECTIONS = 3


def timeline(
  title: str,
  duration: float,
  truth: np.ndarray,
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
    truth: [S, 2], true segments in seconds.
    segments: [K, 2], found segments in seconds, best first.
    scores: [K].
    times: [T], seconds of the sampled frames.
    curve: [T], their relevance, 0 to 1.
    frames: uint8 [T, H, W, 3] or None.
  """
  figure = Figure(figsize=(10, 4.2 if frames is not None else 3.2))
  FigureCanvasAgg(figure)
  heights = [1.1, 1, 2] if frames is not None else [1, 2]
  axes = figure.subplots(
    len(heights), 1, gridspec_kw={"height_ratios": heights}
  )
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
  # Captions are not formulas, whatever dollars they are about.
  axes[0].set_title(title, loc="left", fontsize=11, wrap=True, parse_math=False)
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
  for start, end in truth:
    axis.barh(0, end - start, left=start, color=_TRUTH, height=0.7)
  shown = segments[:_SHOWN_DETECTIONS]
  for row, (start, end) in enumerate(shown, start=1):
    axis.barh(
      row,
      end - start,
      left=start,
      color=_FOUND,
      height=0.7,
      alpha=1.0 if row == 1 else 0.45,
    )
    axis.text(end, row, f" {scores[row - 1]:.2f}", va="center", fontsize=8)
  axis.set_yticks(
    range(len(shown) + 1), ["true", *(f"#{i + 1}" for i in range(len(shown)))]
  )
  axis.invert_yaxis()


class Gallery:
  """Draws the first captions of evenly spread videos of a split."""

  def __init__(self, parts: Parts, split: Split):
    self._data = parts.config.data
    self._table = split.table
    count = min(parts.config.eval.num_drawn, len(split.table))
    spread = np.linspace(0, len(split.table) - 1, count).round().astype(int)
    self._wanted = set(spread.tolist())
    self._figures: dict[str, Figure] = {}
    self._draws_captions = parts.task.texts == "captions"

  def add(self, batch: Mapping[str, np.ndarray], found: Detections) -> None:
    """Draws those of the batch that are wanted."""
    if not self._draws_captions or found.segments is None:
      return
    for b, q, index, query in caption_rows(batch):
      if index in self._wanted:
        self._wanted.discard(index)
        self._draw(batch, found, b, q, index, query)

  def _draw(self, batch, found, b, q, index, query) -> None:
    video = self._table[index]
    keep = found.scores[b, q] > 0
    shown = np.flatnonzero(batch["frame_mask"][b])
    row = {key: batch[key][b] for key in ("frame_count", "frame_rate")}
    seconds = float(seconds_per_position(self._data, row))
    frames = batch["frames"][b][shown] if "frames" in batch else None
    self._figures[f"{video.video_id}_{query}"] = timeline(
      f"“{video.texts[query]}”  —  {video.video_id}",
      video.duration,
      self._table.segments_of(index, query),
      found.segments[b, q][keep],
      found.scores[b, q][keep],
      shown * seconds,
      found.curve[b, q][shown],
      frames,
    )

  def write(self, folder: pathlib.Path) -> Sequence[pathlib.Path]:
    """Writes one PNG per timeline; returns their paths."""
    paths = []
    for name, figure in self._figures.items():
      safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
      path = folder / f"timeline_{safe}.png"
      figure.savefig(path, dpi=110)
      paths.append(path)
    return paths
