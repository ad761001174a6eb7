"""What became of every video of a build: report.json, report.md.

Nothing in a report depends on when, where or by how many workers it was built.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath

from data_preprocessing.examples import NO_QUERY, Outcome
from data_preprocessing.settings import BuildError
from unloc_jax import files
from unloc_jax.annotations import (
  AnnotationSet,
  Benchmark,
  Official,
  SplitNotes,
)
from unloc_jax.data.manifest import dumps
from unloc_jax.media.errors import Reason

# A file and its annotation may disagree this much without a word: seconds, and
# share of the annotated length.
_AGREE_SECONDS = 1.0
_AGREE_SHARE = 0.02
# With less than this of what is published, a file is another one.
_VARIANT_SHARE = 0.9
_BARE = "moments can neither be learned from it nor scored"
# Lines of a list that report.md shows; report.json has all.
_SHOWN = 50


def build_report(
  benchmark: Benchmark,
  annotations: AnnotationSet,
  outcomes: Mapping[str, Sequence[Outcome]],
) -> dict[str, Any]:
  """Returns the report of a build, of split -> what became of its videos."""
  notes = []
  found, official = len(annotations.classes), benchmark.class_count
  if official not in (None, found):
    notes.append(
      f"{found} classes, officially {official}: the annotation files are a"
      " part of the benchmark, or a variant"
    )
  return {
    "format": 1,
    "dataset": benchmark.name,
    "title": benchmark.title,
    "classes": found,
    "notes": notes,
    "splits": {
      split: _split_report(
        benchmark.official.get(split), annotations.notes(split), of_split
      )
      for split, of_split in sorted(outcomes.items())
    },
  }


def _split_report(
  official: Official | None, notes: SplitNotes, outcomes: Sequence[Outcome]
) -> dict[str, Any]:
  fates: dict[str, list[Outcome]] = collections.defaultdict(list)
  for o in outcomes:
    whole = o.reason in ("", Reason.MISSING, NO_QUERY)
    # Faults of a video are taken together.
    fates[str(o.reason) if whole else "broken"].append(o)
  built, broken = fates[""], fates["broken"]
  counted = ("videos", "queries", "segments")
  counts = {key: getattr(notes, key) for key in counted}
  return {
    "official": official and dataclasses.asdict(official),
    "annotated": counts,
    "differs": _differences(official, counts),
    "found": len(built) + len(broken),
    "built": {
      "videos": len(built),
      "queries": sum(o.queries for o in built),
      "segments": sum(o.segments for o in built),
    },
    "missing": list(map(_line, fates[str(Reason.MISSING)])),
    "broken": list(map(_line, broken)),
    "without_queries": [o.video_id for o in fates[NO_QUERY]],
    "damaged": [
      {"video_id": o.video_id, "seconds": round(o.damaged, 3)}
      for o in built
      if o.damaged
    ],
    "remarks": [
      {"video_id": o.video_id, "remark": o.remark} for o in built if o.remark
    ],
    "duration_differs": [
      {
        "video_id": o.video_id,
        "annotated": o.annotated,
        "decoded": round(o.duration, 3),
      }
      for o in built
      if o.annotated is not None
      and abs(o.annotated - o.duration)
      > max(_AGREE_SECONDS, _AGREE_SHARE * o.annotated)
    ],
    "segments_clipped": {
      "at_annotated_end": notes.clipped,
      "at_decoded_end": sum(o.clipped for o in built),
    },
    "segments_dropped": {
      **dict(sorted(notes.dropped.items())),
      "after the decoded end": sum(o.dropped for o in built),
    },
    "notes": notes.notes,
  }


def _line(outcome: Outcome) -> dict[str, str]:
  return {
    "video_id": outcome.video_id,
    "file": outcome.name,
    "reason": outcome.reason,
    "detail": outcome.detail,
  }


def _differences(
  official: Official | None, counts: Mapping[str, int]
) -> list[str]:
  """Returns a line for each count that is not the official one."""
  if official is None:
    return []
  lines = []
  for key in ("videos", "queries"):
    expected = getattr(official, key)
    if expected is None or expected[0] <= counts[key] <= expected[1]:
      continue
    why = official.note
    if not why or counts[key] < _VARIANT_SHARE * expected[0]:
      why = "the annotation files are a part, or a variant"
    lines.append(f"{counts[key]:,} {key}, officially {_span(expected)}: {why}")
  return lines


def left_out(report: Mapping[str, Any]) -> dict[str, int]:
  """Returns reason -> annotated videos missing or broken for it."""
  return collections.Counter(
    o["reason"]
    for part in report["splits"].values()
    for o in (*part["missing"], *part["broken"])
  )


def without_segments(report: Mapping[str, Any]) -> list[str]:
  """Returns the splits of which something is built, but not one segment."""
  return [
    split
    for split, part in report["splits"].items()
    if part["built"]["videos"] and not part["built"]["segments"]
  ]


def most_left_out(text: str, total: int) -> float:
  """Returns how many of `total` videos may be: `12`, `5%`, or "" for any.

  Raises BuildError where the text makes no sense.
  """
  if not text:
    return math.inf
  try:
    most = float(text[:-1]) * total / 100 if text[-1] == "%" else int(text)
  except ValueError:
    most = -1
  if not 0 <= most <= (total if text[-1] == "%" else math.inf):
    raise BuildError(f"--max-missing {text}: give a number, or e.g. 5%")
  return int(most)


def write(folder: epath.Path, report: Mapping[str, Any]) -> None:
  """Writes report.json and report.md."""
  for name, text in ("json", dumps(report)), ("md", markdown(report)):
    # Of a file's name that is not UTF-8, JSON's own escapes remain.
    content = text.encode(errors="backslashreplace")
    files.write_bytes(folder / f"report.{name}", content)


def _span(expected: Sequence[int] | None) -> str:
  """Returns e.g. `12,404-12,408`; `-` where nothing is published."""
  return "-".join(f"{n:,}" for n in sorted(set(expected or ()))) or "-"


def _published(key: str) -> Callable[[Any], str]:
  return lambda part: _span((part["official"] or {}).get(key))


# Heading -> cell of a split's row.
_COLUMNS: tuple[tuple[str, Callable[[Any], int | str]], ...] = (
  ("official videos", _published("videos")),
  ("annotated", lambda part: part["annotated"]["videos"]),
  ("found", lambda part: part["found"]),
  ("missing", lambda part: len(part["missing"])),
  ("broken", lambda part: len(part["broken"])),
  ("built", lambda part: part["built"]["videos"]),
  ("official queries", _published("queries")),
  ("annotated", lambda part: part["annotated"]["queries"]),
  ("built", lambda part: part["built"]["queries"]),
  ("segments annotated", lambda part: part["annotated"]["segments"]),
  ("built", lambda part: part["built"]["segments"]),
)


def _fault(line: Mapping[str, str]) -> str:
  detail = f", {line['detail']}" if line["detail"] else ""
  return f"{line['video_id']} ({line['file']}): {line['reason']}{detail}"


# Title, key and line of what is listed of a split.
_LISTS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
  ("Broken", "broken", _fault),
  ("Missing", "missing", "{video_id}".format_map),
  ("Slightly damaged, kept", "damaged", "{video_id}: {seconds} s".format_map),
  ("Remarks", "remarks", "{video_id}: {remark}".format_map),
  (
    "Duration differs from the annotation",
    "duration_differs",
    "{video_id}: annotated {annotated} s, decoded {decoded} s".format_map,
  ),
  ("Notes", "notes", str),
)


def markdown(report: Mapping[str, Any]) -> str:
  """Returns the report as a person reads it."""
  lines = [f"# {report['title']} (`{report['dataset']}`)", ""]
  for split in without_segments(report):
    lines += [f"**No video of split {split} has a segment: {_BARE}.**", ""]
  if report["classes"]:
    lines += [f"{report['classes']} classes.", ""]
  lines += [*report["notes"], ""] if report["notes"] else []
  headings = ("split", *(heading for heading, _ in _COLUMNS))
  lines += [f"| {' | '.join(headings)} |", "|---|" + "---:|" * len(_COLUMNS)]
  for split, part in report["splits"].items():
    cells = (cell(part) for _, cell in _COLUMNS)
    shown = (f"{c:,}" if isinstance(c, int) else c for c in cells)
    lines.append(f"| {' | '.join((split, *shown))} |")
  for split, part in report["splits"].items():
    lines += ["", f"## {split}", "", *_details(part)]
  return "\n".join(lines).rstrip() + "\n"


def _details(part: Mapping[str, Any]) -> list[str]:
  """Returns what is to remark of a split, lists cut to a readable length."""
  lines = [f"* {line}" for line in part["differs"]]
  counts = {
    **{
      f"segments clipped {where.replace('_', ' ')}": count
      for where, count in part["segments_clipped"].items()
    },
    **{f"dropped, {why}": n for why, n in part["segments_dropped"].items()},
    "videos left without a query": len(part["without_queries"]),
  }
  lines += [f"* {what}: {count:,}" for what, count in counts.items() if count]
  for title, key, line in _LISTS:
    items, more = part[key][:_SHOWN], len(part[key]) - _SHOWN
    if items:
      lines += ["", f"### {title}: {len(part[key]):,}", ""]
      lines += [f"* {line(item)}" for item in items]
    if more > 0:
      lines.append(f"* ... and {more:,} more in report.json")
  return lines or ["Nothing to remark."]
