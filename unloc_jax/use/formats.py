"""Found moments as text: tables, JSON, CSV, subtitles."""

import csv
import dataclasses
import html
import io
import json
from collections.abc import Callable, Sequence

from unloc_jax.metrics.table import render
from unloc_jax.use.answers import Moment


def table(moments: Sequence[Moment]) -> str:
  """Aligned columns for people."""
  rows = [
    (m.video_id, m.query, clock(m.start), clock(m.end), f"{m.score:.3f}")
    for m in moments
  ]
  return render(("video", "query", "start", "end", "score"), rows)


def to_json(moments: Sequence[Moment]) -> str:
  """One JSON list of objects; times in seconds."""
  rows = [dataclasses.asdict(moment) for moment in moments]
  return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def jsonl(moments: Sequence[Moment]) -> str:
  """One JSON object per line; times in seconds."""
  rows = [dataclasses.asdict(moment) for moment in moments]
  return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def to_csv(moments: Sequence[Moment]) -> str:
  """Comma-separated values with a header; times in seconds."""
  file = io.StringIO()
  names = [field.name for field in dataclasses.fields(Moment)]
  writer = csv.DictWriter(file, names, lineterminator="\n")
  writer.writeheader()
  writer.writerows(dataclasses.asdict(moment) for moment in moments)
  return file.getvalue()


def srt(moments: Sequence[Moment]) -> str:
  """SubRip subtitles, in order of time."""
  blocks = [
    f"{number}\n{_times(moment, ',')}\n{_caption(moment)}\n"
    for number, moment in enumerate(_in_time(moments), start=1)
  ]
  return "\n".join(blocks)


def vtt(moments: Sequence[Moment]) -> str:
  """WebVTT subtitles, in order of time."""
  blocks = [
    f"{_times(moment, '.')}\n{html.escape(_caption(moment), quote=False)}\n"
    for moment in _in_time(moments)
  ]
  return "\n".join(["WEBVTT\n", *blocks])


# Formats with a place for the name of the video, and subtitles without.
FORMATS: dict[str, Callable[[Sequence[Moment]], str]] = {
  "table": table,
  "json": to_json,
  "jsonl": jsonl,
  "csv": to_csv,
  "srt": srt,
  "vtt": vtt,
}
SUBTITLES = ("srt", "vtt")
# What files of a format end in.
ENDINGS = {name: "txt" if name == "table" else name for name in FORMATS}


def clock(seconds: float) -> str:
  """Minutes and seconds, with hours where there are any: 1:02:03.45."""
  minutes, hundredths = divmod(round(seconds * 100), 6000)
  hours, minutes = divmod(minutes, 60)
  tail = f"{hundredths // 100:02}.{hundredths % 100:02}"
  return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def _in_time(moments: Sequence[Moment]) -> list[Moment]:
  return sorted(moments, key=lambda moment: (moment.start, moment.end))


def _caption(moment: Moment) -> str:
  # A blank line would end the subtitle, an arrow would begin another.
  text = " ".join(moment.query.split()).replace("-->", "->")
  return f"{text} ({moment.score:.2f})"


def _times(moment: Moment, point: str) -> str:
  ends = (_stamp(moment.start, point), _stamp(moment.end, point))
  return " --> ".join(ends)


def _stamp(seconds: float, point: str) -> str:
  minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
  whole, rest = divmod(milliseconds, 1000)
  return f"{minutes // 60:02}:{minutes % 60:02}:{whole:02}{point}{rest:03}"
