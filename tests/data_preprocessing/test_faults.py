"""What is wrong is said in a line, and nothing is lost without a word."""

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from data_preprocessing import build, build_plan, inspect, lookup
from data_preprocessing.synthetic import __main__ as synthetic
from tests.data_preprocessing import custom
from unloc_jax.annotations import BENCHMARKS
from unloc_jax.annotations.records import VideoAnnotation
from unloc_jax.data import manifest as manifests
from unloc_jax.media.errors import Reason, VideoError

REQUIRED = ["--dataset=custom", "--annotations=a", "--videos=v", "--data_dir=d"]


def said(capsys) -> str:
  """The one line on stderr."""
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: ")
  return line


@pytest.mark.parametrize(
  ("given", "beam"),
  [
    (["--beam", "--runner=FlinkRunner"], "--runner=FlinkRunner"),
    (["--beam=--runner=X"], "--runner=X"),
    (["--beam", "--runner=X --a=b"], "--runner=X --a=b"),
    (["--beam", "--runner=X", "--a", "b", "--c=d"], "--runner=X --a b --c=d"),
    (["--beam", "--runner=X", "--workers=3", "--a=b"], "--runner=X --a=b"),
    ([], ""),
  ],
)
def test_beams_options_are_passed_through(given, beam):
  args = build.parse([*given, *REQUIRED])
  assert args.beam == beam
  assert args.dataset == "custom"
  assert build.parse([*REQUIRED, *given]).beam == beam


@pytest.mark.parametrize(
  "given", [["--wokers=3"], ["--wokers=3", "--beam", "--runner=X"], ["--beam"]]
)
def test_other_unknown_options_are_refused(given):
  with pytest.raises(SystemExit, match=given[0]):
    build.parse([*REQUIRED, *given])


def test_imported_features_need_their_rate(tmp_path, capsys):
  (tmp_path / "in").mkdir()
  np.save(tmp_path / "in" / "a.npy", np.ones((20, 4), np.float32))
  segments = [{"start": 0, "end": 1, "text": "a"}]
  custom.write_lines(
    tmp_path / "train.jsonl", [{"video": "a.mp4", "segments": segments}]
  )
  imported = [*custom.flags(tmp_path), "--extract=features"]
  assert build.main(imported) == 1
  assert "--frame_rate" in said(capsys)
  assert build.main([*imported, "--frame_rate=10"]) == 0
  built = manifests.read_manifest(tmp_path / "out" / "custom" / "1.0.0")
  assert built.frame_rate == 10.0


def test_a_split_without_a_segment_is_said(tmp_path, film, capsys):
  film(tmp_path / "in" / "a.mp4", [i / 10 for i in range(20)])
  for split in ("train", "test"):
    rows = {"qid": 1, "query": "it", "vid": "a", "duration": 2.0}
    windows = [[0, 1]] if split == "train" else []
    rows["relevant_windows"] = windows
    (tmp_path / f"{split}.jsonl").write_text(json.dumps(rows))
  notes = [f"--annotations={tmp_path}", "--dataset=qvhighlights"]
  assert build.main([*custom.flags(tmp_path), *notes]) == 0
  assert "WARNING, no segment in split test." in capsys.readouterr().out
  report = tmp_path / "out" / "qvhighlights" / "1.0.0" / "report.md"
  assert "No video of split test has a segment" in report.read_text()
  assert "split train has" not in report.read_text()


def test_videos_of_one_name_are_remarked(tmp_path):
  for name in ("one/a.mp4", "two/a.MKV", "b.webm", "one/c.mp4", "one/c.mkv"):
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1")
  (tmp_path / "in" / "one" / "c.mp4").unlink()
  (tmp_path / "in" / "one" / "c.mp4").symlink_to("nothing")
  benchmark = BENCHMARKS["anet_captions"]
  entry = {"duration": 2.0, "timestamps": [[0, 1]], "sentences": ["x"]}
  (tmp_path / "train.json").write_text(
    json.dumps({f"v_{name}": entry for name in "abc"})
  )
  annotations = benchmark.read(tmp_path)
  settings = build_plan.Settings("anet_captions")
  folders = [str(tmp_path / "in")]
  plan = build_plan.make(
    benchmark, annotations, settings, folders, str(tmp_path)
  )
  names = [job.name for job in plan.jobs["train"]]
  assert names == ["one/a.mp4", "b.webm", "one/c.mkv"]
  assert annotations.notes("train").notes == [
    "v_a: one/a.mp4 is built, not two/a.MKV",
    "v_c: one/c.mkv is built, not one/c.mp4",
  ]


def test_features_are_found_where_their_videos_lie(tmp_path):
  """And a file that serves two videos is remarked."""
  for name in ("one/cam.npy", "two/cam.npy", "only.npy"):
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.ones((20, 4), np.float32))
  segments = [{"start": 0, "end": 1, "text": "a"}]
  ids = ("one/cam.mp4", "two/cam.mp4", "x/only.mp4", "y/only.mp4")
  custom.write_lines(
    tmp_path / "train.jsonl", [{"video": i, "segments": segments} for i in ids]
  )
  annotations = BENCHMARKS["custom"].read(tmp_path / "train.jsonl")
  plan = build_plan.make(
    BENCHMARKS["custom"],
    annotations,
    build_plan.Settings("custom", "features"),
    [str(tmp_path / "in")],
    str(tmp_path),
  )
  names = {j.annotation.video_id: j.name for j in plan.jobs["train"]}
  assert list(names.values()) == [
    *("one/cam.npy", "two/cam.npy"),
    *("only.npy", "only.npy"),
  ]
  assert annotations.notes("train").notes == [
    "y/only.mp4: only.npy is read for x/only.mp4 too"
  ]


def test_links_that_loop_are_followed_once(tmp_path):
  folder = tmp_path / "in" / "deep"
  folder.mkdir(parents=True)
  (folder / "a.mp4").write_bytes(b"1")
  for name in ("here", "there"):
    (folder / name).symlink_to(tmp_path / "in")
  index = lookup.VideoIndex(str(tmp_path / "in"))
  video = VideoAnnotation("a", "train", None, (), ())
  assert index.find(video).name == "deep/a.mp4"


@pytest.mark.parametrize("path", [None, "a.mp4"])
def test_a_pipe_is_no_video(tmp_path, path):
  os.mkfifo(tmp_path / "a.mp4")
  video = VideoAnnotation("a", "train", None, (), (), path=path)
  with pytest.raises(VideoError) as caught:
    lookup.VideoIndex(str(tmp_path)).find(video)
  assert caught.value.reason == Reason.NOT_A_FILE


def test_names_that_are_not_utf8(tmp_path, film, capsys):
  """A folder's name is of no matter; the dataset's own must be readable."""
  film(tmp_path / "a.mp4", [i / 10 for i in range(20)])
  odd = os.fsencode(tmp_path / "in") + b"/caf\xe9"
  os.makedirs(odd)
  os.rename(os.fsencode(tmp_path / "a.mp4"), odd + b"/v_a.mp4")
  with open(odd + b"/v_b.mp4", "wb") as file:
    file.write(b"no video")
  entry = {"duration": 2.0, "timestamps": [[0, 1]], "sentences": ["x"]}
  (tmp_path / "train.json").write_text(json.dumps({"a": entry, "b": entry}))
  notes = [f"--annotations={tmp_path}", "--dataset=anet_captions"]
  assert build.main([*custom.flags(tmp_path), *notes]) == 0
  out = capsys.readouterr().out
  assert "1 videos; left out: 1 not a video" in out
  report = tmp_path / "out" / "anet_captions" / "1.0.0" / "report.json"
  assert "caf\\udce9/v_b.mp4" in report.read_text()
  bad = f"--data_dir={os.fsdecode(odd)}"
  assert build.main([*custom.flags(tmp_path), *notes, bad]) == 1
  assert "not UTF-8" in said(capsys)


@pytest.mark.parametrize("broken", ["{", "[]", '{"splits": 3}', ""])
def test_a_broken_dataset_info_is_named(tmp_path, capsys, broken):
  (tmp_path / "dataset_info.json").write_text(broken)
  page = f"--html={tmp_path / 'page.html'}"
  assert inspect.main([str(tmp_path), page]) == 1
  assert f"{tmp_path}: dataset_info.json or" in said(capsys)


@pytest.mark.parametrize("source", ["3", "null", "[]"])
def test_a_broken_manifest_stops_a_build(tmp_path, capsys, source):
  built = tmp_path / "out" / "custom" / "1.0.0"
  built.mkdir(parents=True)
  (tmp_path / "in").mkdir()
  (built / "manifest.json").write_text(f'{{"format": 1, "source": {source}}}')
  custom.write_lines(
    tmp_path / "train.jsonl", [{"video": "a.mp4", "segments": []}]
  )
  assert build.main(custom.flags(tmp_path)) == 1
  assert f"{built}: holds something that is not a dataset" in said(capsys)


def test_a_place_that_cannot_be_written(tmp_path, capsys):
  (tmp_path / "file").write_text("")
  for place in (tmp_path / "file", tmp_path / "file" / "below"):
    assert synthetic.main([f"--out={place}"]) == 1
    line = said(capsys)
    assert str(tmp_path / "file") in line
    assert "correct the path" in line


def test_a_disk_that_is_full_while_videos_are_rendered(tmp_path, capsys):
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
  try:
    status = synthetic.main([f"--out={tmp_path}", "--train=1", "--workers=1"])
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert status == 1
  line = capsys.readouterr().err.splitlines()[-1]
  assert line.startswith(f"error: {tmp_path}")
  assert "File too large" in line
  assert not list(tmp_path.glob("videos/*"))


@pytest.mark.parametrize("name", ["build", "inspect", "synthetic"])
def test_commands_start_without_noise(name, tmp_path):
  given = {
    "build": [*REQUIRED, f"--annotations={tmp_path}"],
    "inspect": [str(tmp_path)],
    "synthetic": [f"--out={tmp_path}", "--train=-1"],
  }[name]
  environment = {k: v for k, v in os.environ.items() if "TF_CPP" not in k}
  done = subprocess.run(
    [sys.executable, "-m", f"data_preprocessing.{name}", *given],
    capture_output=True,
    text=True,
    check=False,
    env=environment,
  )
  assert done.returncode == 1
  assert not done.stdout
  assert done.stderr.startswith("error: ")
  assert done.stderr.count("\n") == 1
