"""What is fuzzed: small valid files, who reads them, what must hold then."""

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unloc_jax.annotations import AnnotationSet, benchmark
from unloc_jax.annotations.reading import AnnotationError
from unloc_jax.config import check, schema, stored
from unloc_jax.metrics import __main__ as command

Files = Mapping[str, str | bytes]  # Name -> content


def _encoded(files: Files) -> dict[str, bytes]:
  """Contents as they are on disk."""
  return {n: c.encode() if isinstance(c, str) else c for n, c in files.items()}


@dataclasses.dataclass(frozen=True)
class Target:
  """One reader."""

  files: Mapping[str, bytes]  # Name -> content
  run: Callable[[pathlib.Path], object]  # Reads a folder of mutated files
  allowed: type[Exception] = AnnotationError  # How it refuses


def _sound(found: AnnotationSet) -> None:
  """What every reader promises; whatever is left out is counted."""
  ids = [(video.split, video.video_id) for video in found.videos]
  assert len(set(ids)) == len(ids), "a video twice"
  for video in found.videos:
    json.dumps(dataclasses.asdict(video)).encode()
    for query in video.queries:
      assert query.text.strip().encode(), "no text"
      assert not found.classes or found.classes[int(query.id)] == query.text
    for s in video.segments:
      assert 0 <= s.start < s.end <= (video.duration or s.end), "no segment"
  for split, notes in found.splits.items():
    queries = sum(len(v.queries) for v in found.videos if v.split == split)
    if not notes.dropped["duplicate video id"]:
      gone = ("empty caption", "query without a usable segment")
      lost = sum(notes.dropped[why] for why in gone)
      assert queries + lost == notes.queries, "a query lost silently"


def _reads(name: str, files: Files) -> Target:
  """A benchmark's annotations."""

  def run(folder: pathlib.Path) -> None:
    found = benchmark(name).read(folder)
    _sound(found)
    if name == "custom":
      _read_back(found, folder)

  return Target(_encoded(files), run)


def _read_back(found: AnnotationSet, folder: pathlib.Path) -> None:
  """Writes what was read as both forms, which must say the same again."""

  def rows(of: AnnotationSet) -> list[tuple[Any, ...]]:
    return [
      (v.video_id, v.split, s.start, s.end, v.queries[s.query].text)
      for v in of.videos
      for s in v.segments
    ]

  kept = [
    (*row, text.replace("\r\n", "\n").replace("\r", "\n"))
    for *row, text in rows(found)
  ]
  names = ("video", "split", "start", "end", "text")
  table = io.StringIO(newline="")
  csv.writer(table).writerows([names, *rows(found)])
  (folder / "again.csv").write_bytes(table.getvalue().encode())
  with contextlib.suppress(AnnotationError):  # E.g. a text that holds rows.
    again = benchmark("custom").read(folder / "again.csv")
    assert sorted(kept) == sorted(rows(again)), "not read back"
  (folder / "again.csv").unlink()


def _scores(name: str, files: Files) -> Target:
  """A submission, then its truth; where refused, they are scored leniently."""
  given, truth = (2 * list(files))[:2]  # One may hold both.
  flags = ["--predictions=-", "--ground_truth=-", "--resamples=2"]
  parsed = command.arguments([f"--benchmark={name}", *flags])

  def run(folder: pathlib.Path) -> None:
    asked = argparse.Namespace(**vars(parsed))
    asked.predictions = str(folder / given)
    asked.ground_truth = str(folder / truth)
    with contextlib.redirect_stdout(io.StringIO()):
      try:
        command.run(asked)
      except AnnotationError:
        asked.lenient = True
        command.run(asked)
        raise

  return Target(_encoded(files), run)


def _config(folder: pathlib.Path) -> None:
  config = stored.read(folder / "config.json")
  check.check(config)
  (folder / "again.json").write_text(config.to_json())
  again = stored.read(folder / "again.json")
  assert again.to_json() == config.to_json(), "not read back"


def _npz() -> bytes:
  file = io.BytesIO()
  np.savez(file, **{"a/P": [0, 1], "a/Y": [0, 2], "a/S": np.eye(2, 3)})
  return file.getvalue()


def _lines(*rows: object) -> str:
  return "\n".join(map(json.dumps, rows)) + "\n"


def _results(video: str, *rows: object) -> str:
  return json.dumps({"results": {video: rows}})


_CAPTIONS = {
  "duration": 9,
  "timestamps": [[0, 2.5], [3, 9.5]],
  "sentences": ["he runs, then jumps", "é"],
}
_TEXTS = json.dumps({"v_a": _CAPTIONS, "v_b": {**_CAPTIONS, "fps": 2}})
_QVH = {"qid": 1, "query": "a dog", "vid": "a_0.0_4.0", "duration": 4}
_TRUTH = {
  **_QVH,
  "relevant_windows": [[0, 2]],
  "relevant_clip_ids": [0],
  "saliency_scores": [[1, 2, 4]],
}
_FOUND = {
  **_QVH,
  "pred_relevant_windows": [[0, 2, 0.5], [2, 4, 0.1]],
  "pred_saliency_scores": [0.5, 0.1],
}
_ROWS = [{"label": "b", "segment": [1, 2.5]}, {"label": "c", "segment": [0, 3]}]
_NODES = [{"nodeName": each, "nodeId": each, "parentId": "r"} for each in "abc"]
_ANET = json.dumps(
  {
    "taxonomy": _NODES,
    "database": {
      "v": {"subset": "validation", "duration": 9, "annotations": _ROWS},
      "w": {"subset": "testing", "duration": 9, "annotations": []},
    },
  }
)
_STEP = {"id": "3", "label": "cut", "segment": [0, 1]}
_COIN = json.dumps(
  {"database": {"v": {"subset": "testing", "annotation": [_STEP]}}}
)
_FOLDED = {"test_split": 1, "fps": 30, "T": 90, "segments": [[0, 60, "cut"]]}
_FOLDS = json.dumps(
  {
    "classes": ["background", "cut", "peel"],
    "videos": [{"id": "a", **_FOLDED}, {"id": "b", **_FOLDED}],
  }
)
_SAID = {"sentence": "é", "timestamp": [0, 2]}
_SCORED = [{"score": 0.5, **_ROWS[0]}, {"score": 0.25, **_ROWS[1]}]
_ANSWER = {
  "vid": "AA",
  "query": "a person sits.",
  "pred_relevant_windows": [[0, 2, 0.5]],
}
_OWN = {"start": 1, "end": 2, "text": "he runs"}
_CHARADES = "AA 0.0 6.9##a person sits.\nBB 1 2##so ## on.\n"
_KINETICS = "label,youtube_id,time_start,time_end,split\nzumba,-a,5,15,train\n"
_FRAMES = {"vid": "v", "frame_rate": 2, "labels": [0, 3], "scores": [[1], [2]]}


TARGETS: dict[str, dict[str, Target]] = {
  "readers": {
    "anet_captions": _reads("anet_captions", {"val_1.json": _TEXTS}),
    "charades_sta": _reads(
      "charades_sta",
      {
        "charades_sta_test.txt": _CHARADES,
        "Charades_v1_test.csv": "id,length\nAA,33.67\n",
      },
    ),
    "qvhighlights": _reads(
      "qvhighlights", {"val.jsonl": _lines(_TRUTH, {**_TRUTH, "qid": 2})}
    ),
    "anet": _reads("anet", {"a.json": _ANET}),
    "bsn": _reads(
      "anet",
      {
        "anet_anno_action.json": json.dumps({"v_a": {"annotations": _ROWS}}),
        "video_info_new.csv": "video,subset\nv_a,training\n",
      },
    ),
    "thumos14": _reads("thumos14", {"thumos.json": _ANET}),
    "coin": _reads(
      "coin",
      {"COIN.json": _COIN, "taxonomy.csv": "action_id,action_label\n3,cut\n"},
    ),
    "50salads": _reads("50salads", {"annotations.json": _FOLDS}),
    "kinetics": _reads("kinetics400", {"train.csv": _KINETICS}),
    "custom_jsonl": _reads(
      "custom",
      {
        "a.jsonl": _lines(
          {"video": "a.mp4", "split": "val", "segments": [_OWN, _OWN]},
          {"video": "b.mp4", "duration": 9, "segments": [{**_OWN, "x": 1}]},
        )
      },
    ),
    "custom_csv": _reads(
      "custom",
      {"a.csv": 'video,start,end,text\na.mp4,1,2,"a, b"\nb.mp4,0,1,é c\n'},
    ),
  },
  "submissions": {
    "qvhighlights": _scores(
      "qvhighlights", {"p.jsonl": _lines(_FOUND), "g.jsonl": _lines(_TRUTH)}
    ),
    "results": _scores(
      "anet_captions", {"p.json": _results("v_a", _SAID), "g.json": _TEXTS}
    ),
    "charades_sta": _scores(
      "charades_sta", {"p.jsonl": _lines(_ANSWER), "g.txt": _CHARADES}
    ),
    "anet": _scores(
      "anet", {"p.json": _results("v", *_SCORED), "g.json": _ANET}
    ),
    "coin": _scores("coin", {"p.jsonl": _lines(_FRAMES), "g.json": _COIN}),
    "frames": _scores(
      "segmentation", {"p.jsonl": _lines(_FRAMES), "g.jsonl": _lines(_FRAMES)}
    ),
    "npz": _scores("segmentation", {"p.npz": _npz()}),
    "classes_json": _scores(
      "classification",
      {
        "p.json": '{"a": [0.1, 0.9], "b": {"scores": {"0": 1, "1": 2}}}',
        "g.json": '{"a": 1, "b": {"labels": [0, 1]}}',
      },
    ),
    "classes_csv": _scores(
      "classification",
      {
        "p.csv": "video,run,jump\na,0.3,0.2\n",
        "g.csv": "video,label\na,run\n",
      },
    ),
  },
  "config": {
    "config": Target(
      _encoded({"config.json": schema.base().to_json()}), _config, ValueError
    )
  },
}
