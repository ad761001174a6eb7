"""The page's handler: limits, folders, and text that stays text."""

import pathlib
import shutil
import socket

import numpy as np
import pytest

from unloc_jax import demo
from unloc_jax.use import page
from unloc_jax.use.answers import Answer, Moment


@pytest.fixture
def handler(localizer, tmp_path) -> page.Page:
  for name in ("uploads", "out"):
    (tmp_path / name).mkdir()
  return page.Page(localizer, [tmp_path / "uploads"], tmp_path / "out", 1)


@pytest.mark.heavy
def test_a_video_is_answered_like_the_api(
  handler, videos, tmp_path, localizer, encoded
):
  path = shutil.copy(videos[0], tmp_path / "uploads")
  html, srt, as_json = handler.answer(str(path), "a cat\n\na dog\n", 2)
  assert html.count('class="answer"') == 2
  assert html.count('class="moment"') == 4
  best = localizer.localize(encoded[0], ["a cat"], 1)[0]
  assert f"v.currentTime={best.start:.3f}" in html
  assert "1\n00:00:" in pathlib.Path(srt).read_text()
  assert '"query": "a dog"' in pathlib.Path(as_json).read_text()


@pytest.mark.heavy
def test_broken_uploads_are_told_and_the_handler_lives(handler, tmp_path):
  for content in (b"", b"no video", b"\0\0\0\x18ftypisom" + b"\0" * 100):
    path = tmp_path / "uploads" / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.mp4") as caught:
      handler.answer(str(path), "a cat", 2)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("../secret.mp4", "outside"),
    ("link.mp4", "outside"),
    ("/etc/passwd", "outside"),
    ("notes.txt", "does not end in"),
    ("none.mp4", "no such video"),
    ("large.mp4", "larger than 1 MB"),
  ],
)
def test_what_is_not_read(handler, tmp_path, name, message):
  (tmp_path / "secret.mp4").write_bytes(b"x")
  uploads = tmp_path / "uploads"
  (uploads / "link.mp4").symlink_to(tmp_path / "secret.mp4")
  (uploads / "notes.txt").write_text("x")
  (uploads / "large.mp4").write_bytes(bytes((1 << 20) + 1))
  with pytest.raises(ValueError, match=message):
    handler.answer(str(uploads / name), "a cat", 1)


def test_a_page_without_video_or_sentence_says_so(handler):
  for video, sentences, message in (
    (None, "a cat", "no video yet"),
    ("x.mp4", None, "no sentence yet"),
    ("x.mp4", " \n ", "no sentence yet"),
    ("x.mp4", "a\n" * 17, "at most 16"),
  ):
    with pytest.raises(ValueError, match=message):
      handler.answer(video, sentences, 1)
  for top_k in (0, float("nan"), 11, None):
    with pytest.raises(ValueError, match="moments of each; from 1 to 10"):
      handler.answer("x.mp4", "a cat", top_k)


def test_an_address_in_use_ends_in_a_line():
  with socket.create_server(("127.0.0.1", 0)) as taken:
    port = str(taken.getsockname()[1])
    with pytest.raises(
      SystemExit, match=f"^error: .* --port {port}: .* in use"
    ):
      demo.main(["--export", "none", "--port", port])
  for name, value in (("port", "70000"), ("max_seconds", "nan")):
    with pytest.raises(SystemExit, match=f"^error: --{name}"):
      demo.main(["--export", "none", f"--{name}", value])


def test_sentences_stay_text():
  moment = Moment("v", "<script>", 1.0, 2.0, 0.5)
  answer = Answer("<script>", [moment], np.arange(3.0), np.ones(3, np.float32))
  html = page.timeline(answer, 3.0)
  assert "<script>" not in html
  assert "&lt;script&gt;" in html
