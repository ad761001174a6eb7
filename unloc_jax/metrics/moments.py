"""Reads moment-retrieval annotations and predictions, whatever their format.

All become the rows of QVHighlights' JSONL, in seconds:
  {"qid", "query", "vid", "duration", "relevant_windows": [[start, end], ...]}
  {"qid", "query", "vid", "pred_relevant_windows": [[start, end, score], ...]}
"""

import json
import os
import re
from typing import Any

from unloc_jax.metrics import files
from unloc_jax.metrics.files import Document, Row, Rows
from unloc_jax.metrics.problems import MetricsError, Problems

_CHARADES = re.compile(r"^\s*(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)$")
_SENTENCES = ("sentence", "query", "text", "caption")
_SEGMENTS = ("timestamp", "segment", "window")
_SCORES = ("score", "proposal_score", "confidence")


def read_ground_truth(path: str | os.PathLike[str], problems: Problems) -> Rows:
  """Reads annotations.

  Args:
    path: JSONL (or a JSON list) of QVHighlights' form; JSON of ActivityNet
      Captions (`timestamps`, `sentences` per video; with `fps`, as TACoS is
      also passed around, the timestamps are frames); or Charades-STA's lines
      `VID start end##sentence`.
    problems: Told of entries which cannot be read.

  Returns:
    Rows; those of formats without ids get `VID#number` as `qid`, the number
    counting the video's sentences from 0.
  """
  text = files.read_text(path)
  first = text.lstrip()[:1]
  if first not in ("{", "["):
    return _charades_rows(str(path), text, problems)
  if _is_rows(text):
    return files.read_rows(path, problems)
  return _caption_rows(files.read_json(path), problems)


def read_predictions(path: str | os.PathLike[str], problems: Problems) -> Rows:
  """Reads predictions.

  Args:
    path: JSONL (or a JSON list) of QVHighlights' form; or JSON of dense
      captioning's form,
      {"results": {VID: [{"sentence", "timestamp", "score"}]}}.
    problems: Told of entries which cannot be read.
  """
  if _is_rows(files.read_text(path)):
    return files.read_rows(path, problems)
  return _result_rows(files.read_json(path), problems)


def _is_rows(text: str) -> bool:
  """Whether text is a list of objects, one a line or in brackets."""
  stripped = text.lstrip()
  if stripped.startswith("["):
    return True
  try:
    value, _ = json.JSONDecoder().raw_decode(stripped)
  except json.JSONDecodeError:
    # Broken: by its first line, one object a line or one object in all.
    return stripped.split("\n", 1)[0].rstrip().endswith("}")
  return not isinstance(value, dict) or bool(
    {"qid", "vid", "query"} & value.keys()
  )


def _charades_rows(path: str, text: str, problems: Problems) -> Rows:
  rows: list[Row] = []
  lines: list[int] = []
  seen: dict[str, int] = {}
  for number, line in enumerate(text.splitlines(), start=1):
    if not line.strip():
      continue
    found = _CHARADES.match(line)
    try:
      if not found:
        raise ValueError
      window = [float(found[2]), float(found[3])]
    except ValueError:
      problems.report(
        f"{path}:{number}",
        line.split(maxsplit=1)[0],
        "not `VID start end##sentence`",
        "line skipped",
      )
      continue
    video = found[1]
    rows.append(_row(video, seen, found[4].strip(), [window], None))
    lines.append(number)
  return Rows(path, rows, lines)


def _row(
  video: str,
  seen: dict[str, int],
  sentence: str,
  windows: list[list[float]],
  duration: float | None,
) -> Row:
  """Names a sentence by its place among those of its video."""
  number = seen.get(video, 0)
  seen[video] = number + 1
  row: Row = {
    "qid": f"{video}#{number}",
    "query": sentence,
    "vid": video,
    "relevant_windows": windows,
  }
  if duration is not None:
    row["duration"] = duration
  return row


def _caption_rows(document: Document, problems: Problems) -> Rows:
  """Reads {VID: {"duration", "timestamps", "sentences"}}."""
  if not isinstance(document.value, dict):
    raise MetricsError(
      f"{document.source}:1: not an object of videos; give a file of the"
      " benchmark's annotations"
    )
  database = document.value
  if set(database) >= {"database"}:
    database = database["database"]
  rows: list[Row] = []
  lines: list[int] = []
  seen: dict[str, int] = {}
  at, line = 0, 1
  for video, entry in database.items():
    found = document.text.find(json.dumps(video), at)
    if found >= 0:
      line += document.text.count("\n", at, found)
      at = found
    try:
      added = _caption_entry(video, entry, seen)
    except (KeyError, TypeError, ValueError, AttributeError):
      problems.report(
        f"{document.source}:{line}",
        video,
        "needs as many `timestamps` [start, end] as `sentences`",
        "video skipped",
      )
      continue
    rows.extend(added)
    lines.extend([line] * len(added))
  return Rows(document.source, rows, lines)


def _caption_entry(
  video: str, entry: dict[str, Any], seen: dict[str, int]
) -> list[Row]:
  """One row for each sentence of a video; raises on what is not one."""
  rate = float(entry["fps"]) if "fps" in entry else 1.0
  duration = None
  if "duration" in entry:
    duration = float(entry["duration"])
  elif "num_frames" in entry and "fps" in entry:
    duration = float(entry["num_frames"]) / rate
  pairs = zip(entry["timestamps"], entry["sentences"], strict=True)
  windows = [
    ([float(start) / rate, float(end) / rate], str(sentence).strip())
    for (start, end), sentence in pairs
  ]
  return [
    _row(video, seen, sentence, [window], duration)
    for window, sentence in windows
  ]


def _result_rows(document: Document, problems: Problems) -> Rows:
  """Gathers {"results": {VID: [...]}} into one row for each sentence."""
  value = document.value
  if not isinstance(value, dict) or not isinstance(value.get("results"), dict):
    raise MetricsError(
      f"{document.source}:1: neither JSONL of queries nor an object with"
      " `results`; see `python -m unloc_jax.metrics --help`"
    )
  gathered: dict[tuple[str, str], list[list[float]]] = {}
  places: dict[tuple[str, str], int] = {}
  for video, entries in value["results"].items():
    for entry in entries:
      try:
        sentence = str(entry[_key(entry, _SENTENCES)]).strip()
        window = [float(each) for each in entry[_key(entry, _SEGMENTS)]]
        score = [float(entry[k]) for k in _SCORES if k in entry][:1]
      except (KeyError, TypeError, ValueError):
        problems.report(
          document.where(video),
          video,
          "a result needs `sentence`, `timestamp` and `score`",
          "result skipped",
        )
        continue
      key = (str(video), sentence)
      if key not in gathered:
        places[key] = int(document.where(video).rsplit(":", 1)[1])
      gathered.setdefault(key, []).append(window + score)
  rows = [
    {"vid": video, "query": sentence, "pred_relevant_windows": windows}
    for (video, sentence), windows in gathered.items()
  ]
  return Rows(document.source, rows, list(places.values()))


def _key(entry: dict[str, Any], names: tuple[str, ...]) -> str:
  """Returns the first of the names the entry has."""
  return next((name for name in names if name in entry), names[0])
