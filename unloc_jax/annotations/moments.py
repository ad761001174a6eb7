"""ActivityNet Captions, Charades-STA, TACoS, QVHighlights: moments.

Annotations and predictions come in four forms, told apart by what a file holds:

* JSONL, or a JSON list, one query each (QVHighlights' form): {"qid", "query",
  "vid", "duration", "relevant_windows" or "pred_relevant_windows"};
* JSON of ActivityNet Captions: {VID: {"duration", "timestamps", "sentences"}};
  with "fps", as TACoS is passed around, the timestamps are frames;
* Charades-STA's lines `VID start end##sentence`, lengths in a CSV beside;
* predictions only, JSON of dense captioning: {"results": {VID: [{"sentence",
  "timestamp", "score"}]}}.
"""

import collections
import dataclasses
import itertools
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unloc_jax.annotations import reading
from unloc_jax.annotations.reading import (
  HELP,
  SPLIT_NAMES,
  WRONG,
  Document,
  Place,
  Problems,
  as_seconds,
  fault,
  name_of,
  number,
  split_name,
)
from unloc_jax.annotations.records import AnnotationSet, Asked, SplitNotes

TRUE = "relevant_windows"
PREDICTED = "pred_relevant_windows"
# A list, or an object on the first line and another one on the next.
_LINES = re.compile(r"\s*(\[|\{.*\}[ \t\r]*\n\s*\{)")
_CHARADES = re.compile(r"^\s*(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)$")
_SENTENCES = ("sentence", "query", "text", "caption")
_SEGMENTS = ("timestamp", "segment", "window")
_SCORES = ("score", "proposal_score", "confidence")
_FIELDS = {"qid", "query", "vid", "duration", TRUE, PREDICTED}


@dataclasses.dataclass(frozen=True)
class QueryRow:
  """One query as a file has it; its values are not checked."""

  place: Place  # Where it is written
  # Its id, None where a prediction has none. Annotations without ids get
  # `VID#number`, the number counting the video's sentences from 0.
  id: str | None
  video: str  # Id of the video, "" where the file does not say
  text: Any  # The sentence
  # List of [start, end] or [start, end, score] in seconds; None where the row
  # has none
  windows: Any
  duration: Any = None  # Seconds, None where the file does not say
  # What else the file says of it
  rest: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_captions(place: pathlib.Path) -> AnnotationSet:
  """Reads train.json, val_1.json, val_2.json and any other split's file.

  val_1 is the split `val` and val_2 is `test`; another file gives the split of
  its own name. A folder of JSONL files in the form of QVHighlights will do.
  """
  paths = reading.files_of(place, "*.json", "*.jsonl")
  if paths[0].suffix.lower() == ".jsonl":
    return read_jsonl(place)
  return _read_all([(split_name(path.stem, path), path) for path in paths])


def read_jsonl(
  place: pathlib.Path, patterns: Sequence[str] = ("*.jsonl",)
) -> AnnotationSet:
  """Reads a JSONL file, or those of a folder: one query a line.

  The split is the one the file's name speaks of. Of two files of a split, the
  one with ground truth is read (`highlight_test_with_gt.jsonl`).
  """
  chosen: dict[str, pathlib.Path] = {}
  for path in reading.files_of(place, *patterns):
    split = split_of(path)
    if split not in chosen or "with_gt" in path.stem:
      chosen[split] = path
  return _read_all(chosen.items())


def read_charades(place: pathlib.Path) -> AnnotationSet:
  """Reads Charades-STA: the official text files, or JSONL."""
  return read_jsonl(place, ("charades_sta_*.txt", "*.jsonl"))


def split_of(path: pathlib.Path) -> str:
  """Returns the split that a file's name speaks of, else its whole stem."""
  for token in re.split(r"[^a-z0-9]+", path.stem.lower()):
    name = SPLIT_NAMES.get(token, token)
    if name in ("train", "val", "test"):
      return name
  return split_name(path.stem, path)


def _read_all(paths: Iterable[tuple[str, pathlib.Path]]) -> AnnotationSet:
  """Reads files of splits: bad segments are counted, not refused."""
  result = AnnotationSet()
  for split, path in paths:
    result.files.append(path)
    lengths: dict[str, Any] = {}
    if path.suffix.lower() == ".txt":
      for table in sorted(path.parent.glob("Charades_v1_*.csv")):
        for _, cells in reading.read_csv(table, ("id", "length")):
          lengths[cells["id"]] = cells["length"]
        result.files.append(table)
    rows, repeated = read_rows(path, Problems())
    for video, asked in _by_video(rows, result.notes(split), lengths).items():
      result.add(path.name, video, split, lengths[video], asked)
    for video in repeated:
      result.notes(split).repeated(video, path.name)
  return result


def _by_video(
  rows: Iterable[QueryRow], notes: SplitNotes, lengths: dict[str, Any]
) -> dict[str, list[Asked]]:
  """Gathers the queries of each video; adds lengths where they are lacking."""
  asked: dict[str, list[Asked]] = {}
  queries: set[str] = set()
  for row in rows:
    query_id = str(row.id)
    if not row.video:
      raise fault(row.place, "no 'vid'")
    if query_id in queries:
      line = f"{row.video}: query {query_id} again in {row.place}"
      notes.drop("duplicate query id", line)
      continue
    queries.add(query_id)
    lengths.setdefault(row.video, row.duration)
    windows = [] if row.windows is None else row.windows
    if not isinstance(windows, list):
      raise fault(row.place, f"query {query_id}: {windows!r} is no list")
    if not isinstance(row.text, str | None):
      raise fault(row.place, f"query {query_id}: {row.text!r} is no sentence")
    one = (query_id, row.text, windows, dict(row.rest))
    asked.setdefault(row.video, []).append(one)
  return asked


def read_rows(
  path: reading.Path, problems: Problems, key: str = TRUE
) -> tuple[list[QueryRow], list[str]]:
  """Reads annotations (`TRUE`) or a submission (`PREDICTED`).

  What the file holds tells its form. Also returns ids of videos given twice.
  """
  text = reading.read_text(path)
  if str(path).lower().endswith(".jsonl") or _LINES.match(text):
    return _json_rows(path, problems, text, key), []
  if not text.lstrip().startswith("{") and key == TRUE:
    return _charades_rows(str(path), text, problems), []
  document = reading.read_json(path, text, predicted=key == PREDICTED)
  value = document.value
  if isinstance(value, dict) and {"qid", "vid", "query"} & value.keys():
    return _json_rows(path, problems, text, key), []
  if key == PREDICTED:
    return _result_rows(document, problems), []
  return _caption_rows(document, problems)


def _json_rows(
  path: reading.Path, problems: Problems, text: str, key: str
) -> list[QueryRow]:
  rows = []
  seen: collections.Counter[str] = collections.Counter()
  for place, row in reading.read_rows(path, problems, text):
    video = row.get("vid", "")
    video = video if isinstance(video, str) else name_of(video)
    name = None if row.get("qid") is None else name_of(row["qid"])
    if name == "":
      what = f"`qid` {row['qid']!r} is neither a number nor a name"
      problems.report(place, "row", what, "row skipped")
      continue
    if name is None and key == TRUE:
      name = f"{video}#{seen[video]}"
    seen[video] += 1
    rest = {each: row[each] for each in row if each not in _FIELDS}
    sentence, windows = row.get("query"), row.get(key)
    rows.append(
      QueryRow(place, name, video, sentence, windows, row.get("duration"), rest)
    )
  return rows


def _charades_rows(path: str, text: str, problems: Problems) -> list[QueryRow]:
  rows = []
  seen: collections.Counter[str] = collections.Counter()
  for row, line in enumerate(text.split("\n"), 1):
    if not line.strip():
      continue
    place, match = Place(path, row), _CHARADES.match(line)
    if match is None:
      what = "not 'VID start end##sentence'"
      problems.report(place, line.split()[0], what, "line skipped")
      continue
    video, start, end, sentence = match.groups()
    name = f"{video}#{seen[video]}"
    seen[video] += 1
    rows.append(QueryRow(place, name, video, sentence.strip(), [[start, end]]))
  return rows


def _caption_rows(
  document: Document, problems: Problems
) -> tuple[list[QueryRow], list[str]]:
  rows: list[QueryRow] = []
  videos = document.videos("database")
  for video, entry in videos.items():
    try:
      rows += _captions(document.place(video), video, entry)
    except ZeroDivisionError:
      what = f"`fps` {entry['fps']!r} is no rate of frames"
      problems.report(document.place(video), video, what, "video skipped")
    except WRONG:
      what = "needs lists `timestamps` [[start, end], ...] and `sentences`"
      problems.report(document.place(video), video, what, "video skipped")
  return rows, document.repeated_in(videos)


def _captions(
  place: Place, video: str, entry: Mapping[str, Any]
) -> list[QueryRow]:
  """One row for each sentence; lists beside the sentences go to their rows.

  Raises ZeroDivisionError for frames without a rate, else of many kinds.
  """
  sentences, windows = (
    [] if entry[key] is None else entry[key]
    for key in ("sentences", "timestamps")
  )
  if not isinstance(sentences, list) or not isinstance(windows, list):
    raise TypeError
  duration = entry.get("duration")
  if "fps" in entry:
    rate = as_seconds(entry["fps"]) or 0.0
    if rate <= 0:
      raise ZeroDivisionError
    windows = [[number(each) / rate for each in window] for window in windows]
    frames = as_seconds(entry.get("num_frames"))
    if duration is None and frames is not None:
      duration = frames / rate
  beside = {
    key: value
    for key, value in entry.items()
    if key not in ("sentences", "timestamps", "duration")
    and isinstance(value, list)
    and len(value) == len(sentences)
  }
  # One of a pair may be lacking at the end: None is no sentence and no window.
  pairs = enumerate(itertools.zip_longest(sentences, windows))
  return [
    QueryRow(
      place,
      f"{video}#{i}",
      video,
      sentence,
      [window],
      duration,
      {key: value[i] for key, value in beside.items() if i < len(sentences)},
    )
    for i, (sentence, window) in pairs
  ]


def _result_rows(document: Document, problems: Problems) -> list[QueryRow]:
  """Gathers {"results": {VID: [...]}} into one row for each sentence."""
  value = document.value
  if not isinstance(value, dict) or not isinstance(value.get("results"), dict):
    what = "neither JSONL of queries nor an object with `results`"
    raise fault(document.place(), what, HELP)
  gathered: dict[tuple[str, str], list[list[float]]] = {}
  for video, entries in value["results"].items():
    for entry in entries if isinstance(entries, list) else [entries]:
      try:
        sentence = reading.first(entry, _SENTENCES).strip()
        window = list(map(number, reading.first(entry, _SEGMENTS)))
        score = [number(entry[key]) for key in _SCORES if key in entry][:1]
      except (*WRONG, AttributeError):
        what = "a result needs `sentence`, `timestamp` and `score`"
        problems.report(document.place(video), video, what, "result skipped")
        continue
      gathered.setdefault((video, sentence), []).append(window + score)
  return [
    QueryRow(document.place(video), None, video, sentence, windows)
    for (video, sentence), windows in gathered.items()
  ]
