"""Answers of towers that nobody trained for it: commands from end to end."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.synthetic import moments
from tests import tiny_data
from tests.films import film  # noqa: F401
from tests.use.conftest import SECONDS, TEXTS
from unloc_jax import evaluate, predict
from unloc_jax.use import untrained as loading
from unloc_jax.use.encoded import EncodedVideo
from unloc_jax.use.questions import TextRows
from unloc_jax.use.untrained import POOL, Untrained
from unloc_jax.weights.folder import load_weights, save_weights


@pytest.fixture(autouse=True)
def _cache_stays(monkeypatch):
  # The test session has a cache of programs of its own.
  for command in (predict, evaluate):
    monkeypatch.setattr(command, "keep_programs", lambda: None)


@pytest.fixture(scope="module")
def untrained(towers) -> Untrained:
  return Untrained.from_weights(towers)


@pytest.fixture
def ask(capsys, towers, untrained, monkeypatch):
  """Runs predict on the towers, open already: status, output and errors."""
  opened = "", str(towers), ""

  def load(*model):
    return untrained if model == opened else loading.load(*model)

  monkeypatch.setattr(predict, "load", load)

  def run(*arguments, weights=towers):
    flags = ["--weights", weights, *arguments]
    with pytest.raises(SystemExit) as caught:
      predict.main([str(flag) for flag in flags])
    return caught.value.code, *capsys.readouterr()

  return run


def test_a_moment_that_looks_like_the_text_is_found(untrained, videos):
  """Two seconds of frames are turned from all texts towards the one asked."""
  video = untrained.encode_video(videos[3])
  config, asker = untrained.export.config, untrained._asker
  ids = TextRows(config).captions((TEXTS[0], *POOL))
  texts = np.asarray(asker._encode(untrained._params, ids).tokens)[:, 0]
  centre = texts.mean(axis=0)
  inside = np.stack([(t >= 2.0) & (t < 4.0) for t in video.times()])
  noise = np.random.default_rng(0).standard_normal(video.tokens.shape)
  towards = inside[..., None] * (texts[0] - centre)
  tokens = np.asarray(centre + towards + 0.05 * noise, np.float32)
  video = dataclasses.replace(video, tokens=tokens)
  (found,) = untrained.localize(video, TEXTS[:1], top_k=1)
  # Frames every half a second; each stands for a quarter on either side.
  assert (found.start, found.end) == (1.75, 3.75)


def test_predict_answers_from_towers_alone(ask, videos, tmp_path):
  kept = tmp_path / "kept"
  asked = ("--video", *videos[:2], "--format", "json", "--encoded", kept)
  code, out, _ = ask(*asked, "--query", TEXTS[0], "--query", TEXTS[1])
  assert code == 0
  rows = json.loads(out)
  assert {row["query"] for row in rows} == set(TEXTS)
  assert {row["video_id"] for row in rows} == {"video_0", "video_1"}
  lengths = {
    video.video_id: video.duration
    for video in map(EncodedVideo.load, map(str, kept.glob("*.npz")))
  }
  for row in rows:
    assert 0 <= row["start"] < row["end"] <= lengths[row["video_id"]] + 1e-5
    assert 0 < row["score"] <= 1
  labels = tmp_path / "labels.txt"
  labels.write_text("\n".join(TEXTS))
  code, out, _ = ask(*asked, "--labels", labels, "--top_k", 3)
  scores = [row["score"] for row in json.loads(out)]
  assert code == 0
  assert scores[:3] == sorted(scores[:3], reverse=True)
  code, out, _ = ask(*asked, "--labels", labels, "--segment")
  assert code == 0
  ends = [row["end"] for row in json.loads(out) if row["video_id"] == "video_0"]
  assert ends == sorted(ends)


def test_towers_on_beam(ask, videos, tmp_path):
  out = tmp_path / "out"
  flags = ("--query", TEXTS[0], "--format", "jsonl", "--out", f"{out}/")
  code, _, _ = ask("--video", videos[0], *flags, "--beam=")
  assert code == 0
  assert (out / "video_0.jsonl").read_text()


def test_what_is_no_pair_ends_in_a_line(ask, towers, videos, tmp_path):
  loaded = load_weights(str(towers))
  image = {k: v for k, v in loaded.params.items() if k.startswith("image_")}
  sizes = {k: v for k, v in loaded.config["towers"].items() if k != "text"}
  save_weights(str(tmp_path / "image"), image, {"towers": sizes})
  for folder, words in (
    (tmp_path / "image", "holds no pair"),
    (tmp_path / "nothing", "is not a folder of weights"),
  ):
    flags = ("--video", videos[0], "--query", "x")
    code, _, _ = ask(*flags, weights=folder)
    assert str(code).startswith("error: ")
    assert words in str(code)


_SMALL = (".data.num_frames=8", ".eval.batch_size=8", ".eval.num_drawn=0")


def _evaluate(towers, path, workdir, *changes):
  evaluate.main(
    [
      "--training_free",
      f"--weights={towers}",
      f"--workdir={workdir}",
      f"--data={path}",
      "--split=val",
      *(f"--config{change}" for change in (*_SMALL, *changes)),
    ]
  )


def test_evaluate_scores_towers_as_it_scores_a_run(
  towers, dataset, tmp_path, capsys
):
  changes = ("=configs/anet_mr.py", ".eval.num_drawn=1")
  _evaluate(towers, dataset, tmp_path / "mr", *changes)
  assert "val: R1@0.3" in (said := capsys.readouterr().out)
  assert "(8 of 8 examples)" in said
  folder = tmp_path / "mr" / "results" / "val"
  lines = (folder / "predictions.jsonl").read_text().splitlines()
  lengths = dict(zip((f"video_{i}" for i in range(4)), SECONDS, strict=True))
  for row in map(json.loads, lines):
    found = np.array(row["pred_relevant_windows"])
    assert (np.diff(found[:, 2]) <= 0).all()
    assert (found[:, :2] >= 0).all()
    assert (found[:, 0] < found[:, 1]).all()
    assert found[:, 1].max() <= lengths[row["vid"]] + 1e-4
  assert list(folder.glob("timeline_*.png"))
  table = moments.compare(folder)
  assert table.rows


@pytest.mark.parametrize(
  ("config", "figure"),
  [
    ("anet_tal", "mAP@0.5"),
    ("coin_as", "accuracy"),
    ("synthetic_cls", "top1"),
  ],
)
def test_class_tasks_are_scored(
  config, figure, towers, classes, tmp_path, capsys
):
  _evaluate(towers, classes, tmp_path / "x", f"=configs/{config}.py")
  said = capsys.readouterr().out
  assert f"{figure} " in said
  assert "(4 of 4 examples)" in said


def test_features_of_the_image_tower_are_scored(towers, tmp_path, capsys):
  videos = [tiny_data.embedded_video(i) for i in range(3)]
  draw = np.random.default_rng(0)
  for video in videos:
    shape = len(video["embeddings"]), 16
    video["embeddings"] = draw.standard_normal(shape).astype(np.float32)
  path = tiny_data.write(tmp_path / "data", {"val": videos}, width=16)
  changes = ("=configs/anet_mr.py", ".streams=('embeddings',)")
  _evaluate(towers, path, tmp_path / "x", *changes)
  assert "(6 of 6 examples)" in capsys.readouterr().out


def test_what_cannot_be_scored_ends_in_a_line(towers, dataset, run, tmp_path):
  config = "=configs/anet_mr.py"
  for weights, workdir, words in (
    (tmp_path, tmp_path / "a", "is not a folder of weights"),
    (towers, run, "holds a run"),
  ):
    with pytest.raises(SystemExit, match=words) as caught:
      _evaluate(weights, dataset, workdir, config)
    assert "\n" not in str(caught.value)
  with pytest.raises(SystemExit, match="--training_free"):
    evaluate.main([f"--workdir={run}", f"--weights={towers}"])
