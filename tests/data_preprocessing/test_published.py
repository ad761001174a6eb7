"""Features as they are handed round train, evaluate and export as they are."""

import json
import pickle
import re
import zipfile

import h5py
import numpy as np
import pytest

from configs import qvhighlights_mr
from data_preprocessing import build, text_files
from unloc_jax import Localizer, predict
from unloc_jax.data import manifest as manifests
from unloc_jax.data import pipeline, splits
from unloc_jax.evaluate import evaluate_run
from unloc_jax.media.errors import VideoError
from unloc_jax.training import loop
from unloc_jax.use.export_run import export_run
from unloc_jax.weights import feature_files

CLIPS, WIDTHS, TEXT = 10, {"slowfast": 5, "clip": 3}, 4
VIDEOS = [f"v{i}_0.0_20.0" for i in range(6)]


def save(path, **arrays):
  path.parent.mkdir(exist_ok=True, parents=True)
  np.savez(path, **arrays)


def pack(path, held):
  if path.suffix == ".npz":
    save(path, **held)
    return
  with h5py.File(path, "w") as file:
    for key, value in held.items():
      file[key] = value


def features(name, video, count=CLIPS):
  rng = np.random.default_rng([len(name), VIDEOS.index(video)])
  return 7 * rng.normal(size=(count, WIDTHS[name])).astype(np.float32)


def tokens(query, length=None):
  rng = np.random.default_rng(query)
  return 3 * rng.normal(size=(length or 2 + query % 5, TEXT))


def row(query, video):
  return {
    "qid": query,
    "query": f"sentence {query}",
    "vid": video,
    "duration": 20,
    "relevant_windows": [[4, 10]],
    "relevant_clip_ids": [2, 3, 4],
    "saliency_scores": [[1, 2, 3]] * 3,
  }


@pytest.fixture
def raw(tmp_path):
  """Two queries of each video, two folders of its features, one of texts."""
  for i, video in enumerate(VIDEOS):
    for name in WIDTHS:
      kind = np.float16 if name == "clip" else np.float32
      found = features(name, video).astype(kind)
      save(tmp_path / name / f"{video}.npz", features=found)
    for query in (2 * i, 2 * i + 1):
      rows = tokens(query).astype(np.float16)
      place = tmp_path / "texts" / f"qid{query}.npz"
      save(place, last_hidden_state=rows, pooler_output=rows[-1])
  (tmp_path / "notes").mkdir()
  for split, chosen in (("train", VIDEOS), ("val", VIDEOS[:2])):
    lines = [
      json.dumps(row(2 * VIDEOS.index(video) + k, video))
      for video in chosen
      for k in range(2)
    ]
    place = tmp_path / "notes" / f"highlight_{split}_release.jsonl"
    place.write_text("\n".join(lines))
  return tmp_path


def make(raw, out="out", *more, videos=("slowfast", "clip"), texts="texts"):
  """Builds it; returns the exit code."""
  return build.main(
    [
      *("--dataset=qvhighlights", "--extract=features", "--workers=1"),
      *("--videos", *(str(raw / folder) for folder in videos)),
      f"--annotations={raw / 'notes'}",
      f"--data_dir={raw / out}",
      *([f"--texts={raw / texts}"] if texts else []),
      *(more or ["--frame_rate=0.5"]),
    ]
  )


def place(raw, out="out"):
  return raw / out / "qvhighlights" / "1.0.0"


def report(raw, split="train", out="out"):
  path = place(raw, out) / "report.json"
  return json.loads(path.read_text())["splits"][split]


def config_of(path):
  """The published recipe at the sizes of these features."""
  c = qvhighlights_mr.get_config("features").copy_and_resolve_references()
  c = c.unlock()
  c.data.path, c.data.num_frames, c.data.max_tokens = str(path), 16, 4
  c.data.embedding_width, c.data.text_width = sum(WIDTHS.values()), TEXT
  c.data.max_queries, c.data.num_workers = 2, 1
  c.pyramid.ranges = c.pyramid.ranges[:2]
  c.model.width = c.model.stem.width = 16
  c.model.fusion.num_layers, c.model.fusion.num_heads = 1, 2
  c.model.fusion.mlp_dim, c.model.head.num_layers = 32, 1
  c.train.length, c.train.batch_size, c.train.num_videos = 2.0, 4, 0
  c.optimizer.warmup, c.eval.batch_size, c.eval.num_drawn = 0.0, 4, 0
  c.eval.every = c.checkpoint.every = 0.0
  return c.lock()


def unit(rows):
  return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_they_are_stored_as_published_readers_read_them(raw, capsys):
  """Two files are a clip shorter: the others are cut to them."""
  short = VIDEOS[1]
  found = features("clip", short, CLIPS - 1)
  save(raw / "clip" / f"{short}.npz", features=found)
  assert make(raw) == 0
  assert "8 videos; left out: none" in capsys.readouterr().out
  manifest = manifests.read_manifest(place(raw))
  assert (manifest.embedding_width, manifest.text_width) == (8, TEXT)
  assert manifest.frame_rate == 0.5
  assert manifest.normalisation == "l2 of 5+3 channels"
  assert manifest.tower_hash == "slowfast+clip+texts"
  config = config_of(place(raw))
  batch = next(pipeline.make_eval(config, batch_size=8, split="train"))
  table = splits.open_split(config, "train").table
  for i, index in enumerate(batch["example_index"][:6]):
    video = table[index].video_id
    wanted = np.concatenate(
      [unit(features(name, video)) for name in WIDTHS], axis=1
    )
    count = CLIPS - (video == short)
    rows = batch["streams"]["embeddings"][i]
    np.testing.assert_allclose(rows[:count], wanted[:count], atol=1e-3)
    np.testing.assert_array_equal(batch["frame_mask"][i], np.arange(16) < count)
    assert not rows[count:].any()
    for k, query in enumerate(table[index].query_ids):
      said = tokens(int(query)).astype(np.float16)
      # Longer texts are cut as tokenizers cut them: the last token stays.
      said = said if len(said) <= 4 else np.concatenate([said[:3], said[-1:]])
      np.testing.assert_array_equal(batch["text_ids"][i, k, : len(said)], said)
      assert not batch["text_ids"][i, k, len(said) :].any()
  # Training draws queries; their texts go with them.
  one = config.copy_and_resolve_references().unlock()
  one.data.max_queries = 1
  batch = next(pipeline.make_train(one.lock(), batch_size=4, seed=1))
  firsts = {tuple(tokens(q)[0].astype(np.float16)) for q in range(12)}
  for text in batch["text_ids"][:, 0]:
    assert tuple(text[0].astype(np.float16)) in firsts


@pytest.mark.parametrize("name", ["texts.npz", "texts.h5"])
def test_one_file_by_query_id(raw, name):
  """A vector a query is a text of one token; `qidID` is a name, too."""
  held = {f"qid{q}" if q % 2 else str(q): tokens(q)[0] for q in range(12)}
  pack(raw / name, held)
  assert make(raw, texts=name) == 0
  config = config_of(place(raw))
  batch = next(pipeline.make_eval(config, batch_size=2, split="val"))
  table = splits.open_split(config, "val").table
  for i, index in enumerate(batch["example_index"]):
    wanted = [tokens(int(q))[0] for q in table[index].query_ids]
    np.testing.assert_allclose(batch["text_ids"][i, :, 0], wanted, rtol=1e-6)
    assert not batch["text_ids"][i, :, 1:].any()


@pytest.mark.parametrize("name", ["all.npz", "all.h5"])
def test_one_file_of_many_videos(raw, name):
  """In place of a folder, beside one, and in a folder of its own."""
  layouts = ("{}", "{}/c3d_features", "train/{}.mp4")
  held = {
    layouts[i % 3].format(video): features("slowfast", video)
    for i, video in enumerate(VIDEOS[:-1])
  }
  pack(raw / name, held)
  assert make(raw, videos=(name, "clip")) == 0
  assert report(raw)["built"]["videos"] == 5
  (missing,) = report(raw)["missing"]
  assert f"no file named {VIDEOS[-1]}" in missing["detail"]
  assert manifests.read_manifest(place(raw)).tower_hash == f"{name}+clip+texts"
  config = config_of(place(raw))
  batch = next(pipeline.make_eval(config, batch_size=5, split="train"))
  table = splits.open_split(config, "train").table
  for i, index in enumerate(batch["example_index"]):
    video = table[index].video_id
    parts = [unit(features(folder, video)) for folder in WIDTHS]
    rows = batch["streams"]["embeddings"][i, :CLIPS]
    np.testing.assert_allclose(rows, np.concatenate(parts, axis=1), atol=1e-3)


class Evil:
  def __reduce__(self):
    return exec, ("raise SystemExit('it ran')",)


# What is put in place of a query's text -> what the report says of it.
BAD_TEXTS = (
  (None, "texts has neither 0 nor qid0"),
  (b"", "texts/qid1.npz: an empty file"),
  ({}, "texts/qid2.npz: holds nothing"),
  (b"PK\3\4abc", "texts/qid3.npz: cannot be read"),
  ({"a": np.ones(2), "b": np.ones(3)}, "texts/qid4.npz: holds a, b; one"),
  ({"last_hidden_state": np.ones((2, 9))}, "9 channels, the dataset's"),
  ({"last_hidden_state": np.ones((2, 3, 4))}, "qid6.npz: shape (2, 3, 4)"),
  ({"last_hidden_state": np.ones((0, TEXT))}, "qid7.npz: shape (0, 4)"),
  ({"x": np.full((2, TEXT), 1e300)}, "not all numbers are finite"),
  ({"x": np.array(["a"])}, "texts/qid9.npz: holds <U1, not numbers"),
  ({"x": np.array([Evil()], dtype=object)}, "texts/qid10.npz: cannot be read"),
)


def test_a_text_that_cannot_be_used_costs_its_query(raw):
  """Of videos without any other, all that is left out says why."""
  for query, (content, _) in enumerate(BAD_TEXTS):
    path = raw / "texts" / f"qid{query}.npz"
    path.unlink()
    if isinstance(content, bytes):
      path.write_bytes(content)
    elif content is not None:
      save(path, **content)
  # Queries that can be read go with them.
  lines = [json.dumps(row(q, VIDEOS[q % 6])) for q in range(12)]
  (raw / "notes" / "highlight_val_release.jsonl").unlink()
  notes = raw / "notes" / "highlight_train_release.jsonl"
  lines += [json.dumps(row(20 + i, VIDEOS[i])) for i in range(1, 6)]
  notes.write_text("\n".join(lines))
  for i in range(1, 6):
    save(raw / "texts" / f"{20 + i}.npz", pooler_output=tokens(i)[0])
  assert make(raw) == 0
  said = {r["video_id"]: r["remark"] for r in report(raw)["remarks"]}
  broken = {r["video_id"]: r["detail"] for r in report(raw)["broken"]}
  assert list(broken) == [VIDEOS[0]]
  for query, (_, says) in enumerate(BAD_TEXTS):
    remark = (broken | said)[VIDEOS[query % 6]]
    assert f"query {query}: " in remark
    assert says in remark
    assert str(raw) not in remark
  assert report(raw)["built"] == {"videos": 5, "queries": 6, "segments": 6}
  table = splits.open_split(config_of(place(raw)), "train").table
  kept = sorted(q for video in table.videos for q in video.query_ids)
  assert kept == ["11", "21", "22", "23", "24", "25"]


def test_videos_that_cannot_be_used_are_left_out_in_a_line(raw):
  wrong = {
    0: None,
    1: np.ones((CLIPS + 2, 3)),
    2: np.ones((CLIPS, 4)),
    3: np.full((CLIPS, 3), np.inf),
  }
  for i, found in wrong.items():
    path = raw / "clip" / f"{VIDEOS[i]}.npz"
    path.unlink()
    if found is not None:
      save(path, features=found)
  (raw / "clip" / f"{VIDEOS[4]}.npz").write_bytes(b"")
  for query in (10, 11):
    (raw / "texts" / f"qid{query}.npz").unlink()
  # One video is left, by which widths are known.
  save(raw / "clip" / f"{VIDEOS[0]}b.npz", features=np.ones((CLIPS, 3)))
  assert make(raw) == 0  # An empty dataset, of which the last line warns.
  for query in (10, 11):
    save(raw / "texts" / f"qid{query}.npz", x=tokens(query))
  text_files._opened.cache_clear()  # A process lists the folder once.
  assert make(raw, "out", "--frame_rate=0.5", "--overwrite") == 0
  lines = {
    line["video_id"]: f"{line['reason']}: {line['detail']}"
    for line in (*report(raw)["broken"], *report(raw)["missing"])
  }
  for i, says in enumerate(
    (
      "missing: clip: no file named",
      f"10 in slowfast/{VIDEOS[1]}.npz, 12 in clip/{VIDEOS[1]}.npz",
      "9 channels, the dataset has 8",
      f"clip/{VIDEOS[3]}.npz: not all numbers are finite",
      f"clip/{VIDEOS[4]}.npz: an empty file",
    )
  ):
    assert says in lines[VIDEOS[i]]
  assert report(raw)["built"]["videos"] == 1


@pytest.mark.parametrize(
  ("changes", "says"),
  [
    ({"texts": "nothing"}, "nothing: give a folder, or one .npz or .h5 file"),
    ({"texts": "notes"}, "no features of a text can be read; query"),
    ({"texts": "broken.npz"}, "broken.npz: cannot be read"),
    ({"texts": "broken.h5"}, "broken.h5: cannot be read"),
    ({"videos": ("slowfast", "none")}, "none: no such folder"),
    ({"videos": ("broken.npz", "clip")}, "broken.npz: cannot be read"),
    ({"videos": ("slowfast", "broken.h5")}, "broken.h5: cannot be read"),
    ({"videos": ("slowfast", "notes")}, "can be read; notes: no file named v0"),
  ],
)
def test_places_without_features(raw, capsys, changes, says):
  for name in ("broken.npz", "broken.h5"):
    (raw / name).write_text("x")
  assert make(raw, **changes) == 1
  error = capsys.readouterr().err.strip()
  assert error.startswith("error: ")
  assert error.count("\n") == 0
  assert says in error


@pytest.mark.parametrize(
  ("held", "says"),
  [
    ({"features": np.ones(3)}, "_reconstruct, which is refused: only tensors"),
    ([1, 2], "there are no tensors with names in it"),
  ],
)
def test_a_torch_file_that_holds_more_says_what_to_save(raw, held, says):
  """As extractors leave them: NumPy's arrays, lists."""
  path = raw / "clip" / "video.pt"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("x/data.pkl", pickle.dumps(held))
  beside = raw / "slowfast" / f"{VIDEOS[0]}.npz"
  with pytest.raises(VideoError, match=re.escape(says)) as caught:
    feature_files.joined([str(beside), str(path)])
  assert caught.value.detail.startswith("clip/video.pt: ")
  assert caught.value.detail.endswith("torch.save({name: tensor}, path)")
  assert str(raw) not in caught.value.detail


@pytest.mark.usefixtures("no_pictures", "quick_start")
def test_a_run_of_features(raw, tmp_path, capsys, monkeypatch):
  """Trained, evaluated, exported, asked; other features are refused."""
  assert make(raw) == 0
  config = config_of(place(raw))
  workdir = str(tmp_path / "run")
  loop.train_and_evaluate(config, workdir)
  scored = evaluate_run(config, workdir, ["val"])["val"]
  assert scored.seen == scored.expected == 4
  folder = tmp_path / "export"
  export_run(workdir, str(folder))
  text = (folder / "README.md").read_text()
  assert "slowfast+clip+texts" in text
  assert "| val | MR-full-R1@0.5 |" in text
  assert (
    evaluate_run(config, str(folder), ["val"])["val"].headline
    == scored.headline
  )
  localizer = Localizer.from_export(folder)
  # Commands ask the one that is open.
  monkeypatch.setattr(predict, "load", lambda *_: localizer)
  rows = np.ones((CLIPS, 8), np.float32)
  video = localizer.encode_features(rows, duration=20.0)
  (answer,) = localizer.ask(video, ["a"], 3, features=[tokens(1, 9)])
  assert len(answer.moments) == 3
  for given, says in (
    (None, r"reads features of texts, .* needs the extractor"),
    ([], "of 0 texts, not of 1"),
    ([tokens(1)[:, :2]], r"wants \[L, 4\]"),
    ([tokens(1) * np.nan], "not all numbers are finite"),
  ):
    with pytest.raises(ValueError, match=says):
      localizer.ask(video, ["a"], features=given)
  film = raw / "notes" / "highlight_val_release.jsonl"
  with pytest.raises(SystemExit):
    predict.main([f"--export={folder}", f"--video={film}", "--query=a"])
  error = capsys.readouterr().err.strip().splitlines()[-1]
  assert "needs the extractor that made them (slowfast+clip+texts)" in error
  ask_files(raw, folder, capsys)
  others = {
    "tower_hash is 'clip+slowfast+texts'": {"videos": ("clip", "slowfast")},
    "embedding_width is 5": {"videos": ("slowfast",)},
    "text_width is None": {"texts": ""},
    "frame_rate is 1.0": {},
  }
  for name, (says, changes) in zip("abcd", others.items(), strict=True):
    if not changes:
      rewrite_at_twice_the_rate(raw)
    rate = 0.5 if changes else 1
    assert make(raw, name, f"--frame_rate={rate}", **changes) == 0
    other = config.copy_and_resolve_references().unlock()
    other.data.path = str(place(raw, name))
    with pytest.raises(ValueError, match="does not fit") as caught:
      evaluate_run(other, workdir, ["val"])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def ask_files(raw, export, capsys):
  """Of a folder each, or of one file of many: the same is found."""
  video = VIDEOS[0]
  first, second = map(str, (raw / "texts").glob("qid[01].*"))
  pack(raw / "all.h5", {video: features("slowfast", video)})
  clip, many = str(raw / "clip" / f"{video}.npz"), f"{raw / 'all.h5'}/{video}"
  slowfast = str(raw / "slowfast" / f"{video}.npz")
  asked = ("--query=a", f"--text_features={first}", "--query=b")
  asked = (*asked, f"--text_features={second}", "--format=json")
  found = []
  for given in ((slowfast, clip), (many, clip)):
    with pytest.raises(SystemExit) as ended:
      predict.main([f"--export={export}", "--video", *given, *asked])
    assert not ended.value.code
    found.append(json.loads(capsys.readouterr().out))
  assert found[0] == found[1]
  assert {(m["video_id"], m["query"]) for m in found[0]} == {
    (video, "a"),
    (video, "b"),
  }
  gone, none = f"{raw / 'all.h5'}/gone", ("--query=a",)
  for given, said, says in (
    (
      (clip, slowfast),
      asked,
      "l2 of 3+5 channels, but the model wants l2 of 5",
    ),
    ((clip,), asked, f"{video}: features of shape (10, 3), but the model"),
    ((gone,), asked, "all.h5 has no gone"),
    ((slowfast, clip), asked[:3], "--text_features: 1 of 2 queries"),
    ((slowfast, clip), none, "give these by --text_features"),
    (
      (slowfast, clip),
      ("--query=a", f"--text_features={clip}"),
      "tokens of shape (10, 3)",
    ),
    ((slowfast, clip), ("--query=a", "--text_features=x.npz"), "x.npz: cannot"),
  ):
    with pytest.raises(SystemExit) as ended:
      predict.main([f"--export={export}", "--video", *given, *said])
    error = capsys.readouterr().err.strip()
    error = error if ended.value.code == 1 else ended.value.code
    assert error.count("\n") == 0
    assert error.startswith("error: ")
    assert says in error


def rewrite_at_twice_the_rate(raw):
  for video in VIDEOS:
    for name in WIDTHS:
      found = features(name, video, 2 * CLIPS)
      save(raw / name / f"{video}.npz", features=found)
