"""The command: formats, many videos, bad input in one line."""

import csv
import io
import itertools
import json
import subprocess
import sys

import av
import pytest

from unloc_jax import predict
from unloc_jax.use import formats, outputs
from unloc_jax.use.answers import Moment

MOMENTS = [
  Moment("v", "a <b> & c\n\nd --> e", 61.5, 3723.25, 0.5),
  Moment("v", "first", 0.0, 1.0004, 0.25),
]


@pytest.fixture(autouse=True)
def _cache_stays(monkeypatch):
  # The test session has a cache of programs of its own.
  monkeypatch.setattr(predict, "keep_programs", lambda: None)


def test_subtitles_are_in_order_and_cannot_be_broken():
  text = formats.FORMATS["srt"](MOMENTS)
  assert text.startswith("1\n00:00:00,000 --> 00:00:01,000\nfirst (0.25)\n\n2")
  assert "00:01:01,500 --> 01:02:03,250\na <b> & c d -> e (0.50)" in text
  text = formats.FORMATS["vtt"](MOMENTS)
  assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n")
  assert "a &lt;b&gt; &amp; c d -&gt; e" in text
  assert text.count("-->") == 2


def test_values_survive_json_and_csv_and_times_are_readable():
  lines = formats.FORMATS["jsonl"](MOMENTS).splitlines()
  for rows in (
    json.loads(formats.FORMATS["json"](MOMENTS)),
    [json.loads(line) for line in lines],
  ):
    assert [Moment(**row) for row in rows] == MOMENTS
  rows = list(csv.DictReader(io.StringIO(formats.FORMATS["csv"](MOMENTS))))
  assert rows[0]["query"] == MOMENTS[0].query
  assert float(rows[1]["end"]) == MOMENTS[1].end

  assert formats.clock(59.999) == "1:00.00"
  assert formats.clock(3723.456) == "1:02:03.46"


@pytest.fixture
def ask(capsys, exported_folder):
  """Runs the command on the export: its status, output and errors."""

  def run(video, *arguments, export=exported_folder):
    flags = ["--export", export, "--video", *video, *arguments]
    with pytest.raises(SystemExit) as caught:
      predict.main([str(flag) for flag in flags])
    return caught.value.code, *capsys.readouterr()

  return run


def _same(found: list[dict], wanted: list[Moment]) -> None:
  for row, other in zip(found, wanted, strict=True):
    one = Moment(**row)
    assert (one.video_id, one.query) == (other.video_id, other.query)
    assert one.start == pytest.approx(other.start, abs=1e-4)
    assert one.end == pytest.approx(other.end, abs=1e-4)


def test_command_gives_what_the_api_gives(
  ask, videos, localizer, encoded, tmp_path
):
  outs = ("--plot", tmp_path / "p", "--clips", tmp_path / "clips")
  asked = ("--query", "a red square", "--top_k", 2, "--format", "json")
  code, out, _ = ask(videos[:2], *asked, *outs)
  assert code == 0
  found = json.loads(out)
  wanted = (localizer.localize(v, ["a red square"], 2) for v in encoded[:2])
  _same(found, [*itertools.chain(*wanted)])
  for name in ("p_1.png", "p_2.png"):
    assert (tmp_path / name).stat().st_size > 1000
  clips = sorted((tmp_path / "clips").glob("*.mp4"))
  assert len(clips) == 4
  with av.open(str(clips[0])) as container:
    count = sum(1 for _ in container.decode(video=0))
  shown = 10 * (found[0]["end"] - found[0]["start"])
  assert abs(count - shown) <= 1.5


def test_one_bad_video_does_not_stop_the_others(ask, videos, tmp_path):
  bad = tmp_path / "bad.mp4"
  bad.write_bytes(b"no video")
  huge = tmp_path / "huge.mp4"
  with huge.open("wb") as file:
    file.truncate(10 << 30)  # Sparse: it takes no room.
  kept = tmp_path / "kept"
  asked = ("--query", "x", "--format", "jsonl", "--encoded", kept)
  code, out, err = ask([bad, huge, videos[0]], *asked)
  assert code == 1
  assert len(out.splitlines()) == 5
  lines = [line for line in err.splitlines() if line.startswith("error: ")]
  assert [str(bad) in lines[0], str(huge) in lines[1]] == [True, True]
  assert len(lines) == 2
  assert "Traceback" not in err
  assert len(list(kept.glob("*.npz"))) == 1
  # Asked again, it is not read again.
  (again,) = kept.glob("*.npz")
  before = again.stat().st_mtime_ns
  assert ask([videos[0]], *asked) == (0, out, "")
  assert again.stat().st_mtime_ns == before


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
    (["--query", "x", "--format", "srt"], "give --out FOLDER"),
    (["--query", "x", "--beam", ""], "give --out FOLDER"),
  ],
)
def test_bad_questions_end_in_a_line(ask, videos, arguments, message):
  code, _, _ = ask(videos[:2], *arguments)
  assert str(code).startswith("error: ")
  assert message in str(code)
  assert "\n" not in str(code)


def test_missing_files_end_in_a_line(ask, exported_folder, tmp_path):
  for export, video in ((tmp_path, __file__), (exported_folder, "none/*.mp4")):
    code, _, _ = ask([video], "--query", "x", export=export)
    assert "there is no" in str(code)


def test_results_of_videos_of_one_name_are_kept_apart():
  paths = ["a/x.mp4", "b/x.mkv", "c/y.mp4", "d/x.mp4"]
  wanted = ["x.srt", "x_2.srt", "y.srt", "x_3.srt"]
  assert outputs.names(paths, "srt") == wanted


@pytest.mark.heavy
def test_a_corpus_is_asked_on_beam(ask, videos, localizer, encoded, tmp_path):
  bad, out = tmp_path / "bad.mp4", tmp_path / "out"
  bad.write_bytes(b"no video")
  asked = ("--query", "a red square", "--top_k", 2, "--format", "jsonl")
  code, _, err = ask([*videos[:2], bad], *asked, "--out", out, "--beam", "")
  assert code == 1
  assert str(bad) in err
  assert "2 of 3 videos asked" in err
  names = {path.name for path in out.iterdir()}
  assert names == {"video_0.jsonl", "video_1.jsonl", "failed.jsonl"}
  for video in encoded[:2]:
    lines = (out / f"{video.video_id}.jsonl").read_text().splitlines()
    wanted = localizer.localize(video, ["a red square"], 2)
    _same([json.loads(line) for line in lines], wanted)


def test_subtitles_of_many_videos_are_files(ask, videos, tmp_path):
  asked = ("--query", "x", "--format", "srt", "--out", tmp_path / "found")
  assert ask(videos[:2], *asked)[0] == 0
  for name in ("video_0.srt", "video_1.srt"):
    assert (tmp_path / "found" / name).read_text().startswith("1\n00:00:")


def test_labels_of_a_file_are_detected_and_segmented(
  ask, videos, localizer, encoded, tmp_path
):
  labels = tmp_path / "labels.txt"
  labels.write_text("run\n\n  jump \nsit\n", encoding="utf-8")
  asked = ("--labels", labels, "--format", "json")
  names = ["run", "jump", "sit"]
  for more, wanted in (
    ((), localizer.detect(encoded[3], names, 5)),
    (("--segment",), localizer.segment(encoded[3], names)),
  ):
    code, out, _ = ask([videos[3]], *asked, *more)
    assert code == 0
    _same(json.loads(out), wanted)


def test_prediction_does_without_tensorflow(exported_folder, videos, tmp_path):
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
  arguments += ["--plot", str(tmp_path / "p.png")]
  done = subprocess.run(
    [sys.executable, "-c", code, *arguments, "--query", "x"],
    capture_output=True,
    text=True,
    check=True,
  )
  assert "video_0" in done.stdout
