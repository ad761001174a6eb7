"""Timelines of an answer: found moments above, relevance below."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unloc_jax.use.answers import Answer

_FOUND, _CURVE = "#e76f51", "#264653"
_SHOWN = 5


def draw(answer: Answer, duration: float, title: str = "") -> Figure:
  """Draws what was found for one query of one video.

  Args:
    answer: Its moments and relevance.
    duration: Of the video, seconds.
    title: Said beside the query.
  """
  figure = Figure(figsize=(10, 3.4), dpi=110)
  FigureCanvasAgg(figure)
  top, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
  shown = answer.moments[:_SHOWN]
  for row, moment in enumerate(shown):
    top.barh(
      row,
      moment.end - moment.start,
      left=moment.start,
      color=_FOUND,
      alpha=1.0 if row == 0 else 0.45,
      height=0.7,
    )
    top.text(moment.end, row, f" {moment.score:.2f}", va="center", fontsize=8)
  top.set_yticks(range(len(shown)), [f"#{i + 1}" for i in range(len(shown))])
  top.invert_yaxis()
  below.fill_between(
    answer.times, answer.relevance, color=_CURVE, alpha=0.25, linewidth=0
  )
  below.plot(answer.times, answer.relevance, color=_CURVE, linewidth=1.2)
  below.set_xlim(0, duration)
  below.set_ylim(bottom=0)
  below.set_ylabel("relevance")
  below.set_xlabel("seconds")
  for axis in (top, below):
    axis.spines[["top", "right"]].set_visible(False)
  name = f"“{answer.query}”" + (f"  —  {title}" if title else "")
  # Sentences are not formulas, whatever dollars they are about.
  top.set_title(name, loc="left", fontsize=11, wrap=True, parse_math=False)
  figure.tight_layout()
  return figure
