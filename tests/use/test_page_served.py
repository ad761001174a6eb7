"""The page as a browser meets it: served, uploaded to, clicked on."""

import html
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.parse

import pytest

from tests import browser

httpx = pytest.importorskip("httpx", reason="the page needs the extra [demo]")
pytest.importorskip("gradio", reason="the page needs the extra [demo]")

_SENTENCES = "a red square\nit <b>moves</b> to the left"
_PATIENCE = 240.0


@pytest.fixture(scope="module")
def served(exported_folder, tmp_path_factory):
  """The command, serving; its address."""
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
  log = tmp_path_factory.mktemp("served") / "log"
  command = [sys.executable, "-m", "unloc_jax.demo"]
  flags = f"--port {port} --max_megabytes 1 --max_seconds 120".split()
  flags += ["--export", str(exported_folder)]
  with log.open("w") as file:
    process = subprocess.Popen([*command, *flags], stdout=file, stderr=file)
  url = f"http://127.0.0.1:{port}"
  try:
    _wait(url, process, log)
    yield url
    assert process.poll() is None, log.read_text()
  finally:
    process.terminate()
    process.wait(30)


def _wait(url: str, process, log: pathlib.Path) -> None:
  end = time.monotonic() + _PATIENCE
  while time.monotonic() < end:
    assert process.poll() is None, log.read_text()
    try:
      if httpx.get(url, timeout=5).status_code == 200:
        return
    except httpx.TransportError:
      time.sleep(0.5)
  raise AssertionError(f"not served in time: {log.read_text()}")


def upload(url: str, name: str, content: bytes) -> httpx.Response:
  """Sends a file as the page's upload field does."""
  return httpx.post(
    f"{url}/gradio_api/upload", files={"files": (name, content)}, timeout=60
  )


def find(url: str, path: str, sentences: str = "a cat") -> tuple[str, list]:
  """Asks as the page's button does: ("complete" | "error", values)."""
  file = {"path": path, "meta": {"_type": "gradio.FileData"}}
  call = f"{url}/gradio_api/call/find"
  made = httpx.post(call, json={"data": [file, sentences, 2]}, timeout=60)
  if made.status_code != 200:
    return "error", [made.text]
  text = httpx.get(f"{call}/{made.json()['event_id']}", timeout=_PATIENCE).text
  event, data = re.findall(r"event: (complete|error)\ndata: (.*)", text)[-1]
  return event, json.loads(data) or []


@pytest.mark.heavy
def test_a_video_is_found_in_and_subtitles_are_served(served, videos):
  (path,) = upload(served, "v.mp4", videos[0].read_bytes()).json()
  event, (timeline, srt, _) = find(served, path, _SENTENCES)
  assert event == "complete"
  text = timeline if isinstance(timeline, str) else timeline["value"]
  assert text.count('class="answer"') == 2
  assert "<b>moves" not in text
  assert html.escape("<b>moves</b>") in text
  subtitles = httpx.get(srt["url"]).text
  assert subtitles.startswith("1\n00:00:")


@pytest.mark.heavy
def test_broken_uploads_are_told_and_the_server_lives(served, videos, shared):
  whole = videos[1].read_bytes()
  broken = {
    "empty.mp4": b"",
    "half.mp4": whole[: len(whole) // 2],
    "notes.txt": whole,
  }
  for path in sorted((shared / "data" / "malformed").iterdir()):
    if "no_duration" not in path.name:  # A live recording, read to its end.
      broken[path.name] = path.read_bytes()
  for name, content in broken.items():
    (path,) = upload(served, name, content).json()
    started = time.monotonic()
    event, told = find(served, path)
    assert event == "error", name
    assert told["error"].startswith(name)
    assert "\n" not in told["error"]
    assert time.monotonic() - started < 60, name
  (path,) = upload(served, "v.mp4", videos[0].read_bytes()).json()
  assert find(served, path)[0] == "complete"


def test_uploads_are_limited_in_size(served):
  answer = upload(served, "large.mp4", bytes((1 << 20) + (1 << 17)))
  assert answer.status_code == 413


@pytest.mark.parametrize(
  "name", ["../../secret.mp4", "..\\..\\x.mp4", "a/../../b.mp4", "ü..‮.mp4"]
)
def test_names_of_uploads_stay_in_their_folder(served, videos, name):
  (path,) = upload(served, name, videos[2].read_bytes()).json()
  parts = pathlib.Path(path).parts
  assert ".." not in parts
  assert "uploads" in parts


def test_no_other_file_is_served(served, exported_folder):
  root = str(pathlib.Path(__file__).resolve())
  wanted = [
    "/etc/passwd",
    root,
    str(exported_folder / "params.safetensors"),
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "setup.py",
    "file:///etc/passwd",
    os.path.expanduser("~/.bashrc"),
  ]
  for path in wanted:
    for quoted in (path, urllib.parse.quote(path, safe="")):
      answer = httpx.get(f"{served}/gradio_api/file={quoted}")
      assert answer.status_code in (400, 403, 404), quoted
      assert b"root:" not in answer.content


def test_no_other_video_can_be_asked(served, exported_folder, videos):
  for path in (str(videos[0]), "/etc/passwd", str(videos[0].parent / "none")):
    event, told = find(served, path)
    assert event == "error"
    assert "Traceback" not in json.dumps(told)


@pytest.mark.heavy
def test_the_page_in_a_browser(served, videos):
  with browser.opened() as page:
    page.set_default_timeout(1000 * _PATIENCE)
    page.goto(served)
    page.locator("input[type=file]").first.set_input_files(str(videos[3]))
    page.wait_for_selector("#player video")
    page.get_by_label("Sentences, one per line").fill(_SENTENCES)
    page.get_by_role("button", name="Find").click()
    page.wait_for_selector(".answer")
    assert page.locator(".answer").count() == 2
    assert page.locator(".answer b").all_inner_texts() == (
      _SENTENCES.splitlines()
    )
    _seeks(page)
    with page.expect_download() as download:
      page.locator("a[href*='.srt']").first.click()
    text = pathlib.Path(download.value.path()).read_text()
    assert text.startswith("1\n00:00:")


def _seeks(page) -> None:
  """Clicks the moment that begins last; the player goes there."""
  player = "document.querySelector('#player video')"
  starts = re.compile(r"currentTime=([0-9.]+)")
  moments = page.locator("button.moment")
  clicks = [
    moments.nth(i).get_attribute("onclick") for i in range(moments.count())
  ]
  times = [float(starts.search(click).group(1)) for click in clicks]
  last = max(range(len(times)), key=times.__getitem__)
  assert times[last] > 0.2, "the tiny model finds all at the start"
  # It stands still once it is there, so that the time can be read.
  page.evaluate(f"{player}.play = () => {{}}")
  moments.nth(last).click()
  page.wait_for_function(
    f"Math.abs({player}.currentTime - {times[last]}) < 0.05"
  )
