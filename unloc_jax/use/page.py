"""The timeline of the page: HTML whose parts make the player jump."""

import html
from collections.abc import Sequence

import numpy as np

from unloc_jax.use.answers import Answer
from unloc_jax.use.formats import clock

PLAYER = "player"
_WIDTH, _HEIGHT = 1000, 70
_BUTTON = (
  "border:1px solid #e76f51;border-radius:6px;padding:2px 8px;"
  "font-size:0.8rem;font-weight:400"
)
_AXIS = "display:flex;justify-content:space-between;font-size:0.7rem"


def timeline(answers: Sequence[Answer], duration: float) -> str:
  """Relevance curves and moments, a block per query; all text escaped."""
  return "\n".join(_block(answer, duration) for answer in answers)


def _seek(seconds: float) -> str:
  """What a click does: the player jumps there and plays."""
  return (
    f"const v=document.querySelector('#{PLAYER} video');"
    f"if(v){{v.currentTime={seconds:.3f};v.play()}}"
  )


def _block(answer: Answer, duration: float) -> str:
  bars = "".join(
    f'<rect x="{_x(m.start, duration):.1f}" y="0" height="{_HEIGHT}" '
    f'width="{max(2.0, _x(m.end - m.start, duration)):.1f}" '
    f'fill="#e76f51" opacity="{0.55 if rank == 0 else 0.2}" '
    f'style="cursor:pointer" onclick="{_seek(m.start)}">'
    f"<title>{clock(m.start)} - {clock(m.end)}</title></rect>"
    for rank, m in enumerate(answer.moments)
  )
  buttons = " ".join(
    f'<button type="button" class="moment" onclick="{_seek(m.start)}" '
    f'style="{_BUTTON}">'
    f"{clock(m.start)} - {clock(m.end)} ({m.score:.2f})</button>"
    for m in answer.moments
  )
  return (
    '<div class="answer" style="margin-bottom:14px">'
    f"<b>{html.escape(answer.query)}</b>"
    f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" '
    f'style="width:100%;height:{_HEIGHT}px;display:block;background:#f4f4f4">'
    f"{bars}{_curve(answer, duration)}</svg>"
    f'<div style="{_AXIS}"><span>0</span><span>{clock(duration)}</span></div>'
    f"{buttons}</div>"
  )


def _curve(answer: Answer, duration: float) -> str:
  top = max(float(answer.relevance.max(initial=0.0)), 1e-3)
  heights = _HEIGHT * (1 - answer.relevance / top)
  points = " ".join(
    f"{_x(t, duration):.1f},{y:.1f}"
    for t, y in zip(np.asarray(answer.times), heights, strict=True)
  )
  return (
    f'<polyline points="{points}" fill="none" stroke="#264653" '
    'stroke-width="2" pointer-events="none" '
    'vector-effect="non-scaling-stroke"/>'
  )


def _x(seconds: float, duration: float) -> float:
  return _WIDTH * float(seconds) / max(duration, 1e-6)
