"""What became of every video of a build: report.json, report.md.

Nothing in a report depends on when, where or by how many workers it was built.
"""

import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from etils import epath

from data_preprocessing.examples import NO_QUERY, Outcome
from data_preprocessing.settings import BuildError
from unloc_jax import files
from unloc_jax.annotations import AnnotationSet, Benchmark, Official
from unloc_jax.data.manifest import dumps
from unloc_jax.media.errors import Reason

# A file and its annotation may disagree this much without a word: seconds, and
# share of the annotated length.
_AGREE_SECONDS = 1.0
_AGREE_SHARE = 0.02
# With less than this of what is published, a file is another one.
_VARIANT_SHARE = 0.9
# Lines of a list that report.md shows; report.json has all.
_SHOWN = 50


def build_report(
  benchmark: Benchmark,
  annotations: AnnotationSet,
  outcomes: Mapping[str, Sequence[Outcome]],
) -> dict[str, Any]:
  """Returns the report of a build.

  Args:
    benchmark: For the official counts.
    annotations: What the annotation files said.
    outcomes: Split -> what became of its videos.
  """
  splits = {
    split: _split_report(benchmark, annotations, split, outcomes[split])
    for split in sorted(outcomes)
  }
  notes = []
  if benchmark.class_count is not None:
    found = len(annotations.classes)
    if found != benchmark.class_count:
      notes.append(
        f"{found} classes, officially {benchmark.class_count}: the annotation"
        " files are a part of the benchmark, or a variant"
      )
  return {
    "format": 1,
    "dataset": benchmark.name,
    "title": benchmark.title,
    "classes": len(annotations.classes),
    "notes": notes,
    "splits": splits,
  }


def _split_report(
  benchmark: Benchmark,
  annotations: AnnotationSet,
  split: str,
  outcomes: Sequence[Outcome],
) -> dict[str, Any]:
  """Returns the report of one split."""
  found = annotations.notes(split)
  built = [o for o in outcomes if not o.reason]
  missing = [o for o in outcomes if o.reason == Reason.MISSING]
  broken = [
    o for o in outcomes if o.reason not in ("", Reason.MISSING, NO_QUERY)
  ]
  unasked = [o for o in outcomes if o.reason == NO_QUERY]
  official = benchmark.official.get(split)
  counts = {
    "videos": found.videos,
    "queries": found.queries,
    "segments": found.segments,
  }
  return {
    "official": _official(official),
    "annotated": counts,
    "differs": _differences(official, counts),
    "found": len(outcomes) - len(missing) - len(unasked),
    "built": {
      "videos": len(built),
      "queries": sum(o.queries for o in built),
      "segments": sum(o.segments for o in built),
    },
    "missing": [_line(o) for o in missing],
    "broken": [_line(o) for o in broken],
    "without_queries": [o.video_id for o in unasked],
    "damaged": [
      {"video_id": o.video_id, "seconds": round(o.damaged, 3)}
      for o in built
      if o.damaged
    ],
    "duration_differs": [
      {
        "video_id": o.video_id,
        "annotated": o.annotated,
        "decoded": round(o.duration, 3),
      }
      for o in built
      if _differs(o)
    ],
    "segments_clipped": {
      "at_annotated_end": found.clipped,
      "at_decoded_end": sum(o.clipped for o in built),
    },
    "segments_dropped": {
      **dict(sorted(found.dropped.items())),
      "after the decoded end": sum(o.dropped for o in built),
    },
    "notes": found.notes,
  }


def _line(outcome: Outcome) -> dict[str, str]:
  return {
    "video_id": outcome.video_id,
    "file": outcome.name,
    "reason": outcome.reason,
    "detail": outcome.detail,
  }


def _differs(outcome: Outcome) -> bool:
  if outcome.annotated is None:
    return False
  gap = abs(outcome.annotated - outcome.duration)
  return gap > max(_AGREE_SECONDS, _AGREE_SHARE * outcome.annotated)


def _official(official: Official | None) -> dict[str, Any] | None:
  if official is None:
    return None
  record = dataclasses.asdict(official)
  for key in ("videos", "queries"):
    if record[key] is not None:
      record[key] = list(record[key])
  return record


def _differences(
  official: Official | None, counts: Mapping[str, int]
) -> list[str]:
  """Returns a line for each count that is not the official one."""
  if official is None:
    return []
  lines = []
  for key, expected in (
    ("videos", official.videos),
    ("queries", official.queries),
  ):
    if expected is None or expected[0] <= counts[key] <= expected[1]:
      continue
    why = official.note
    if not why or counts[key] < _VARIANT_SHARE * expected[0]:
      why = "the annotation files are a part, or a variant"
    lines.append(f"{counts[key]:,} {key}, officially {span(expected)}: {why}")
  return lines


def span(expected: Sequence[int]) -> str:
  """Returns e.g. `12,404-12,408`."""
  fewest, most = expected
  return f"{fewest:,}" if fewest == most else f"{fewest:,}-{most:,}"


def left_out(report: Mapping[str, Any]) -> int:
  """Returns how many annotated videos are missing or broken."""
  return sum(
    len(s["missing"]) + len(s["broken"]) for s in report["splits"].values()
  )


def left_out_reasons(report: Mapping[str, Any]) -> dict[str, int]:
  """Returns reason -> videos left out for it."""
  counts: collections.Counter[str] = collections.Counter()
  for part in report["splits"].values():
    counts.update(o["reason"] for o in (*part["missing"], *part["broken"]))
  return dict(counts)


class Limit:
  """How many annotated videos may be left out: `12`, `5%`, or "" for any."""

  def __init__(self, text: str = ""):
    """Reads it. Raises BuildError where it makes no sense."""
    self._text = text
    number = text.removesuffix("%")
    try:
      self._most = float(number if text != number else int(text or 0))
    except ValueError:
      self._most = -1.0
    self._is_share = text != number
    if not 0 <= self._most <= (100 if self._is_share else math.inf):
      raise BuildError(f"--max-missing {text}: give a number, or e.g. 5%")

  def check(self, out: int, total: int, where: str) -> None:
    """Raises BuildError where more videos are left out than allowed."""
    most = int(self._most * (total / 100 if self._is_share else 1))
    if self._text and out > most:
      raise BuildError(
        f"{out} of {total} videos are missing or broken, --max-missing allows"
        f" {most}; see {where}"
      )


def write(folder: epath.Path, report: Mapping[str, Any]) -> None:
  """Writes report.json and report.md."""
  files.write_text(folder / "report.json", dumps(report))
  files.write_text(folder / "report.md", markdown(report))


def markdown(report: Mapping[str, Any]) -> str:
  """Returns the report as a person reads it."""
  lines = [f"# {report['title']} (`{report['dataset']}`)", ""]
  if report["classes"]:
    lines += [f"{report['classes']} classes.", ""]
  lines += [*report["notes"], ""] if report["notes"] else []
  lines += [
    "| split | official videos | annotated | found | missing | broken |"
    " built | official queries | annotated | built | segments annotated |"
    " built |",
    "|---|" + "---:|" * 11,
  ]
  for split, part in report["splits"].items():
    lines.append(_row(split, part))
  for split, part in report["splits"].items():
    lines += ["", f"## {split}", "", *_details(part)]
  return "\n".join(lines).rstrip() + "\n"


def _row(split: str, part: Mapping[str, Any]) -> str:
  official = part["official"] or {"videos": None, "queries": None}
  shown = {
    key: span(official[key]) if official[key] else "-"
    for key in ("videos", "queries")
  }
  cells = [
    split,
    shown["videos"],
    part["annotated"]["videos"],
    part["found"],
    len(part["missing"]),
    len(part["broken"]),
    part["built"]["videos"],
    shown["queries"],
    part["annotated"]["queries"],
    part["built"]["queries"],
    part["annotated"]["segments"],
    part["built"]["segments"],
  ]
  return (
    "| "
    + " | ".join(f"{c:,}" if isinstance(c, int) else c for c in cells)
    + " |"
  )


def _details(part: Mapping[str, Any]) -> list[str]:
  """Returns the lists of one split, cut to a readable length."""
  lines = [f"* {line}" for line in part["differs"]]
  for where, count in part["segments_clipped"].items():
    if count:
      lines.append(f"* segments clipped {where.replace('_', ' ')}: {count:,}")
  for why, count in part["segments_dropped"].items():
    if count:
      lines.append(f"* dropped, {why}: {count:,}")
  if part["without_queries"]:
    lines.append(
      f"* videos left without a query: {len(part['without_queries']):,}"
    )
  lines += _listed(
    "Broken",
    (
      f"{b['video_id']} ({b['file']}): {b['reason']}"
      + (f", {b['detail']}" if b["detail"] else "")
      for b in part["broken"]
    ),
  )
  lines += _listed("Missing", (b["video_id"] for b in part["missing"]))
  lines += _listed(
    "Slightly damaged, kept",
    (f"{d['video_id']}: {d['seconds']} s" for d in part["damaged"]),
  )
  lines += _listed(
    "Duration differs from the annotation",
    (
      f"{d['video_id']}: annotated {d['annotated']} s, decoded {d['decoded']} s"
      for d in part["duration_differs"]
    ),
  )
  lines += _listed("Notes", part["notes"])
  return lines or ["Nothing to remark."]


def _listed(title: str, items: Iterable[str]) -> list[str]:
  everything = list(items)
  if not everything:
    return []
  lines = ["", f"### {title}: {len(everything):,}", ""]
  lines += [f"* {item}" for item in everything[:_SHOWN]]
  if len(everything) > _SHOWN:
    lines.append(f"* ... and {len(everything) - _SHOWN:,} more in report.json")
  return lines
