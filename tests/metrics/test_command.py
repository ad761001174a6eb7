"""The command on hand-made files: figures by hand, formats, bad input."""

import itertools
import json
import subprocess
import sys

import pytest

from tests.metrics.made import MADE
from unloc_jax.annotations import moments, reading
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics.__main__ import main


@pytest.fixture
def command(tmp_path):
  """Runs the command; files are hand-made ones by name, or (name, content).

  Content is text, bytes, rows of JSON lines or what else becomes JSON.
  """

  def path_of(file):
    if not isinstance(file, tuple):
      return MADE / file
    path, content = tmp_path / file[0], file[1]
    if path.suffix == ".jsonl" and isinstance(content, list):
      content = "\n".join(map(json.dumps, content))
    elif not isinstance(content, str | bytes):
      content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path

  def run_command(benchmark, predictions, truth, *more):
    arguments = ["--benchmark", benchmark, "--ground_truth", path_of(truth)]
    arguments += ["--predictions", path_of(predictions), *more]
    return main(list(map(str, arguments)))

  return run_command


@pytest.fixture
def run(command, tmp_path):
  """Runs the command and returns what it wrote."""

  def run_right(*arguments):
    written = tmp_path / "metrics.json"
    assert command(*arguments, "--json", written, "--resamples", "20") == 0
    return json.loads(written.read_text())

  return run_right


@pytest.fixture
def fails(command, capsys):
  """Runs the command and returns its one line of complaint."""

  def run_wrong(*arguments):
    assert command(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err

  return run_wrong


QVH = "qvhighlights", "qvh_predictions.jsonl", "qvh_truth.jsonl"
TAL = "anet_tal", "tal_predictions.json", "tal_truth.json"


def test_qvhighlights(run):
  """Query 1: windows IoU 1 and 6/8; query 2: listed first 6/16, best 1.

  So R1 is 1 of 2; the AP of query 1 is 1 up to IoU 0.75 and 1/2 above, that
  of query 2 always 1, the best-scored window being right.
  """
  found = run(*QVH)
  highlights = ["HL-min-Fair", "HL-min-Good", "HL-min-VeryGood"]
  ranges = ["full", "long", "middle", "short"]
  assert list(found) == ["brief", *highlights, *ranges]
  assert found["brief"]["MR-full-R1@0.5"] == 50.0
  assert found["full"]["MR-mAP"]["0.75"] == 100.0
  assert found["full"]["MR-mAP"]["0.8"] == 75.0
  assert found["brief"]["MR-full-mAP"] == 90.0
  # Query 1 is short, query 2 middle; nothing is long.
  assert found["brief"]["MR-middle-mAP"] == 100.0
  assert found["short"]["MR-mAP"]["0.95"] == 50.0
  assert found["brief"]["MR-long-mAP"] is None
  # The clip with the highest score is right by one annotator of query 1 even
  # at Very Good, and not relevant in query 2.
  assert found["brief"]["HL-min-VeryGood-Hit1"] == 50.0
  assert found["HL-min-VeryGood"]["HL-mAP"] == round(100 / 6, 2)
  # Query 2, Good: a wrong clip above the six right ones, which are tied: 6 of 7
  # for all three annotators. Query 1 has a good clip by one of them only.
  assert found["HL-min-Good"]["HL-mAP"] == round(100 * (1 / 3 + 6 / 7) / 2, 2)


@pytest.mark.parametrize("benchmark", ["charades_sta", "tacos"])
def test_recall(run, capsys, benchmark):
  """IoU .5 then 1 for the first query, 0 then .4 for the second."""
  found = run(benchmark, "charades_predictions.jsonl", "charades.txt")
  names = ["R1@0.3", "R1@0.5", "R1@0.7", "R5@0.3", "R5@0.5", "R5@0.7", "mIoU"]
  figures = [50.0, 50.0, 0.0, 100.0, 50.0, 50.0, 25.0]
  assert [found[name] for name in names] == pytest.approx(figures)
  assert (found["seen"], found["expected"]) == (2, 2)
  assert "scored 2 of 2" in capsys.readouterr().out


def test_captions_by_sentence_and_by_results(run):
  """The same predictions as JSONL and as dense captioning's JSON."""
  rows, results = [], {}
  for video, sentence, end in (
    ("v_one", "A dog runs.", 10),
    ("v_one", "A cat sleeps.", 10),
    ("v_two", "A dog runs.", 4),
  ):
    asked = {"vid": video, "query": sentence}
    rows.append({**asked, "pred_relevant_windows": [[0, end]]})
    result = {"sentence": sentence, "timestamp": [0, end]}
    results.setdefault(video, []).append(result)
  found = run("anet_captions", ("p.jsonl", rows), "captions.json")
  assert found["R1@0.3"] == pytest.approx(200 / 3)
  assert found["mIoU"] == pytest.approx(140 / 3)
  dense = ("p.json", {"results": results})
  assert run("anet_captions", dense, "captions.json") == found


def test_one_answer_serves_a_sentence_asked_twice(run):
  truth = "truth.txt", "A 0 10##he sits\nA 20 30##he sits\n"
  rows = [
    {"vid": "A", "query": "he sits", "pred_relevant_windows": [window]}
    for window in ([0, 10, 1], [20, 30, 1])
  ]
  for number, figure in ((1, 50.0), (2, 100.0)):
    found = run("charades_sta", ("answers.jsonl", rows[:number]), truth)
    assert found["R1@0.7"] == figure


def test_frames_of_tacos_become_seconds(tmp_path):
  path = tmp_path / "tacos.json"
  entry = {"timestamps": [[0, 50]], "sentences": ["cut"], "fps": 25.0}
  path.write_text(json.dumps({"s1.avi": {**entry, "num_frames": 250}}))
  ((row,), _) = moments.read_rows(path, Problems())
  assert (row.windows, row.duration) == ([[0.0, 2.0]], 10.0)


def test_detection(run, capsys, tmp_path):
  """Jump: true, false, true, true (.8) of 4 officially, of 3 when cleaned.

  At IoU .5, official AP is (1 + .75 + .75) / 4, the other (1 + .75 + .75) / 3;
  Swim has one detection of IoU .8.
  """
  found = run(*TAL)
  assert found["tiou"][0] == 0.5
  assert found["mAP"][0] == pytest.approx((2.5 / 4 + 1) / 2)
  assert found["mAP"] == found["official_activitynet"]["mAP"]
  cleaned = found["actionformer"]
  assert cleaned["dropped"] == 1
  assert cleaned["mAP"][0] == pytest.approx((2.5 / 3 + 1) / 2)
  assert cleaned["mRecall"][0] == pytest.approx([(2 / 3 + 1) / 2, 1.0])
  # At .85 two of Jump's are left and none of Swim's.
  assert found["mAP"][7] == pytest.approx((1 + 2 / 3) / 4 / 2)
  out = capsys.readouterr().out
  assert "by class" in out
  assert "AdaTAD" in out
  # Of one video alone.
  (tmp_path / "blocked.txt").write_text("two\n")
  found = run(*TAL, "--blocked", tmp_path / "blocked.txt")
  assert found["expected"] == 1
  assert found["mAP"][0] == pytest.approx(((1 + 2 / 3) / 3 + 1) / 2)


def test_detections_that_name_classes_otherwise(run, capsys):
  plain = run(*TAL)
  results, truth = (json.loads((MADE / name).read_text()) for name in TAL[1:])
  results = results["results"]
  # A class that only other subsets have is said.
  assert "not in the truth" not in capsys.readouterr().out
  run_alone = {"label": "Run", "score": 1, "segment": [0, 1]}
  given = {"results": {**results, "one": [*results["one"], run_alone]}}
  assert run("anet_tal", ("p.json", given), TAL[2])["mAP"] == plain["mAP"]
  assert "1 classes not in the truth" in capsys.readouterr().out
  # ActionFormer's files: `label_id`, `scores`, all under `database`.
  numbers = {"Jump": 4, "Swim": 9, "Run": 1}
  for video in truth["database"].values():
    for entry in video["annotations"]:
      entry["label_id"] = numbers[entry["label"]]
  for entry in itertools.chain(*results.values()):
    entry["label_id"] = numbers[entry.pop("label")]
    entry["scores"] = entry.pop("score")
  given = ("p.json", {"database": results}), ("g.json", truth)
  assert run("anet_tal", *given)["mAP"][0] == pytest.approx((2.5 / 4 + 1) / 2)


def test_coin(run):
  """x1: 0 3 3 0 0, one frame of five wrong; x2: 7 7 0 0, one of four."""
  found = run("coin", "coin_predictions.jsonl", "coin.json")
  assert found["acc_frames"] == pytest.approx(700 / 9)
  assert found["acc_mean_of_videos"] == pytest.approx((80 + 75) / 2)
  assert found["bg0"]["edit"] == 100.0
  assert (found["seen"], found["expected"]) == (2, 2)
  # Detections of its steps, by its key `annotation`.
  results = {"x1": [{"label": "boil water", "score": 1, "segment": [1, 3]}]}
  found = run("coin", ("p.json", {"results": results}), "coin.json")
  assert found["average_mAP"] == 0.5


def test_named_frames_and_a_missing_video(run, capsys, tmp_path):
  found = run("segmentation", "frames.jsonl", "frames_truth.jsonl")
  assert found["acc_frames"] == 75.0
  assert (found["seen"], found["expected"]) == (1, 2)
  assert "video x2: no predictions" in capsys.readouterr().out
  # The same of folders of text.
  for place, text in (
    ("p/x1", "### Frame level: ###\ncut cut mix mix\n"),
    ("g/x1.txt", "cut\ncut\ncut\nmix\n"),
  ):
    path = tmp_path / place
    path.parent.mkdir()
    path.write_text(text)
  found = run("segmentation", tmp_path / "p", tmp_path / "g")
  assert found["acc_frames"] == 75.0


def test_matlab_of_one_video_and_of_equal_lengths(run, tmp_path):
  scipy_io = pytest.importorskip("scipy.io")
  path = tmp_path / "one.mat"
  for predicted, truth in (
    ([[0, 1, 1]], [[0, 1, 2]]),
    ([[0, 1, 1], [1, 1, 1]], [[0, 1, 2]] * 2),
  ):
    scipy_io.savemat(path, {"P": predicted, "Y": truth})
    found = run("segmentation", path, path)
    count = len(truth)
    assert (found["videos"], found["frames"]) == (count, 3 * count)


@pytest.mark.parametrize(
  ("old", "new", "says", "precision"),
  [
    ("[0.9, 0.1,", "[NaN, 0.1,", "2: `pred_saliency_scores`", 100.0),
    ('"qid": 2, ', '"qid" 2, ', "line: wrong JSON", 50.0),
    ('"pred_relevant_windows"', '"x"', "2: no `pred_relevant_windows`", 50.0),
  ],
)
def test_a_complaint_is_one_line_or_a_note(
  run, fails, capsys, old, new, says, precision
):
  first, second = (MADE / QVH[1]).read_text().splitlines()
  given = "bad.jsonl", f"{first}\n{second.replace(old, new)}\n"
  complaint = fails(QVH[0], given, QVH[2])
  assert "bad.jsonl:2: " + says in complaint
  found = run(QVH[0], given, QVH[2], "--lenient")
  assert "bad.jsonl:2: " + says in capsys.readouterr().out
  assert found["brief"]["MR-full-R1@0.5"] >= 50.0
  assert found["full"]["MR-mAP"]["0.5"] == precision


def test_rows_of_saliency_alone_are_a_submission(run):
  rows = [row for _, row in reading.read_rows(MADE / QVH[1], Problems())]
  for row in rows:
    del row["pred_relevant_windows"]
  found = run(QVH[0], ("rows.jsonl", rows), QVH[2])
  assert list(found) == ["brief", *(k for k in found if k[:3] == "HL-")]


CLASSES = {
  "lists.json": '{"a": [0.1, 0.9, 0], "b": [0.5, 0.2, 0.3]}',
  "names.json": '{"b": {"jump": 0.2, "run": 0.3, "Dive": 0.5},'
  ' "a": {"run": 0, "Dive": 0.1, "jump": 0.9}}',
  "table.csv": "Video,run,jump,Dive\nb,0.3,0.2,0.5\na,0,0.9,0.1\n",
  "run.json": '{"a": {"labels": [1], "scores": [0.1, 0.9, 0]},'
  ' "b": {"labels": [1, 2], "scores": [0.5, 0.2, 0.3]},'
  ' "c": {"labels": [0], "scores": [0, 0, 1]}}',
  "true.csv": "video,label\na,jump\nb,jump\nb,run\nc,Dive\n",
  "true.json": '{"c": "Dive", "b": ["jump", "run"], "a": "jump"}',
}


def detections(**entries):
  return json.dumps({"results": entries})


def jump(end):
  return [{"label": "Jump", "score": 1, "segment": [0, end]}]


def frames(vid="x1", **row):
  return json.dumps({"vid": vid, **row})


DETECTED = (MADE / TAL[1]).read_text()

# What is said of predictions of a benchmark, beside which truth.
COMPLAINTS = {
  ("anet_tal", "p.json", "tal_truth.json"): {
    DETECTED.replace('"results": {', '"results": '): "p.json:",
    DETECTED.replace('"two"', '"nine"'): "p.json:11: nine: not a video",
    DETECTED.replace('"Swim"', '"Sit"'): "p.json:5: one: 'Sit' is not a class",
    detections(one=None): "p.json:1: one: not a list of detections",
    detections(one=jump(10**400)): "one: needs `label`, `score` and",
    detections(one=jump(1e300)): "one: not a finite number",
  },
  ("anet_tal", "p.json", "captions.json"): {DETECTED: "no video has"},
  ("anet_captions", "p.json", "captions.json"): {
    detections(v_one=None): "p.json:1: v_one: a result needs",
  },
  ("charades_sta", "binary", "qvh_truth.jsonl"): {
    b"\xff\xfe\x00": "not UTF-8",
  },
  ("qvhighlights", "rows.json", "qvh_truth.jsonl"): {
    '[{"qid": 1, "pred_relevant_windows": []},\n\n {"qid": 9}]': (
      "rows.json[1]: 9: not a query of the ground truth"
    ),
  },
  ("segmentation", "p.jsonl", "frames_truth.jsonl"): {
    frames(): "p.jsonl:1: x1: a row needs `vid` and `labels`",
    frames(
      labels=[[0]]
    ): "p.jsonl:1: x1: `labels` are neither numbers nor names",
    frames(labels=[0], frame_rate=0): "p.jsonl:1: x1: `frame_rate` 0 is no",
    frames(labels=[0], scores=["a"]): "p.jsonl:1: x1: `scores` are not numbers",
    frames("x9", labels=[0]): "p.jsonl:1: x9: not a video",
    frames(labels=["cut"]): "p.jsonl:1: x1: 1 frames predicted of 4",
  },
  ("classification", "p.json", ("true.json", CLASSES["true.json"])): {
    '{"a": [1, null]}': "a: no list of finite scores",
    '{"a": "12"}': "a: no list of finite scores",
    '{"a": null}': "a: no list of finite scores",
    '{"z": {"jump": 1, "run": 2, "Dive": 0}}': "z: not a video",
    '{"a": {"jump": 1, "run": 2}}': "no scores of the class 'Dive'",
    '{"a": {"jump": 1, "run": 2, "Dive": 0}, "b": {"jump": 1}}': (
      "b: 1 scores of 3"
    ),
    "{}": "no video with a class",
    "[]": "not a JSON object of videos",
  },
}


@pytest.mark.parametrize(
  ("benchmark", "file", "truth", "content", "says"),
  [(*k, *each) for k, given in COMPLAINTS.items() for each in given.items()],
  ids=[f"{k[0]}: {x}" for k in COMPLAINTS for x in COMPLAINTS[k].values()],
)
def test_complaints(fails, tmp_path, benchmark, file, truth, content, says):
  complaint = fails(benchmark, (file, content), truth)
  assert complaint.startswith("error: ")
  assert says in complaint.replace(f"{tmp_path}/", "")


def test_files_and_flags_that_cannot_be(fails, tmp_path):
  mine, folder = tmp_path / "mine.jsonl", tmp_path / "empty"
  mine.write_text((MADE / QVH[1]).read_text())
  folder.mkdir()
  given = QVH[0], mine, QVH[2]
  for arguments, says in (
    ((QVH[0], tmp_path / "none.jsonl", QVH[2]), "none.jsonl"),
    (("segmentation", folder, folder), "empty folder"),
    ((*TAL, "--subset", "test"), "subset"),
    ((*TAL, "--resamples=-1"), "--resamples -1: below 0"),
    ((*TAL, "--seed=-1"), "--seed -1: below 0"),
    ((*given, "--json", "/"), "/: Cannot"),
    ((*given, "--json", mine), "name another file"),
  ):
    assert says in fails(*arguments)
  assert mine.read_text() == (MADE / QVH[1]).read_text()


def test_a_reader_that_has_enough():
  arguments = ["--benchmark=anet_tal", "--resamples=0"]
  arguments += [f"--predictions={MADE / TAL[1]}"]
  arguments += [f"--ground_truth={MADE / TAL[2]}"]
  command = [sys.executable, "-m", "unloc_jax.metrics", *arguments]
  pipe = subprocess.PIPE
  with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
    process.stdout.close()
    assert process.stderr.read() == b""
  assert process.returncode == 0


@pytest.mark.parametrize(
  "file", ["lists.json", "names.json", "table.csv", "run.json"]
)
@pytest.mark.parametrize("truth", ["true.csv", "true.json", "run.json"])
def test_classes(run, fails, file, truth):
  """`a` is right, `b` second by its better class, `c` missing, or third."""
  paths = "classification", (file, CLASSES[file]), (truth, CLASSES[truth])
  if truth == "run.json" and file in ("names.json", "table.csv"):
    assert "no scores of the class '0'" in fails(*paths)
    return
  found = run(*paths)
  seen = 3 if file == "run.json" else 2
  assert found["top1"] == pytest.approx(100 / 3)
  assert found["top5"] == pytest.approx(seen * 100 / 3)
  assert (found["seen"], found["expected"]) == (seen, 3)
  interval = found["intervals"]["top1"]
  assert 0 <= interval["low"] <= interval["value"] <= interval["high"] <= 100


def test_kinetics_lines_are_a_truth(run):
  lines = "label,youtube_id,time_start,time_end\nzumba,ab,5,15\n"
  scores = "video,zumba,yoga\nab_000005_000015,0.4,0.6\n"
  found = run("kinetics400", ("p.csv", scores), ("val.csv", lines))
  assert (found["top1"], found["top5"]) == (0.0, 100.0)


@pytest.mark.parametrize(
  ("benchmark", "predictions", "truth"),
  [
    ("charades_sta", "p.jsonl", "g.txt"),
    QVH,
    ("segmentation", "both.jsonl", "both.jsonl"),
    ("classification", "table.csv", "true.csv"),
  ],
)
def test_no_figure_follows_the_order_of_lines(
  run, capsys, benchmark, predictions, truth
):
  """Nor does an interval, whose draws go by place."""
  rows = [("v", "he sits", 0, 9), ("v", "he runs", 5, 9), ("w", "so", 1, 3)]
  asked = [
    {"vid": v, "query": text, "pred_relevant_windows": [[0, 2 + i, 0.5]]}
    for i, (v, text, _, _) in enumerate(rows)
  ]
  labels = [{"vid": f"v{i}", "labels": [0, i, 1]} for i in range(3)]
  made = {
    **CLASSES,
    "p.jsonl": "\n".join(map(json.dumps, asked)),
    "g.txt": "\n".join(f"{v} {a} {b}##{text}" for v, text, a, b in rows),
    "both.jsonl": "\n".join(map(json.dumps, labels)),
  }
  found = []
  for turn in (1, -1):
    files = []
    for name in (predictions, truth):
      text = made.get(name) or (MADE / name).read_text()
      lines = text.rstrip("\n").split("\n")
      head = [lines.pop(0)] if name.endswith(".csv") else []
      files.append((name, "\n".join([*head, *lines[::turn]])))
    found.append((run(benchmark, *files), capsys.readouterr().out))
  assert found[0] == found[1]


def test_nothing_heavy_is_imported():
  """The evaluators run where there is neither JAX nor TensorFlow."""
  code = (
    "import sys, unloc_jax.metrics.__main__\n"
    "heavy = {'jax', 'jaxlib', 'flax', 'tensorflow', 'scipy', 'pandas'}\n"
    "found = heavy & {name.split('.')[0] for name in sys.modules}\n"
    "assert not found, found\n"
  )
  subprocess.run([sys.executable, "-c", code], check=True)
