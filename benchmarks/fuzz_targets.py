"""What is fuzzed: small valid files, who reads them, what must hold then."""

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from unloc_jax.annotations import AnnotationSet, benchmark
from unloc_jax.annotations.reading import AnnotationError
from unloc_jax.config import check, schema, stored
from unloc_jax.metrics import __main__ as command


@dataclasses.dataclass(frozen=True)
class Target:
  """One reader."""

  files: Mapping[str, bytes]  # Name -> content
  run: Callable[[pathlib.Path], object]  # Reads a folder of mutated files
  allowed: type[Exception]  # How it refuses


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


def _reads(name: str) -> Callable[[pathlib.Path], None]:
  def run(folder: pathlib.Path) -> None:
    found = benchmark(name).read(folder)
    _sound(found)
    if name == "custom":
      _read_back(found, folder)

  return run


def _read_back(found: AnnotationSet, folder: pathlib.Path) -> None:
  """Writes what was read as both forms, which must say the same again."""
  rows = [
    (v.video_id, v.split, s.start, s.end, v.queries[s.query].text)
    for v in found.videos
    for s in v.segments
  ]
  kept = [
    (*row[:4], row[4].replace("\r\n", "\n").replace("\r", "\n")) for row in rows
  ]
  names = ("video", "split", "start", "end", "text")
  table = io.StringIO(newline="")
  csv.writer(table).writerows([names, *rows])
  (folder / "again.csv").write_bytes(table.getvalue().encode())
  with contextlib.suppress(AnnotationError):  # E.g. a text that holds rows.
    again = benchmark("custom").read(folder / "again.csv")
    assert sorted(kept) == sorted(
      (v.video_id, v.split, s.start, s.end, v.queries[s.query].text)
      for v in again.videos
      for s in v.segments
    ), "not read back"
  (folder / "again.csv").unlink()


def _scores(
  name: str, given: str, truth: str
) -> Callable[[pathlib.Path], None]:
  """Scores a submission as the command does; where refused, leniently too."""
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

  return run


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


def _target(
  files: Mapping[str, str | bytes],
  run: Callable[[pathlib.Path], object],
  allowed: type[Exception] = AnnotationError,
) -> Target:
  made = {n: c.encode() if isinstance(c, str) else c for n, c in files.items()}
  return Target(made, run, allowed)


TARGETS: dict[str, dict[str, Target]] = {
  "readers": {
    "anet_captions": _target({"val_1.json": _TEXTS}, _reads("anet_captions")),
    "charades_sta": _target(
      {
        "charades_sta_test.txt": _CHARADES,
        "Charades_v1_test.csv": "id,length\nAA,33.67\n",
      },
      _reads("charades_sta"),
    ),
    "qvhighlights": _target(
      {"val.jsonl": _lines(_TRUTH, {**_TRUTH, "qid": 2})},
      _reads("qvhighlights"),
    ),
    "anet": _target({"a.json": _ANET}, _reads("anet")),
    "bsn": _target(
      {
        "anet_anno_action.json": json.dumps({"v_a": {"annotations": _ROWS}}),
        "video_info_new.csv": "video,subset\nv_a,training\n",
      },
      _reads("anet"),
    ),
    "thumos14": _target({"thumos.json": _ANET}, _reads("thumos14")),
    "coin": _target(
      {"COIN.json": _COIN, "taxonomy.csv": "action_id,action_label\n3,cut\n"},
      _reads("coin"),
    ),
    "50salads": _target({"annotations.json": _FOLDS}, _reads("50salads")),
    "kinetics": _target({"train.csv": _KINETICS}, _reads("kinetics400")),
    "custom_jsonl": _target(
      {
        "a.jsonl": _lines(
          {"video": "a.mp4", "split": "val", "segments": [_OWN, _OWN]},
          {"video": "b.mp4", "duration": 9, "segments": [{**_OWN, "x": 1}]},
        )
      },
      _reads("custom"),
    ),
    "custom_csv": _target(
      {"a.csv": 'video,start,end,text\na.mp4,1,2,"a, b"\nb.mp4,0,1,é c\n'},
      _reads("custom"),
    ),
  },
  "submissions": {
    "qvhighlights": _target(
      {"p.jsonl": _lines(_FOUND), "g.jsonl": _lines(_TRUTH)},
      _scores("qvhighlights", "p.jsonl", "g.jsonl"),
    ),
    "results": _target(
      {
        "p.json": json.dumps(
          {"results": {"v_a": [{"sentence": "é", "timestamp": [0, 2]}]}}
        ),
        "g.json": _TEXTS,
      },
      _scores("anet_captions", "p.json", "g.json"),
    ),
    "charades_sta": _target(
      {"p.jsonl": _lines(_ANSWER), "g.txt": _CHARADES},
      _scores("charades_sta", "p.jsonl", "g.txt"),
    ),
    "anet": _target(
      {"p.json": json.dumps({"results": {"v": _SCORED}}), "g.json": _ANET},
      _scores("anet", "p.json", "g.json"),
    ),
    "coin": _target(
      {"p.jsonl": _lines(_FRAMES), "g.json": _COIN},
      _scores("coin", "p.jsonl", "g.json"),
    ),
    "frames": _target(
      {"p.jsonl": _lines(_FRAMES), "g.jsonl": _lines(_FRAMES)},
      _scores("segmentation", "p.jsonl", "g.jsonl"),
    ),
    "npz": _target(
      {"p.npz": _npz()}, _scores("segmentation", "p.npz", "p.npz")
    ),
    "classes_json": _target(
      {
        "p.json": '{"a": [0.1, 0.9], "b": {"scores": {"0": 1, "1": 2}}}',
        "g.json": '{"a": 1, "b": {"labels": [0, 1]}}',
      },
      _scores("classification", "p.json", "g.json"),
    ),
    "classes_csv": _target(
      {"p.csv": "video,run,jump\na,0.3,0.2\n", "g.csv": "video,label\na,run\n"},
      _scores("classification", "p.csv", "g.csv"),
    ),
  },
  "config": {
    "config": _target(
      {"config.json": schema.base().to_json()}, _config, ValueError
    )
  },
}
