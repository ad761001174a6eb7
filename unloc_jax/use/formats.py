"""Found moments as text: tables, JSON, CSV, subtitles; times in seconds."""

import csv
import dataclasses
import html
import io
import json
from collections.abc import Callable, Sequence

from unloc_jax.metrics.table import render
from unloc_jax.use.answers import Moment
from unloc_jax.use.console import one_line

# What readers of lines may take for their end, beside what JSON escapes.
_LINE_ENDS = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"})


def _table(moments: Sequence[Moment]) -> str:
  rows = []
  for m in moments:
    names = one_line(m.video_id), one_line(m.query)
    rows.append((*names, clock(m.start), clock(m.end), f"{m.score:.3f}"))
  return render(("video", "query", "start", "end", "score"), rows)


def _json(moments: Sequence[Moment]) -> str:
  rows = list(map(vars, moments))
  return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _jsonl(moments: Sequence[Moment]) -> str:
  rows = (json.dumps(vars(m), ensure_ascii=False) for m in moments)
  return "".join(row.translate(_LINE_ENDS) + "\n" for row in rows)


def _csv(moments: Sequence[Moment]) -> str:
  names = [field.name for field in dataclasses.fields(Moment)]
  return "".join(map(_csv_row, [names, *map(dataclasses.astuple, moments)]))


def _csv_row(values: Sequence[object]) -> str:
  file = io.StringIO()
  # A "\r" is quoted only where lines end in it.
  csv.writer(file, lineterminator="\r\n").writerow(values)
  return file.getvalue().removesuffix("\r\n") + "\n"


def _srt(moments: Sequence[Moment]) -> str:
  shown = enumerate(_subtitles(moments, ","), start=1)
  return "\n".join(f"{n}\n{times}\n{text}\n" for n, (times, text) in shown)


def _vtt(moments: Sequence[Moment]) -> str:
  shown = _subtitles(moments, ".")
  blocks = [f"{times}\n{html.escape(text, False)}\n" for times, text in shown]
  return "\n".join(["WEBVTT\n", *blocks])


FORMATS: dict[str, Callable[[Sequence[Moment]], str]] = {
  "table": _table,
  "json": _json,
  "jsonl": _jsonl,
  "csv": _csv,
  "srt": _srt,
  "vtt": _vtt,
}
# In order of time, and with no place for the name of the video.
SUBTITLES = ("srt", "vtt")


def clock(seconds: float) -> str:
  """Minutes and seconds, with hours where there are any: 1:02:03.45."""
  minutes, hundredths = divmod(round(seconds * 100), 6000)
  hours, minutes = divmod(minutes, 60)
  tail = f"{hundredths // 100:02}.{hundredths % 100:02}"
  return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def _subtitles(moments: Sequence[Moment], point: str) -> list[tuple[str, str]]:
  """When and what each subtitle is."""
  made = []
  for m in sorted(moments, key=lambda moment: (moment.start, moment.end)):
    # A blank line would end the subtitle, an arrow would begin another.
    text = one_line(m.query).replace("-->", "->")
    times = f"{_stamp(m.start, point)} --> {_stamp(m.end, point)}"
    made.append((times, f"{text} ({m.score:.2f})"))
  return made


def _stamp(seconds: float, point: str) -> str:
  minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
  whole, rest = divmod(milliseconds, 1000)
  return f"{minutes // 60:02}:{minutes % 60:02}:{whole:02}{point}{rest:03}"
