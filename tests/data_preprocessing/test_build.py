"""A folder of videos becomes a dataset, whatever is wrong with some of them."""

import collections
import errno
import importlib
import io
import json
import math
import pathlib
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from data_preprocessing import build, builder, cache
from data_preprocessing import report as reports
from data_preprocessing.settings import BuildError
from tests.data_preprocessing import custom
from unloc_jax.data import manifest as manifests

WHOLE = [{"start": 0, "end": 1, "text": "a"}]


@pytest.fixture(scope="module")
def source(tmp_path_factory, film):
  """Twenty short videos and what is said of them, good and bad."""
  folder = tmp_path_factory.mktemp("source")
  lines = []
  for i in range(20):
    name = f"sub {i % 3}/clip é {i}.mp4"
    film(folder / "in" / name, [k / 20 for k in range(10 + 2 * i)], rate=20)
    segments = [
      {"start": 0.1, "end": 0.3, "text": f"first {i}", "who": i},
      {"start": 0.2, "end": 0.6 + 0.1 * i, "text": "later"},
    ]
    lines.append({"video": name, "segments": segments})
  broken = folder / "in" / "broken.mp4"
  broken.write_bytes(b"this is not a video")
  for name in ("broken.mp4", "gone.mp4", "../out.mp4"):
    lines.append({"video": name, "segments": WHOLE})
  custom.write_lines(folder / "train.jsonl", lines)
  return folder


def flags(source, out):
  return [*custom.flags(source, out), "--short_side=32"]


def run(source, out, *more, annotations="train.jsonl"):
  notes = f"--annotations={source / annotations}"
  return build.main([*flags(source, out), notes, *more])


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
  out = tmp_path_factory.mktemp("built")
  assert run(source, out) == 0
  return out / "custom" / "1.0.0"


def contents(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(folder, split="train"):
  builder = tfds.builder_from_directory(folder)
  decoders = {"frames": tfds.decode.SkipDecoding()}
  return list(tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)))


def test_examples_hold_what_the_schema_says(built, read_number):
  found = {e["video_id"].decode(): e for e in read(built)}
  assert len(found) == 20
  example = found["sub 1/clip é 7.mp4"]
  assert example["duration"] == pytest.approx(24 / 20, abs=1e-3)
  assert example["frame_count"] == len(example["frames"]) == 12
  np.testing.assert_array_equal(
    example["timestamps"], [i / 10 for i in range(12)]
  )
  images = [np.asarray(Image.open(io.BytesIO(j))) for j in example["frames"]]
  assert images[0].shape == (32, 43, 3)
  assert [read_number(image) for image in images] == list(range(0, 24, 2))
  assert list(example["queries"]["text"]) == [b"first 7", b"later"]
  assert json.loads(example["queries"]["annotation"][0]) == {"who": 7}
  segments = example["segments"]
  # Exact: doubles, not single precision.
  assert list(segments["start"]) == [0.1, 0.2]
  assert list(segments["end"]) == [0.3, example["duration"]]
  assert list(segments["query"]) == [0, 1]


def test_report_and_manifest(built):
  report = json.loads((built / "report.json").read_text())
  train = report["splits"]["train"]
  assert train["annotated"] == {"videos": 23, "queries": 43, "segments": 43}
  assert train["built"]["videos"] == 20
  assert [m["video_id"] for m in train["missing"]] == ["gone.mp4"]
  assert {b["video_id"]: b["reason"] for b in train["broken"]} == {
    "broken.mp4": "not a video",
    "../out.mp4": "outside the video folder",
  }
  assert train["segments_clipped"]["at_decoded_end"] > 0
  text = (built / "report.md").read_text()
  assert "broken.mp4 (broken.mp4): not a video" in text
  manifest = manifests.read_manifest(built)
  counts = manifests.SplitCounts(**train["built"])
  assert manifest.splits == {"train": counts}
  assert (manifest.extract, manifest.frame_rate) == ("frames", 10.0)


def test_two_workers_write_the_same_bytes(source, built, tmp_path):
  assert run(source, tmp_path, "--workers=2") == 0
  assert contents(built) == contents(tmp_path / "custom" / "1.0.0")


def test_a_finished_build_is_not_redone(source, built, capsys):
  before = {p: p.stat().st_mtime_ns for p in built.iterdir()}
  assert run(source, built.parent.parent, "--workers=2") == 0
  assert "nothing to do" in capsys.readouterr().out
  assert {p: p.stat().st_mtime_ns for p in built.iterdir()} == before


def test_other_settings_do_not_overwrite(source, built, capsys):
  assert run(source, built.parent.parent, "--frame_rate=5") == 1
  assert "frame_rate 10.0 -> 5.0" in capsys.readouterr().err


def test_killed_and_started_again(source, built, tmp_path):
  process = subprocess.Popen(
    [sys.executable, "-m", build.__name__, *flags(source, tmp_path)],
    cwd=pathlib.Path(__file__).parents[2],
    stderr=subprocess.DEVNULL,
  )
  home = tmp_path / "custom"
  done = []
  while process.poll() is None and len(done) <= 3:
    time.sleep(0.05)
    done = list((home / "1.0.0.partial").glob("??/*.json"))
  process.send_signal(signal.SIGKILL)
  process.wait()
  assert not (home / "1.0.0").exists()
  assert len(done) > 3
  # What is found is believed: this build does not decode it again.
  kept = json.loads(done[0].read_text())
  done[0].write_text(json.dumps({**kept, "damaged": 12.5, "remark": "odd"}))
  # What a kill leaves at other moments, or with other settings.
  done[1].with_suffix(".zip").rename(done[1].with_name(".ab12.part.zip"))
  done[1].unlink()
  (done[2].parent / "of_other_settings.zip").write_text("")
  (home / "incomplete.AB12CD_1.0.0").mkdir()
  assert run(source, tmp_path) == 0
  assert [p.name for p in home.iterdir()] == ["1.0.0"]
  (data,) = built.glob("*.tfrecord*")
  assert contents(home / "1.0.0")[data.name] == data.read_bytes()
  report = json.loads((home / "1.0.0" / "report.json").read_text())
  (damaged,) = report["splits"]["train"]["damaged"]
  assert damaged == {"video_id": kept["video_id"], "seconds": 12.5}
  (remark,) = report["splits"]["train"]["remarks"]
  assert remark == {"video_id": kept["video_id"], "remark": "odd"}


BAD_DECODER = """
import os, time
from data_preprocessing.cache import make as whole

def make(job, *rest):
  if job.name in ("sub 1/clip é 7.mp4", "sub 1/clip é 10.mp4"):
    os._exit(11)
  if "17" in job.name:
    time.sleep(600)
  return whole(job, *rest)
"""


def test_what_crashes_or_hangs_costs_its_video_alone(
  source, built, tmp_path, monkeypatch
):
  # In a module of its own: a new process imports what it is to run.
  (tmp_path / "bad_decoder.py").write_text(BAD_DECODER)
  monkeypatch.syspath_prepend(tmp_path)
  bad = importlib.import_module("bad_decoder")
  monkeypatch.setattr(cache, "make", bad.make)
  assert run(source, tmp_path, "--workers=2", "--stall_seconds=12") == 0
  folder = tmp_path / "custom" / "1.0.0"
  report = json.loads((folder / "report.json").read_text())
  broken = {
    line["video_id"]: (line["reason"], line["detail"])
    for line in report["splits"]["train"]["broken"]
    if "clip" in line["video_id"]
  }
  crash = ("crashed the decoder", "the decoder crashed (exit 11)")
  assert broken == {
    **{f"sub 1/clip é {i}.mp4": crash for i in (7, 10)},
    "sub 2/clip é 17.mp4": ("stalled the decoder", "no progress in 12 s"),
  }
  whole = {e["video_id"]: e["duration"] for e in read(built)}
  for example in read(folder):
    assert whole[example["video_id"]] == example["duration"]
  del sys.modules["bad_decoder"]


def test_threshold(source, tmp_path, capsys):
  # What passes is a whole build; that is tested elsewhere.
  given = ("", "3", "20%", "12%")
  most = [reports.most_left_out(text, 23) for text in given]
  assert most == [math.inf, 3, 4, 2]
  assert run(source, tmp_path, "--max-missing=2") == 1
  assert "3 of 23 videos are missing or broken" in capsys.readouterr().err
  assert not (tmp_path / "custom" / "1.0.0").exists()
  partial = tmp_path / "custom" / "1.0.0.partial"
  assert "gone.mp4" in (partial / "report.md").read_text()


@pytest.mark.parametrize("text", ["x", "-1", "101%", "%"])
def test_threshold_must_make_sense(text):
  with pytest.raises(BuildError, match="--max-missing"):
    reports.most_left_out(text, 23)


def test_only_broken_videos_still_finish(source, tmp_path, capsys):
  lines = [{"video": "broken.mp4", "segments": WHOLE}]
  custom.write_lines(source / "bad.jsonl", lines)
  assert run(source, tmp_path, annotations="bad.jsonl") == 0
  assert "WARNING, the dataset is empty" in capsys.readouterr().out
  report = tmp_path / "custom" / "1.0.0" / "report.json"
  assert "not a video" in report.read_text()


@pytest.mark.parametrize(
  ("flags", "says"),
  [
    (["--frame_rate=0"], "--frame_rate 0.0"),
    (["--frame_rate=inf"], "--frame_rate inf: above 0, at most 1000"),
    (["--stall_seconds=nan"], "--stall_seconds nan"),
    (["--jpeg_quality=99"], "--jpeg_quality 99"),
    (["--short_side=-1"], "--short_side -1"),
    (["--workers=0"], "--workers 0"),
    (["--checkpoint=x"], "add --extract features"),
    (["--videos=/no/such/place"], "no such folder"),
    (["--annotations=/no/such/place"], "no annotation file"),
    (["--dataset=nothing"], "choose from"),
  ],
)
def test_bad_flags_are_said_at_once(source, tmp_path, capsys, flags, says):
  assert run(source, tmp_path, *flags) == 1
  error = capsys.readouterr().err
  assert says in error
  assert len(error.splitlines()) == 1


@pytest.mark.parametrize("limit", [1_000, 30_000])
def test_a_full_disk_is_said_and_nothing_looks_finished(
  source, tmp_path, capsys, limit
):
  # A limit on file sizes fails as a full disk does, with another errno: the
  # first in examples, the second in shards.
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
  try:
    assert run(source, tmp_path) == 1
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  said = capsys.readouterr().err
  assert "Traceback" not in said
  error = said.splitlines()[-1]
  assert "File too large" in error
  assert "run the same command to go on" in error
  assert not (tmp_path / "custom" / "1.0.0").exists()


def test_a_folder_that_cannot_be_made_is_said(source, tmp_path, capsys):
  (tmp_path / "file").write_text("no folder")
  assert run(source, tmp_path / "file" / "out") == 1
  said = capsys.readouterr().err
  assert said.startswith("error: ")
  assert "Not a directory; make room or correct the path" in said
  assert said.count("\n") == 1


def test_a_disk_that_is_full_at_the_very_end(
  source, tmp_path, capsys, monkeypatch
):
  def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device", "manifest.json")

  monkeypatch.setattr(builder.VideoDataset, "_finish", full)
  assert run(source, tmp_path) == 1
  said = capsys.readouterr().err.splitlines()[-1]
  assert said.startswith("error: manifest.json: No space left on device;")
  assert not (tmp_path / "custom" / "1.0.0").exists()
  monkeypatch.undo()
  assert run(source, tmp_path) == 0
  assert (tmp_path / "custom" / "1.0.0" / "manifest.json").exists()


def test_a_second_build_of_the_same_dataset_waits_for_no_one(
  source, tmp_path, capsys
):
  import fcntl

  work = tmp_path / "custom" / "1.0.0.partial"
  work.mkdir(parents=True)
  with (work / "lock").open("w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    assert run(source, tmp_path) == 1
  assert "another build of this dataset is running" in capsys.readouterr().err


def test_captions_across_splits(tmp_path, film):
  for name in ("aaa", "bbb"):
    film(tmp_path / "in" / f"v_{name}.mp4", [i / 10 for i in range(30)])
  entry = {
    "duration": 3.0,
    "timestamps": [[0, 1], [2, 9]],
    "sentences": ["one", "two"],
    "kinds": ["x", "y"],
  }
  (tmp_path / "notes").mkdir()
  for name, ids in (("train", "aaa bbb"), ("val_1", "aaa"), ("unseen", "bbb")):
    (tmp_path / "notes" / f"{name}.json").write_text(
      json.dumps({f"v_{i}": entry for i in ids.split()})
    )
  notes = f"--annotations={tmp_path / 'notes'}"
  kind = ["--dataset=anet_captions", "--frame_rate=4"]
  assert build.main([*custom.flags(tmp_path), notes, *kind]) == 0
  folder = tmp_path / "out" / "anet_captions" / "1.0.0"
  counts = collections.Counter(
    split for split in ("train", "val", "unseen") for _ in read(folder, split)
  )
  assert counts == {"train": 2, "val": 1, "unseen": 1}
  (example,) = read(folder, "val")
  assert [json.loads(a) for a in example["queries"]["annotation"]] == [
    {"kinds": "x"},
    {"kinds": "y"},
  ]
  report = (folder / "report.md").read_text()
  assert "officially 10,009" in report
  info = json.loads((folder / "manifest.json").read_text())
  assert info["splits"]["train"] == {"videos": 2, "queries": 4, "segments": 4}


def test_what_an_earlier_version_left_unfinished(source, tmp_path, capsys):
  work = tmp_path / "custom" / "1.0.0.partial"
  work.mkdir(parents=True)
  (work / "train-00000.log").write_text("key")
  (work / "train-00000.tfrecord").write_text("records")
  custom.write_lines(
    source / "none.jsonl", [{"video": "gone.mp4", "segments": []}]
  )
  assert run(source, tmp_path, annotations="none.jsonl") == 0
  assert "an earlier version began this build" in capsys.readouterr().err
  assert [p.name for p in work.parent.iterdir()] == ["1.0.0"]
