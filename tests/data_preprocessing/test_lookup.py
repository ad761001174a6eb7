"""A video is found under any usual name, and never outside its folder."""

import unicodedata

import pytest

from data_preprocessing.lookup import VideoIndex
from unloc_jax.annotations.records import VideoAnnotation
from unloc_jax.media.errors import Reason, VideoError


def video(video_id, **more):
  return VideoAnnotation(video_id, "train", None, (), (), **more)


@pytest.mark.parametrize(
  ("file", "wanted"),
  [
    ("v_abc.mp4", "v_abc"),
    ("v_abc.mp4", "abc"),
    ("abc.MKV", "v_abc"),
    ("deep/er/-abc d.webm", "-abc d"),
    (unicodedata.normalize("NFD", "été.avi"), "été"),
    ("x_0.0_150.0.mp4", "x_0.0_150.0"),
  ],
)
def test_found_by_id(tmp_path, file, wanted):
  path = tmp_path / file
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(b"12345")
  found = VideoIndex(str(tmp_path)).find(video(wanted))
  assert (found.name, found.size) == (file, 5)


def test_other_names_and_preferred_extensions(tmp_path):
  for name in ("yid.webm", "yid.mp4", "notes.txt", "other.txt"):
    (tmp_path / name).write_bytes(b"1")
  index = VideoIndex(str(tmp_path))
  clip = video("yid_000001_000011", names=("yid",))
  assert index.find(clip).name == "yid.mp4"
  with pytest.raises(VideoError) as caught:
    index.find(video("notes"))
  assert caught.value.reason == Reason.MISSING


@pytest.mark.parametrize(
  "path", ["../x.mp4", "/etc/passwd", "a/../../x.mp4", "gs://bucket/x.mp4"]
)
def test_paths_stay_inside(tmp_path, path):
  with pytest.raises(VideoError) as caught:
    VideoIndex(str(tmp_path)).find(video("v", path=path))
  assert caught.value.reason == Reason.OUTSIDE


def test_absolute_paths_by_flag(tmp_path):
  (tmp_path / "in").mkdir()
  (tmp_path / "x.mp4").write_bytes(b"1")
  index = VideoIndex(str(tmp_path / "in"), allow_absolute=True)
  target = str(tmp_path / "x.mp4")
  assert index.find(video("v", path=target)).path == target
  with pytest.raises(VideoError) as caught:
    index.find(video("v", path="none.mp4"))
  assert caught.value.reason == Reason.MISSING


def test_no_such_folder(tmp_path):
  with pytest.raises(FileNotFoundError, match="--videos"):
    VideoIndex(str(tmp_path / "none"))
