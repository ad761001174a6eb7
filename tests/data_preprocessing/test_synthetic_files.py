"""The files of the embedded benchmark: real, whole and the same every time."""

import fractions
import json
import pathlib

import av
import numpy as np
import pytest

from configs import synthetic_tal
from data_preprocessing.synthetic import __main__ as command
from data_preprocessing.synthetic import (
  build,
  captions,
  encode,
  files,
  random_scenes,
  render,
  scenes,
  slideshows,
)

PLAN = build.Plan(train=3, val=1, test=1, unseen=1, stills=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  out = tmp_path_factory.mktemp("synthetic") / "out"
  assert build.build(PLAN, out)
  return out


def _contents(folder: pathlib.Path) -> dict[str, bytes]:
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def _captions(folder: pathlib.Path, name: str) -> dict:
  path = folder / "annotations" / "activitynet_captions" / name
  return json.loads(path.read_text())


def _decode(path: pathlib.Path) -> tuple[np.ndarray, list[float]]:
  with av.open(path) as container:
    frames = list(container.decode(video=0))
  images = [
    np.rot90(f.to_ndarray(format="rgb24"), f.rotation // 90) for f in frames
  ]
  return np.stack(images), [f.time for f in frames]


def test_the_same_plan_gives_the_same_files(folder, tmp_path):
  contents = _contents(folder)
  videos = {name for name in contents if name.startswith("videos/")}
  assert len(videos) == 6
  assert set(contents) - videos == {
    "synthetic.json",
    "slideshows/v_stills_00000.mp4",
    "annotations/slideshows/activity_net.v1-3.min.json",
    "annotations/activitynet13/activity_net.v1-3.min.json",
    "annotations/coin/COIN.json",
    *(
      f"annotations/activitynet_captions/{n}"
      for n in files.CAPTION_FILES.values()
    ),
  }
  before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
  assert not build.build(PLAN, folder)
  assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
  build.build(PLAN, tmp_path / "again", workers=2)
  assert _contents(tmp_path / "again") == contents


def test_an_interrupted_build_goes_on(folder, tmp_path, monkeypatch):
  def fail(*unused):
    raise KeyboardInterrupt

  out = tmp_path / "out"
  with monkeypatch.context() as patch:
    patch.setattr(slideshows, "plan", fail)
    with pytest.raises(KeyboardInterrupt):
      build.build(PLAN, out)
  assert not (out / "synthetic.json").exists()
  kept = out / "videos" / "v_val_000000.mp4"
  stamp = kept.stat().st_mtime_ns
  assert build.build(PLAN, out)
  assert kept.stat().st_mtime_ns == stamp
  assert _contents(out) == _contents(folder)


def test_what_makes_no_sense_is_refused(folder, capsys):
  for arguments, message in (
    ("--train=4", "holds another benchmark"),
    ("--train=-1", "train is -1"),
    ("--val=1000000", "at most"),
    ("--min-duration=30", "min-duration"),
  ):
    assert command.main([f"--out={folder}", arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_captions_are_in_the_format_of_activitynet_captions(folder):
  for split, name in files.CAPTION_FILES.items():
    entries = _captions(folder, name)
    assert len(entries) == getattr(PLAN, split)
    for video, entry in entries.items():
      assert (folder / "videos" / f"{video}.mp4").is_file()
      count = len(entry["sentences"])
      assert len(entry["timestamps"]) == len(entry["kinds"]) == count >= 2
      for start, end in entry["timestamps"]:
        assert 0 <= start < end <= entry["duration"]
      assert set(entry["kinds"]) <= set(scenes.KINDS)


def test_class_annotations_agree_with_the_captions(folder):
  place = folder / "annotations"
  anet = json.loads(
    (place / "activitynet13" / "activity_net.v1-3.min.json").read_text()
  )
  coin = json.loads((place / "coin" / "COIN.json").read_text())["database"]
  assert set(anet["database"]) == set(coin)
  leaves = {n["nodeName"] for n in anet["taxonomy"] if n["nodeId"]}
  for split, subset in files.SUBSETS.items():
    for video, entry in _captions(folder, files.CAPTION_FILES[split]).items():
      detection, steps = anet["database"][video[2:]], coin[video[2:]]
      assert detection["subset"] == steps["subset"] == subset
      for rows in (detection["annotations"], steps["annotation"]):
        assert [row["segment"] for row in rows] == entry["timestamps"]
      assert {r["label"] for r in detection["annotations"]} <= leaves
      for row in steps["annotation"]:
        assert 1 <= int(row["id"]) <= len(scenes.ACTIONS)


def test_unseen_shares_no_triple_with_training():
  videos = build.plan_videos(build.Plan(train=60, val=20, test=20, unseen=20))
  triples = {"unseen": set(), "rest": set()}
  for video in videos:
    key = "unseen" if video.split == "unseen" else "rest"
    triples[key].update(e.triple for e in video.scene.episodes)
  assert (
    triples["unseen"] == triples["unseen"] & random_scenes.held_out_triples()
  )
  assert not triples["unseen"] & triples["rest"]
  assert len({v.scene.seed for v in videos}) == len(videos)


def test_formats_are_mixed():
  forms = [encode.draw_format(i) for i in range(300)]
  assert {f.frame_rate for f in forms} == set(encode.FRAME_RATES)
  assert len({(f.height, f.width) for f in forms}) > 10
  assert {f.rotation for f in forms} == {0, 90, 180, 270}
  assert 0.08 < np.mean([f.variable for f in forms]) < 0.22
  assert 0.08 < np.mean([f.rotation != 0 for f in forms]) < 0.22
  assert all(f.height % 2 == f.width % 2 == 0 for f in forms)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("variable", [False, True])
def test_a_player_sees_the_scene_upright_and_in_time(
  tmp_path, rotation, variable
):
  scene = random_scenes.draw_scene(1, scenes.TRIPLES, 5.0, 6.0)
  form = encode.Format(48, 64, fractions.Fraction(8), variable, rotation)
  path = tmp_path / "video.mp4"
  encode.write_video(scene, form, path)
  assert list(tmp_path.iterdir()) == [path]
  images, times = _decode(path)
  expected = encode.frame_times(scene, form)
  np.testing.assert_allclose(times, [float(t) for t in expected], atol=1e-4)
  gaps = np.diff(times)
  assert (np.ptp(gaps) > 0.05) == variable
  draw = render.Renderer(scene, 48, 64)
  assert images.shape[1:] == (48, 64, 3)
  for image, time in zip(images[::8], times[::8], strict=True):
    frame = draw(time).astype(float)
    assert np.abs(image - frame).mean() < 12
    # Turned the other way, it would be another picture.
    assert np.abs(image[::-1, ::-1] - frame).mean() > 12


def test_a_slideshow_shows_what_its_phrases_say(folder):
  place = folder / "annotations" / "slideshows"
  database = json.loads((place / "activity_net.v1-3.min.json").read_text())
  (name, entry), *others = database["database"].items()
  assert not others
  images, times = _decode(folder / "slideshows" / f"v_{name}.mp4")
  assert len(images) == entry["duration"] == slideshows.STILLS_PER_SHOW
  np.testing.assert_allclose(times, np.arange(len(times)))
  listed = {second: set() for second in range(len(times))}
  for row in entry["annotations"]:
    start, end = row["segment"]
    assert start < end < start + 1
    listed[start].add(row["label"])
  for second, image in enumerate(images):
    scene, states = random_scenes.draw_still(PLAN.first_seed("stills") + second)
    assert listed[second] == set(captions.phrases(states))
    draw = render.Renderer(scene, *image.shape[:2])
    assert np.abs(image - draw(0.0, states).astype(float)).mean() < 12


def test_unseen_classes_are_made_of_seen_words():
  config = synthetic_tal.get_config("split=zero-shot")
  seen, unseen = config.data.classes, config.eval.classes
  assert not set(seen) & set(unseen)
  assert set(seen) | set(unseen) == set(captions.CLASSES)
  words = {name.split(maxsplit=1)[part] for name in seen for part in (0, 1)}
  assert {n.split(maxsplit=1)[part] for n in unseen for part in (0, 1)} <= words
