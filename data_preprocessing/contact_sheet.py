"""An HTML page of frames with their segments drawn on one time axis."""

import base64
import html
from collections.abc import Mapping, Sequence

from unloc_jax.data.sources import Video

# A video and (seconds, JPEG) of some of its frames; none for features.
Shown = tuple[Video, list[tuple[float, bytes]]]

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


def page(title: str, shown: Mapping[str, Sequence[Shown]], summary: str) -> str:
  """Returns a page of split -> the videos to draw, below a summary."""
  name = html.escape(title)
  parts = [
    f'<!doctype html><html lang="en"><meta charset="utf-8">'
    f"<title>{name}</title><style>{_STYLE}</style><h1>{name}</h1>"
    f"<pre>{html.escape(summary)}</pre>\n"
  ]
  for split, videos in shown.items():
    parts.append(f"<h2>{html.escape(split)}</h2>\n")
    parts += [_video(*one) for one in videos]
  return "".join([*parts, "</html>\n"])


def _video(video: Video, strip: Sequence[tuple[float, bytes]]) -> str:
  """Returns a strip of frames over a bar for each query."""
  note = f"<span class=note>{video.duration:.2f} s</span>"
  parts = [f"<h3>{html.escape(video.video_id)} {note}</h3>\n"]
  images = "".join(
    f'<img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"'
    f' alt="" title="{seconds:.2f} s">'
    for seconds, jpeg in strip
  )
  if images:
    parts.append(f'<div class="strip">{images}</div>\n')
  for query, text in enumerate(video.texts):
    spans = video.segments[video.segment_query == query].tolist()
    marks = "".join(
      f'<i style="left:{100 * s / video.duration:.3f}%;'
      f"width:{100 * (e - s) / video.duration:.3f}%;"
      f'background:{_COLOURS[query % len(_COLOURS)]}"'
      f' title="{s:.2f} - {e:.2f} s"></i>'
      for s, e in spans
    )
    times = ", ".join(f"{s:.2f}-{e:.2f} s" for s, e in spans) or "no segment"
    parts.append(
      f'<div>{html.escape(text)} <span class="note">{times}</span></div>'
      f'<div class="axis">{marks}</div>\n'
    )
  return "".join(parts)
