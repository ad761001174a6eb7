"""An HTML page of frames with their segments drawn on one time axis."""

import base64
import html
from collections.abc import Iterator, Mapping, Sequence

from data_preprocessing.tfrecord_reading import Stored

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


def page(
  title: str, shown: Mapping[str, Sequence[Stored]], summary: str, frames: int
) -> Iterator[str]:
  """Yields the page in pieces.

  Args:
    title: Name of the dataset.
    shown: Split -> the examples to draw.
    summary: Counts, as text.
    frames: Frames of each example.
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
      yield from _video(example, frames)
  yield "</html>\n"


def _video(example: Stored, frames: int) -> Iterator[str]:
  """Yields one video: a strip of frames over a bar for each query."""
  duration = example.doubles("duration")[0]
  video_id = html.escape(example.text("video_id")[0])
  yield f"<h3>{video_id} <span class=note>{duration:.2f} s</span></h3>\n"
  if "frames" in example.large:
    yield '<div class="strip">'
    yield from _strip(example, frames, duration)
    yield "</div>\n"
  starts = example.doubles("segments/start")
  ends = example.doubles("segments/end")
  owners = example.values["segments/query"]
  for query, text in enumerate(example.text("queries/text")):
    spans = [
      (s, e) for s, e, q in zip(starts, ends, owners, strict=True) if q == query
    ]
    yield _bar(text, spans, duration, _COLOURS[query % len(_COLOURS)])


def _strip(example: Stored, frames: int, duration: float) -> Iterator[str]:
  """Yields images: each shows the middle of its share of the time axis."""
  count = example.values["frame_count"][0]
  rate = example.doubles("frame_rate")[0]
  for i in range(frames):
    seconds = duration * (i + 0.5) / frames
    index = min(count - 1, int(seconds * rate))
    jpeg = base64.b64encode(example.frames([index])[0]).decode()
    yield (
      f'<img src="data:image/jpeg;base64,{jpeg}" alt=""'
      f' title="{index / rate:.2f} s">'
    )


def _bar(
  text: str, spans: Sequence[tuple[float, float]], duration: float, colour: str
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
