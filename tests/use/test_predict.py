"""The command: formats, many videos, bad input in one line."""

import csv
import io
import json
import subprocess
import sys

import av
import pytest

from tests.use.conftest import SECONDS
from unloc_jax import predict
from unloc_jax.use import formats
from unloc_jax.use.answers import Moment
from unloc_jax.use.requests import stated_seconds

MOMENTS = [
  Moment("v", "a <b> & c\n\nd --> e", 61.5, 3723.25, 0.5),
  Moment("v", "first", 0.0, 1.0004, 0.25),
]


@pytest.fixture(autouse=True)
def _cache_stays(monkeypatch):
  # The test session has a cache of programs of its own.
  monkeypatch.setattr(predict, "keep_programs", lambda: None)


def test_subtitles_are_in_order_and_cannot_be_broken():
  text = formats.srt(MOMENTS)
  assert text.startswith("1\n00:00:00,000 --> 00:00:01,000\nfirst (0.25)\n\n2")
  assert "00:01:01,500 --> 01:02:03,250\na <b> & c d -> e (0.50)" in text
  text = formats.vtt(MOMENTS)
  assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n")
  assert "a &lt;b&gt; &amp; c d -&gt; e" in text
  assert text.count("-->") == 2


def test_values_survive_json_and_csv():
  for name in ("json", "jsonl"):
    text = formats.FORMATS[name](MOMENTS)
    rows = (
      json.loads(text)
      if name == "json"
      else [json.loads(line) for line in text.splitlines()]
    )
    assert [Moment(**row) for row in rows] == MOMENTS
  rows = list(csv.DictReader(io.StringIO(formats.to_csv(MOMENTS))))
  assert rows[0]["query"] == MOMENTS[0].query
  assert float(rows[1]["end"]) == MOMENTS[1].end


def test_clock():
  assert formats.clock(59.999) == "1:00.00"
  assert formats.clock(3723.456) == "1:02:03.46"


def _run(capsys, *arguments) -> tuple[object, str, str]:
  with pytest.raises(SystemExit) as caught:
    predict.main([str(a) for a in arguments])
  out, err = capsys.readouterr()
  return caught.value.code, out, err


def test_command_gives_what_the_api_gives(
  capsys, exported_folder, videos, localizer, encoded, tmp_path
):
  code, out, _ = _run(
    capsys,
    "--export",
    exported_folder,
    "--video",
    *videos[:2],
    "--query",
    "a red square",
    "--top_k",
    2,
    "--format",
    "json",
    "--plot",
    tmp_path / "p.png",
    "--clips",
    tmp_path / "clips",
  )
  assert code == 0
  found = [Moment(**row) for row in json.loads(out)]
  wanted = [
    moment
    for video in encoded[:2]
    for moment in localizer.localize(video, ["a red square"], 2)
  ]
  for one, other in zip(found, wanted, strict=True):
    assert (one.video_id, one.query) == (other.video_id, other.query)
    assert one.start == pytest.approx(other.start, abs=1e-4)
    assert one.end == pytest.approx(other.end, abs=1e-4)
  assert (tmp_path / "p_1.png").stat().st_size > 1000
  clips = sorted((tmp_path / "clips").glob("*.mp4"))
  assert len(clips) == 4
  with av.open(str(clips[0])) as container:
    count = sum(1 for _ in container.decode(video=0))
  shown = 10 * (found[0].end - found[0].start)
  assert abs(count - shown) <= 1.5


def test_one_bad_video_does_not_stop_the_others(
  capsys, exported_folder, videos, tmp_path
):
  bad = tmp_path / "bad.mp4"
  bad.write_bytes(b"no video")
  code, out, err = _run(
    capsys,
    "--export",
    exported_folder,
    "--video",
    bad,
    videos[0],
    "--query",
    "x",
    "--format",
    "jsonl",
    "--encoded",
    tmp_path / "kept",
  )
  assert code == 1
  assert len(out.splitlines()) == 5
  lines = [line for line in err.splitlines() if line.startswith("error")]
  assert len(lines) == 1
  assert str(bad) in lines[0]
  assert len(list((tmp_path / "kept").glob("*.npz"))) == 1


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--query", ""], "empty"),
    (["--query", "x" * 10_000], "10,000 characters"),
    (["--query", "x", "--top_k", "0"], "at least 1"),
    ([], "name some"),
    (["--query", "x", "--segment"], "ask one"),
    (["--labels", "/none"], "give a text file"),
    (["--segment", "--plot", "x.png"], "--query"),
  ],
)
def test_bad_questions_end_in_a_line(
  capsys, exported_folder, videos, arguments, message
):
  code, _, _ = _run(
    capsys, "--export", exported_folder, "--video", videos[0], *arguments
  )
  assert str(code).startswith("error: ")
  assert message in str(code)
  assert "\n" not in str(code)


def test_missing_files_end_in_a_line(capsys, exported_folder, tmp_path):
  for export, video in ((tmp_path, "x.mp4"), (exported_folder, "none/*.mp4")):
    code, _, _ = _run(
      capsys, "--export", export, "--video", video, "--query", "x"
    )
    assert "there is no" in str(code)


def test_results_of_videos_of_one_name_are_kept_apart():
  paths = ["a/x.mp4", "b/x.mkv", "c/y.mp4", "d/x.mp4"]
  assert predict.out_names(paths, "srt") == [
    "x.srt",
    "x_2.srt",
    "y.srt",
    "x_3.srt",
  ]


def test_subtitles_of_many_videos_need_a_folder(
  capsys, exported_folder, videos, monkeypatch
):
  monkeypatch.setattr(
    predict, "ask_all", lambda *_: pytest.fail("said before any work")
  )
  code, _, _ = _run(
    capsys,
    "--export",
    exported_folder,
    "--video",
    *videos[:2],
    "--query",
    "x",
    "--format",
    "srt",
  )
  assert "give --out FOLDER" in str(code)


@pytest.mark.heavy
def test_a_corpus_is_asked_on_beam(
  capsys, exported_folder, videos, localizer, encoded, tmp_path
):
  bad = tmp_path / "bad.mp4"
  bad.write_bytes(b"no video")
  code, _, err = _run(
    capsys,
    "--export",
    exported_folder,
    "--video",
    *videos[:2],
    bad,
    "--query",
    "a red square",
    "--top_k",
    2,
    "--format",
    "jsonl",
    "--out",
    tmp_path / "out",
    "--beam",
    "",
  )
  assert code == 1
  assert str(bad) in err
  assert "2 of 3 videos asked" in err
  names = {path.name for path in (tmp_path / "out").iterdir()}
  assert names == {"video_0.jsonl", "video_1.jsonl", "failed.jsonl"}
  for video in encoded[:2]:
    lines = (tmp_path / "out" / f"{video.video_id}.jsonl").read_text()
    found = [Moment(**json.loads(line)) for line in lines.splitlines()]
    wanted = localizer.localize(video, ["a red square"], 2)
    for one, other in zip(found, wanted, strict=True):
      assert one.query == other.query
      assert one.start == pytest.approx(other.start, abs=1e-4)
      assert one.end == pytest.approx(other.end, abs=1e-4)


def test_labels_of_a_file_are_detected_and_segmented(
  capsys, exported_folder, videos, localizer, encoded, tmp_path
):
  labels = tmp_path / "labels.txt"
  labels.write_text("run\n\n  jump \nsit\n", encoding="utf-8")
  asked = (
    "--export",
    exported_folder,
    "--video",
    videos[3],
    "--labels",
    labels,
    "--format",
    "json",
  )
  for more, wanted in (
    ((), localizer.detect(encoded[3], ["run", "jump", "sit"], 5)),
    (("--segment",), localizer.segment(encoded[3], ["run", "jump", "sit"])),
  ):
    code, out, _ = _run(capsys, *asked, *more)
    assert code == 0
    found = [Moment(**row) for row in json.loads(out)]
    assert [m.query for m in found] == [m.query for m in wanted]
    for one, other in zip(found, wanted, strict=True):
      assert one.start == pytest.approx(other.start, abs=1e-4)
      assert one.end == pytest.approx(other.end, abs=1e-4)


def test_ten_gigabytes_of_nothing_end_in_a_line(
  capsys, exported_folder, tmp_path
):
  path = tmp_path / "huge.mp4"
  with path.open("wb") as file:
    file.truncate(10 << 30)  # Sparse: it takes no room.
  code, _, err = _run(
    capsys, "--export", exported_folder, "--video", path, "--query", "x"
  )
  assert code == 1
  assert err.count("error: ") == 1
  assert "Traceback" not in err


def test_prediction_does_without_tensorflow(exported_folder, videos):
  code = (
    "import sys\n"
    "from unloc_jax import predict\n"
    "try:\n"
    "  predict.main(sys.argv[1:])\n"
    "except SystemExit as stop:\n"
    "  assert not stop.code, stop.code\n"
    "assert not {'tensorflow', 'apache_beam', 'orbax'} & set(sys.modules)\n"
  )
  arguments = ["--export", str(exported_folder), "--video", str(videos[0])]
  done = subprocess.run(
    [sys.executable, "-c", code, *arguments, "--query", "x"],
    capture_output=True,
    text=True,
    check=True,
  )
  assert "video_0" in done.stdout


def test_a_file_says_its_length_or_nothing_is_said(videos, tmp_path):
  for path, seconds in zip(videos, SECONDS, strict=True):
    assert stated_seconds(str(path)) == pytest.approx(seconds, abs=0.2)
  (tmp_path / "text.mp4").write_text("no video")
  assert stated_seconds(str(tmp_path / "text.mp4")) is None
  assert stated_seconds(str(tmp_path / "missing.mp4")) is None
