"""Found moments as text: tables, JSON, CSV, subtitles."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Sequence

from unloc_jax.metrics.table import render
from unloc_jax.use.answers import Moment

_COLUMNS = ("video_id", "query", "start", "end", "score")


def table(moments: Sequence[Moment]) -> str:
  """Aligned columns for people."""
  rows = [
    (
      moment.video_id,
      moment.query,
      clock(moment.start),
      clock(moment.end),
      f"{moment.score:.3f}",
    )
    for moment in moments
  ]
  return render(("video", "query", "start", "end", "score"), rows)


def to_json(moments: Sequence[Moment]) -> str:
  """One JSON list of objects; times in seconds."""
  rows = [dataclasses.asdict(moment) for moment in moments]
  return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def jsonl(moments: Sequence[Moment]) -> str:
  """One JSON object per line; times in seconds."""
  return "".join(
    json.dumps(dataclasses.asdict(moment), ensure_ascii=False) + "\n"
    for moment in moments
  )


def to_csv(moments: Sequence[Moment]) -> str:
  """Comma-separated values with a header; times in seconds."""
  file = io.StringIO()
  writer = csv.writer(file, lineterminator="\n")
  writer.writerow(_COLUMNS)
  for moment in moments:
    writer.writerow([getattr(moment, name) for name in _COLUMNS])
  return file.getvalue()


def srt(moments: Sequence[Moment]) -> str:
  """SubRip subtitles, in order of time."""
  blocks = [
    f"{number}\n{_stamp(moment.start, ',')} --> {_stamp(moment.end, ',')}\n"
    f"{_caption(moment)}\n"
    for number, moment in enumerate(_in_time(moments), start=1)
  ]
  return "\n".join(blocks)


def vtt(moments: Sequence[Moment]) -> str:
  """WebVTT subtitles, in order of time."""
  blocks = [
    f"{_stamp(moment.start, '.')} --> {_stamp(moment.end, '.')}\n"
    f"{_escaped(_caption(moment))}\n"
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
  hundredths = round(seconds * 100)
  minutes, rest = divmod(hundredths, 6000)
  hours, minutes = divmod(minutes, 60)
  tail = f"{rest // 100:02}.{rest % 100:02}"
  return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def _in_time(moments: Sequence[Moment]) -> list[Moment]:
  return sorted(moments, key=lambda moment: (moment.start, moment.end))


def _caption(moment: Moment) -> str:
  # A blank line would end the subtitle, an arrow would begin another.
  text = " ".join(moment.query.split()).replace("-->", "->")
  return f"{text} ({moment.score:.2f})"


def _escaped(text: str) -> str:
  for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
    text = text.replace(sign, entity)
  return text


def _stamp(seconds: float, point: str) -> str:
  milliseconds = round(seconds * 1000)
  seconds_, milliseconds = divmod(milliseconds, 1000)
  minutes, seconds_ = divmod(seconds_, 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours:02}:{minutes:02}:{seconds_:02}{point}{milliseconds:03}"
