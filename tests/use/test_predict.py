"""The command: formats, many videos, bad input in one line."""

import csv
import io
import itertools
import json
import operator
import pathlib
import shutil
import subprocess
import sys

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unloc_jax import predict
from unloc_jax.results.drawing import figures
from unloc_jax.use import console, formats, naming, requests, untrained
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
def ask(capsys, exported_folder, localizer, monkeypatch):
  """Runs the command on the export: its status, output and errors.

  The export is open already, which takes most of the time of a command.
  """
  opened = str(exported_folder), "", ""

  def load(*model):
    return localizer if model == opened else untrained.load(*model)

  monkeypatch.setattr(predict, "load", load)

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
  # What is damaged is.
  again.write_bytes(b"x")
  code, anew, err = ask([videos[0]], *asked)
  assert (code, anew) == (0, out)
  assert "not an encoded video" in err
  assert again.stat().st_size > 1


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--query", ""], "--query: number 1 is empty"),
    (["--query", "\udcff"], "--query: number 1 is not Unicode"),
    (["--query", "x" * 10_000], "10,000 characters"),
    (["--query", "x", "--top_k", "0"], "at least 1"),
    ([], "name some"),
    (["--query", "x", "--segment"], "ask one"),
    (["--labels", "/none"], "give a text file"),
    (["--labels", "/dev/null"], "not a file; give a text file"),
    (["--query", "x", "--plot", "x.docx"], "ends in none of"),
    (["--query", "x", "--plot", "/dev/null/x"], "nothing can be written"),
    (["--query", "x", "--out", ""], "--out is empty"),
    (["--query", "x", "--clips", ""], "--clips is empty"),
    (["--query", "x", "--plot="], "--plot is empty"),
    (["--query", "x", "--out", "/proc"], "/proc is a folder; name a file"),
    (["--query", "x", "--out", f"{__file__}/"], "is no folder"),
    (["--query", "x", "--format", "vtt", "--out", __file__], "is no folder"),
    (["--query", "x", "--clips", __file__], "is no folder"),
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
  paths = ["a/x.mp4", "b/x.mkv", "c/x_2.mp4", "d/X.mp4", "x\udcff.mp4"]
  made = requests.jobs(paths, "srt")
  assert [job.video_id for job in made] == [*paths[:2], "x_2", "X", "x\\xff"]
  wanted = ["x.srt", "x_3.srt", "x_2.srt", "X_4.srt", "x\\xff.srt"]
  assert [job.result for job in made] == wanted
  assert [job.path for job in made] == paths


def test_files_of_features_of_one_name_are_of_one_video():
  paths = ["a/x_0.0.npz", "y.mp4", "all.H5/g/x_0.0", "x_0.0.mp4", "b/x_0.npy"]
  made = requests.jobs(paths, "srt")
  assert [(job.path, *job.beside) for job in made] == [
    ("a/x_0.0.npz", "all.H5/g/x_0.0"),
    ("y.mp4",),
    ("x_0.0.mp4",),
    ("b/x_0.npy",),
  ]
  assert [job.video_id for job in made][1:] == ["y", "x_0.0.mp4", "x_0"]


@given(
  st.lists(st.text(st.sampled_from("aA_2ü\n/"), max_size=5)),
  st.integers(1, 100),
)
def test_names_of_files_are_free_and_fit(stems, times):
  stems = ["failed", *(stem * times for stem in stems)]
  names = list(naming.file_names(stems, "jsonl", ["failed"]))
  assert len({name.lower() for name in names} | {"failed.jsonl"}) == 1 + len(
    names
  )
  assert max(len(name.encode()) for name in names) <= 255
  assert not {"\n", "/"} & set("".join(names))


def test_no_result_is_lost_whatever_files_are_called(ask, videos, tmp_path):
  names = ["a.mp4", "a.mkv", "a_2.mp4", "x/cam.mp4", "y/cam.mp4", "b\udcff.mp4"]
  names += [f"{'n' * 251}.mp4", "new\nline\t.mp4"]
  paths = [tmp_path / name for name in names]
  for path in paths:
    path.parent.mkdir(exist_ok=True)
    shutil.copy(videos[2], path)
  asked = ("--query", "a\n\tb\x1b\r", "--top_k", 1, "--encoded", tmp_path / "e")
  code, table, _ = ask(paths, *asked)
  assert (code, len(table.splitlines())) == (0, 2 + len(paths))
  assert "\x1b" not in table
  code, out, _ = ask(
    paths, *asked, "--format", "csv", "--clips", tmp_path / "c"
  )
  rows = list(csv.DictReader(io.StringIO(out, newline="")))
  assert len({row["video_id"] for row in rows}) == len(rows) == len(paths)
  assert {row["query"] for row in rows} == {asked[1]}
  assert len(list((tmp_path / "c").iterdir())) == len(paths)
  for form, found in (("srt", tmp_path / "s"), ("json", f"{tmp_path}/j/")):
    assert ask(paths, *asked, "--format", form, "--out", found)[0] == 0
    results = list(pathlib.Path(found).iterdir())
    assert len(results) == len(paths)
  told = [json.loads(path.read_text())[0]["video_id"] for path in results]
  assert set(told) == {row["video_id"] for row in rows}


def test_out_is_a_folder_of_one_video_too(ask, videos, tmp_path):
  asked = ("--query", "x", "--top_k", 1)
  for form, out in (("srt", tmp_path / "a.srt"), ("table", f"{tmp_path}/b/")):
    code, shown, _ = ask(videos[:1], *asked, "--format", form, "--out", out)
    assert (code, shown) == (0, "")
    (result,) = pathlib.Path(out).iterdir()
    assert result.stem == "video_0"


def test_no_video_is_written_over(ask, videos, tmp_path):
  (tmp_path / "link.mp4").symlink_to(videos[0])
  asked = ("--query", "x", "--out", videos[0])
  code, _, _ = ask([tmp_path / "link.mp4"], *asked)
  assert str(code).startswith(f"error: --out {videos[0]} is a video to be read")


def test_results_go_to_devices_and_through_links(ask, videos, tmp_path):
  asked = ("--query", "x", "--format", "jsonl", "--out")
  (tmp_path / "link").symlink_to(tmp_path / "found")
  (tmp_path / "found").touch()
  assert ask(videos[:1], *asked, tmp_path / "link")[0] == 0
  assert (tmp_path / "link").is_symlink()
  assert len((tmp_path / "found").read_text().splitlines()) == 5
  code, _, _ = ask(videos[:1], *asked, "/dev/full")
  assert code == "error: /dev/full: No space left on device"
  assert pathlib.Path("/dev/full").is_char_device()


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


def test_texts_are_drawn_as_they_are(tmp_path, recwarn):
  seen = figures.Seen(2.0, np.arange(2.0), None)
  for title in ("cost $_$ and $x^2$", "日本語 \\$", "long $_$ " * 40):
    none = np.zeros((0, 2))
    figure = figures.timeline(title, seen, None, none, none[:, 0], np.ones(2))
    figures.save(figure, tmp_path / "x.png")
  # What tests before it left open may be collected here.
  said = [w.message for w in recwarn if w.category is not ResourceWarning]
  assert not said


def test_errors_are_one_line_with_the_file():
  for error, line in (
    (ValueError("a\n  b\x1b"), "a b"),
    (OSError(28, "No space left", "x\udcff"), "x\\xff: No space left"),
    (OSError(28, "No space left"), "No space left"),
  ):
    assert console.fault(error) == line


def test_labels_of_a_file_are_detected_and_segmented(
  ask, videos, localizer, encoded, tmp_path
):
  labels = tmp_path / "labels.txt"
  text = "\ufeffrun\r\n\n  jump \nsit\n\t\nrun"
  labels.write_text(text, encoding="utf-8", newline="")
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


def test_videos_of_every_recorder_are_asked_and_cut(
  ask, shared, tmp_path, caplog
):
  folder = shared / "data" / "faults" / "videos"
  asked = ("--query", "a red square", "--top_k", 1, "--format", "json")
  code, out, err = ask([f"{folder}/*"], *asked, "--clips", tmp_path)
  assert (code, "error" in err) == (0, False)
  assert len(json.loads(out)) == len(list(tmp_path.glob("*.mp4"))) == 13
  assert "live_no_duration.webm: it states no duration" in caplog.text


def test_a_clip_that_is_not_made_is_told(ask, videos, tmp_path, monkeypatch):
  monkeypatch.setattr(predict.outputs, "cut_clip", operator.truediv)
  asked = ("--query", "x", "--top_k", 2, "--clips", tmp_path / "c")
  code, _, err = ask(videos[:1], *asked)
  assert code == 1
  assert len([line for line in err.splitlines() if "is not made" in line]) == 2
