"""An HTML page of frames with their segments drawn on one time axis."""

import base64
import dataclasses
import html
from collections.abc import Iterator, Mapping, Sequence

from unloc_jax.data.sources import Video

_COLOURS = ("#1b7f79", "#c8553d", "#3d5a98", "#b08900", "#7a3e9d", "#4f7f1b")
_STYLE = """
body { font: 14px/1.4 sans-serif; margin: 2em; color: #222; }
pre { background: #f4f4f2; padding: 1em; overflow: auto; }
.strip, .axis { display: flex; width: 100%; }
.strip img { width: 0; flex: 1 1 0; min-width: 0; object-fit: cover; }
.axis { position: relative; height: 1.2em; background: #eee; margin: 2px 0; }
.axis i { position: absolute; top: 0; bottom: 0; min-width: 2px; }
.note { color: #666; }
"""


@dataclasses.dataclass(frozen=True)
class Shown:
  """A video to draw.

  Attributes:
    video: Its queries and segments.
    strip: (seconds, JPEG) of some frames, ascending; [] for features.
  """

  video: Video
  strip: list[tuple[float, bytes]]


def page(
  title: str, shown: Mapping[str, Sequence[Shown]], summary: str
) -> Iterator[str]:
  """Yields the page in pieces.

  Args:
    title: Name of the dataset.
    shown: Split -> the examples to draw.
    summary: Counts, as text.
  """
  name = html.escape(title)
  yield (
    f'<!doctype html><html lang="en"><meta charset="utf-8">'
    f"<title>{name}</title><style>{_STYLE}</style><h1>{name}</h1>"
    f"<pre>{html.escape(summary)}</pre>\n"
  )
  for split, examples in shown.items():
    yield f"<h2>{html.escape(split)}</h2>\n"
    for example in examples:
      yield from _video(example)
  yield "</html>\n"


def _video(shown: Shown) -> Iterator[str]:
  """Yields one video: a strip of frames over a bar for each query."""
  video = shown.video
  video_id = html.escape(video.video_id)
  note = f"<span class=note>{video.duration:.2f} s</span>"
  yield f"<h3>{video_id} {note}</h3>\n"
  if shown.strip:
    yield '<div class="strip">'
    for seconds, jpeg in shown.strip:
      data = base64.b64encode(jpeg).decode()
      yield (
        f'<img src="data:image/jpeg;base64,{data}" alt=""'
        f' title="{seconds:.2f} s">'
      )
    yield "</div>\n"
  for query, text in enumerate(video.texts):
    spans = video.segments[video.segment_query == query].tolist()
    yield _bar(text, spans, video.duration, _COLOURS[query % len(_COLOURS)])


def _bar(
  text: str, spans: Sequence[Sequence[float]], duration: float, colour: str
) -> str:
  """Returns a query and the part of the time axis it is about."""
  marks = "".join(
    f'<i style="left:{100 * s / duration:.3f}%;'
    f'width:{100 * (e - s) / duration:.3f}%;background:{colour}"'
    f' title="{s:.2f} - {e:.2f} s"></i>'
    for s, e in spans
  )
  times = ", ".join(f"{s:.2f}-{e:.2f} s" for s, e in spans) or "no segment"
  return (
    f'<div>{html.escape(text)} <span class="note">{times}</span></div>'
    f'<div class="axis">{marks}</div>\n'
  )
