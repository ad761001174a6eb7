"""The command on hand-made files: figures by hand, formats, bad input."""

import json
import subprocess
import sys

import pytest

from tests.metrics.made import MADE
from unloc_jax.annotations import moments, reading
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics.__main__ import main


def run(tmp_path, benchmark, predictions, truth, *more):
  """Runs the command on files, hand-made by name; returns what it wrote."""
  written = tmp_path / "metrics.json"
  arguments = ["--benchmark", benchmark, "--json", str(written)]
  arguments += ["--predictions", str(MADE / predictions), "--resamples", "20"]
  arguments += ["--ground_truth", str(MADE / truth), *more]
  assert main(arguments) == 0
  return json.loads(written.read_text())


def fails(capsys, benchmark, predictions, truth, *more):
  """Runs the command and returns its one line of complaint."""
  arguments = ["--benchmark", benchmark, "--ground_truth", str(MADE / truth)]
  arguments += ["--predictions", str(MADE / predictions), *more]
  assert main(arguments) == 1
  captured = capsys.readouterr()
  assert captured.out == ""
  assert captured.err.count("\n") == 1
  return captured.err


def write_rows(path, rows):
  path.write_text("\n".join(json.dumps(row) for row in rows))


def test_qvhighlights(tmp_path):
  """Query 1: windows IoU 1 and 6/8; query 2: listed first 6/16, best 1.

  So R1 is 1 of 2; the AP of query 1 is 1 up to IoU 0.75 and 1/2 above, that
  of query 2 always 1, the best-scored window being right.
  """
  found = run(
    tmp_path, "qvhighlights", "qvh_predictions.jsonl", "qvh_truth.jsonl"
  )
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
def test_recall(tmp_path, capsys, benchmark):
  """IoU .5 then 1 for the first query, 0 then .4 for the second."""
  found = run(tmp_path, benchmark, "charades_predictions.jsonl", "charades.txt")
  names = ["R1@0.3", "R1@0.5", "R1@0.7", "R5@0.3", "R5@0.5", "R5@0.7", "mIoU"]
  figures = [50.0, 50.0, 0.0, 100.0, 50.0, 50.0, 25.0]
  assert [found[name] for name in names] == pytest.approx(figures)
  assert (found["seen"], found["expected"]) == (2, 2)
  assert "scored 2 of 2" in capsys.readouterr().out


def test_captions_by_sentence_and_by_results(tmp_path):
  """The same predictions as JSONL and as dense captioning's JSON."""
  rows = [
    {"vid": video, "query": sentence, "pred_relevant_windows": [[0, end]]}
    for video, sentence, end in (
      ("v_one", "A dog runs.", 10),
      ("v_one", "A cat sleeps.", 10),
      ("v_two", "A dog runs.", 4),
    )
  ]
  first = tmp_path / "rows.jsonl"
  write_rows(first, rows)
  results = {}
  for row in rows:
    results.setdefault(row["vid"], []).append(
      {"sentence": row["query"], "timestamp": row["pred_relevant_windows"][0]}
    )
  second = tmp_path / "results.json"
  second.write_text(json.dumps({"results": results}))
  truth = "captions.json"
  found = [run(tmp_path, "anet_captions", p, truth) for p in (first, second)]
  assert found[0]["R1@0.3"] == pytest.approx(200 / 3)
  assert found[0]["mIoU"] == pytest.approx(140 / 3)
  assert found[1] == found[0]


def test_one_answer_serves_a_sentence_asked_twice(tmp_path):
  truth = tmp_path / "truth.txt"
  truth.write_text("A 0 10##he sits\nA 20 30##he sits\n")
  asked, path = {"vid": "A", "query": "he sits"}, tmp_path / "answers.jsonl"
  windows = [[0, 10, 1]], [[20, 30, 1]]
  rows = [{**asked, "pred_relevant_windows": each} for each in windows]
  for number, figure in ((1, 50.0), (2, 100.0)):
    write_rows(path, rows[:number])
    assert run(tmp_path, "charades_sta", path, truth)["R1@0.7"] == figure


def test_frames_of_tacos_become_seconds(tmp_path):
  path = tmp_path / "tacos.json"
  entry = {"timestamps": [[0, 50]], "sentences": ["cut"], "fps": 25.0}
  path.write_text(json.dumps({"s1.avi": {**entry, "num_frames": 250}}))
  ((row,), _) = moments.read_rows(path, Problems())
  assert (row.windows, row.duration) == ([[0.0, 2.0]], 10.0)


def test_detection(tmp_path, capsys):
  """Jump: true, false, true, true (.8) of 4 officially, of 3 when cleaned.

  At IoU .5, official AP is (1 + .75 + .75) / 4, the other (1 + .75 + .75) / 3;
  Swim has one detection of IoU .8.
  """
  found = run(tmp_path, "anet_tal", "tal_predictions.json", "tal_truth.json")
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


def test_detection_of_one_subset_and_without_blocked_videos(tmp_path):
  blocked = tmp_path / "blocked.txt"
  blocked.write_text("two\n")
  found = run(
    tmp_path,
    "anet_tal",
    "tal_predictions.json",
    "tal_truth.json",
    "--blocked",
    str(blocked),
  )
  assert found["expected"] == 1
  assert found["mAP"][0] == pytest.approx(((1 + 2 / 3) / 3 + 1) / 2)


def test_detections_that_name_classes_by_number(tmp_path):
  """ActionFormer's files: `label_id`, `scores`, all under `database`."""
  truth = json.loads((MADE / "tal_truth.json").read_text())
  results = json.loads((MADE / "tal_predictions.json").read_text())["results"]
  numbers = {"Jump": 4, "Swim": 9, "Run": 1}
  for video in truth["database"].values():
    for entry in video["annotations"]:
      entry["label_id"] = numbers[entry["label"]]
  for entries in results.values():
    for entry in entries:
      entry["label_id"] = numbers[entry.pop("label")]
      entry["scores"] = entry.pop("score")
  first, second = tmp_path / "p.json", tmp_path / "g.json"
  first.write_text(json.dumps({"database": results}))
  second.write_text(json.dumps(truth))
  found = run(tmp_path, "anet_tal", first, second)
  assert found["mAP"][0] == pytest.approx((2.5 / 4 + 1) / 2)


def test_coin_frames(tmp_path):
  """x1: 0 3 3 0 0, one frame of five wrong; x2: 7 7 0 0, one of four."""
  found = run(tmp_path, "coin", "coin_predictions.jsonl", "coin.json")
  assert found["acc_frames"] == pytest.approx(700 / 9)
  assert found["acc_mean_of_videos"] == pytest.approx((80 + 75) / 2)
  assert found["bg0"]["edit"] == 100.0
  assert (found["seen"], found["expected"]) == (2, 2)


def test_coin_segments(tmp_path):
  """Detections of COIN's steps, by its key `annotation`."""
  results = {"x1": [{"label": "boil water", "score": 1, "segment": [1, 3]}]}
  path = tmp_path / "p.json"
  path.write_text(json.dumps({"results": results}))
  found = run(tmp_path, "coin", path, "coin.json")
  assert found["average_mAP"] == 0.5


def test_named_frames_and_a_missing_video(tmp_path, capsys):
  found = run(tmp_path, "segmentation", "frames.jsonl", "frames_truth.jsonl")
  assert found["acc_frames"] == 75.0
  assert (found["seen"], found["expected"]) == (1, 2)
  assert "video x2: no predictions" in capsys.readouterr().out


def test_text_folders(tmp_path):
  predicted, truth = tmp_path / "p", tmp_path / "g"
  predicted.mkdir()
  truth.mkdir()
  (predicted / "x1").write_text("### Frame level: ###\ncut cut mix mix\n")
  (truth / "x1.txt").write_text("cut\ncut\ncut\nmix\n")
  assert run(tmp_path, "segmentation", predicted, truth)["acc_frames"] == 75.0


def test_matlab_of_one_video_and_of_equal_lengths(tmp_path):
  scipy_io = pytest.importorskip("scipy.io")
  path = tmp_path / "one.mat"
  scipy_io.savemat(path, {"P": [[0, 1, 1]], "Y": [[0, 1, 2]]})
  found = run(tmp_path, "segmentation", path, path)
  assert (found["videos"], found["frames"]) == (1, 3)
  scipy_io.savemat(path, {"P": [[0, 1, 1], [1, 1, 1]], "Y": [[0, 1, 2]] * 2})
  found = run(tmp_path, "segmentation", path, path)
  assert (found["videos"], found["frames"]) == (2, 6)


def test_a_complaint_is_one_line_or_a_note(tmp_path, capsys):
  lines = (MADE / "qvh_predictions.jsonl").read_text().splitlines()
  path = tmp_path / "bad.jsonl"
  for old, new, complaint in (
    ("[0.9, 0.1,", "[NaN, 0.1,", f"{path}:2: 2: `pred_saliency_scores`"),
    ('"qid": 2, ', '"qid" 2, ', f"{path}:2: line: wrong JSON"),
  ):
    path.write_text(f"{lines[0]}\n{lines[1].replace(old, new)}\n")
    assert complaint in fails(capsys, "qvhighlights", path, "qvh_truth.jsonl")
    arguments = ("qvhighlights", path, "qvh_truth.jsonl", "--lenient")
    found = run(tmp_path, *arguments)
    assert complaint in capsys.readouterr().out
    assert found["brief"]["MR-full-R1@0.5"] >= 50.0


def test_complaints_about_json(tmp_path, capsys):
  truth = "tal_truth.json"
  text = (MADE / "tal_predictions.json").read_text()
  path = tmp_path / "bad.json"
  cases = {
    '"results": {': ('"results": ', f"{path}:"),
    '"two"': ('"nine"', f"{path}:11: nine: not a video"),
    '"Swim"': ('"Sit"', f"{path}:5: one: 'Sit' is not a class"),
  }
  for old, (new, complaint) in cases.items():
    path.write_text(text.replace(old, new))
    assert complaint in fails(capsys, "anet_tal", path, truth)


def test_files_that_are_not_there_or_not_that(tmp_path, capsys):
  truth, detections = "qvh_truth.jsonl", "tal_predictions.json"
  missing = tmp_path / "none.jsonl"
  assert "none.jsonl" in fails(capsys, "qvhighlights", missing, truth)
  binary = tmp_path / "binary"
  binary.write_bytes(b"\xff\xfe\x00")
  assert "not UTF-8" in fails(capsys, "charades_sta", binary, truth)
  captions = (detections, "captions.json")
  assert "no video has" in fails(capsys, "anet_tal", *captions)
  other = (detections, "tal_truth.json", "--subset", "test")
  assert "subset" in fails(capsys, "anet_tal", *other)
  folder = tmp_path / "empty"
  folder.mkdir()
  assert "empty folder" in fails(capsys, "segmentation", folder, folder)
  row = MADE / "qvh_predictions.jsonl", truth
  assert "/: Cannot" in fails(capsys, "qvhighlights", *row, "--json", "/")
  copy = tmp_path / "mine.jsonl"
  copy.write_text(row[0].read_text())
  given = "qvhighlights", copy, truth, "--json", str(copy)
  assert "name another file" in fails(capsys, *given)
  assert copy.read_text() == row[0].read_text()


def test_a_row_without_windows_among_others(tmp_path, capsys):
  truth = "qvh_truth.jsonl"
  given = reading.read_rows(MADE / "qvh_predictions.jsonl", Problems())
  rows = [row for _, row in given]
  del rows[1]["pred_relevant_windows"]
  path = tmp_path / "rows.jsonl"
  write_rows(path, rows)
  complaint = f"{path}:2: 2: no `pred_relevant_windows`"
  assert complaint in fails(capsys, "qvhighlights", path, truth)
  found = run(tmp_path, "qvhighlights", path, truth, "--lenient")
  assert found["full"]["MR-mAP"]["0.5"] == 50.0
  # Rows which only have saliency scores are a submission of their own.
  for row in rows:
    row.pop("pred_relevant_windows", None)
  write_rows(path, rows)
  found = run(tmp_path, "qvhighlights", path, truth)
  assert list(found) == ["brief", *(k for k in found if k[:3] == "HL-")]


def test_lists_say_which_entry(tmp_path, capsys):
  path = tmp_path / "rows.json"
  path.write_text('[{"qid": 1, "pred_relevant_windows": []},\n\n {"qid": 9}]')
  complaint = fails(capsys, "qvhighlights", path, "qvh_truth.jsonl")
  assert f"{path}[1]: 9: not a query of the ground truth" in complaint


@pytest.mark.parametrize(
  ("row", "what"),
  [
    ({"vid": "x1"}, "needs `vid` and `labels`"),
    ({"vid": "x1", "labels": [[0]]}, "neither numbers nor names"),
    ({"vid": "x1", "labels": [0], "frame_rate": 0}, "`frame_rate` 0 is no"),
    ({"vid": "x1", "labels": [0], "scores": ["a"]}, "not numbers"),
    ({"vid": "x9", "labels": [0]}, "x9: not a video"),
    ({"vid": "x1", "labels": ["cut"]}, "x1: 1 frames predicted of 4"),
  ],
)
def test_complaints_about_frames(tmp_path, capsys, row, what):
  path = tmp_path / "frames.jsonl"
  write_rows(path, [row])
  complaint = fails(capsys, "segmentation", path, "frames_truth.jsonl")
  assert complaint.startswith(f"error: {path}:1: ")
  assert what in complaint


@pytest.mark.parametrize(
  ("benchmark", "row", "says"),
  [
    ("anet_tal", {"one": None}, "p.json:1: one: not a list of detections"),
    ("anet_captions", {"v_one": None}, "p.json:1: v_one: a result needs"),
    (
      "anet_tal",
      {"one": [{"label": "Jump", "score": 1, "segment": [0, 10**400]}]},
      "one: needs `label`, `score` and",
    ),
    (
      "anet_tal",
      {"one": [{"label": "Jump", "score": 1, "segment": [0, 1e300]}]},
      "one: not a finite number",
    ),
  ],
)
def test_null_and_numbers_beyond_float(tmp_path, capsys, benchmark, row, says):
  path = tmp_path / "p.json"
  path.write_text(json.dumps({"results": row}))
  truth = "tal_truth.json" if benchmark == "anet_tal" else "captions.json"
  assert says in fails(capsys, benchmark, path, truth)


def test_numbers_of_draws(capsys):
  paths = "anet_tal", "tal_predictions.json", "tal_truth.json"
  assert "--resamples -1: below 0" in fails(capsys, *paths, "--resamples=-1")
  assert "--seed -1: below 0" in fails(capsys, *paths, "--seed=-1")


def test_a_reader_that_has_enough():
  arguments = ["--benchmark=anet_tal", "--resamples=0"]
  arguments += [f"--predictions={MADE / 'tal_predictions.json'}"]
  arguments += [f"--ground_truth={MADE / 'tal_truth.json'}"]
  command = [sys.executable, "-m", "unloc_jax.metrics", *arguments]
  pipe = subprocess.PIPE
  with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
    process.stdout.close()
    assert process.stderr.read() == b""
  assert process.returncode == 0


def test_classes_that_only_other_subsets_have_are_said(tmp_path, capsys):
  results = json.loads((MADE / "tal_predictions.json").read_text())
  plain = run(tmp_path, "anet_tal", "tal_predictions.json", "tal_truth.json")
  results["results"]["one"] += [{"label": "Run", "score": 1, "segment": [0, 1]}]
  path = tmp_path / "p.json"
  path.write_text(json.dumps(results))
  assert (
    run(tmp_path, "anet_tal", path, "tal_truth.json")["mAP"] == plain["mAP"]
  )
  assert "1 classes not in the truth" in capsys.readouterr().out


CLASSES = {
  "lists.json": '{"a": [0.1, 0.9, 0], "b": [0.5, 0.2, 0.3]}',
  "names.json": '{"b": {"jump": 0.2, "run": 0.3, "Dive": 0.5},'
  ' "a": {"run": 0, "Dive": 0.1, "jump": 0.9}}',
  "table.csv": "Video,run,jump,Dive\nb,0.3,0.2,0.5\na,0,0.9,0.1\n",
  "run.json": '{"a": {"labels": [1], "scores": [0.1, 0.9, 0]},'
  ' "b": {"labels": [1, 2], "scores": [0.5, 0.2, 0.3]},'
  ' "c": {"labels": [0], "scores": [0, 0, 1]}}',
}
TRUE_CLASSES = {
  "true.csv": "video,label\na,jump\nb,jump\nb,run\nc,Dive\n",
  "true.json": '{"c": "Dive", "b": ["jump", "run"], "a": "jump"}',
}


@pytest.mark.parametrize("file", CLASSES)
@pytest.mark.parametrize("truth", [*TRUE_CLASSES, "run.json"])
def test_classes(tmp_path, capsys, file, truth):
  """`a` is right, `b` second by its better class, `c` missing, or third."""
  for name, text in (CLASSES | TRUE_CLASSES).items():
    (tmp_path / name).write_text(text)
  paths = "classification", tmp_path / file, tmp_path / truth
  if truth == "run.json" and file in ("names.json", "table.csv"):
    assert "no scores of the class '0'" in fails(capsys, *paths)
    return
  found = run(tmp_path, *paths)
  assert found["top1"] == pytest.approx(100 / 3)
  assert found["top5"] == pytest.approx(
    300 / 3 if file == "run.json" else 200 / 3
  )
  seen = 3 if file == "run.json" else 2
  assert (found["seen"], found["expected"]) == (seen, 3)
  interval = found["intervals"]["top1"]
  assert 0 <= interval["low"] <= interval["value"] <= interval["high"] <= 100


@pytest.mark.parametrize(
  ("given", "what"),
  [
    ('{"a": [1, null]}', "a: no list of finite scores"),
    ('{"a": "12"}', "a: no list of finite scores"),
    ('{"a": null}', "a: no list of finite scores"),
    ('{"z": {"jump": 1, "run": 2, "Dive": 0}}', "z: not a video"),
    ('{"a": {"jump": 1, "run": 2}}', "no scores of the class 'Dive'"),
    (
      '{"a": {"jump": 1, "run": 2, "Dive": 0}, "b": {"jump": 1}}',
      "b: 1 scores of 3",
    ),
    ("{}", "no video with a class"),
    ("[]", "not a JSON object of videos"),
  ],
)
def test_complaints_about_classes(tmp_path, capsys, given, what):
  path, truth = tmp_path / "p.json", tmp_path / "true.json"
  path.write_text(given)
  truth.write_text(TRUE_CLASSES["true.json"])
  assert what in fails(capsys, "classification", path, truth)


def test_kinetics_lines_are_a_truth(tmp_path):
  truth, path = tmp_path / "val.csv", tmp_path / "p.csv"
  truth.write_text("label,youtube_id,time_start,time_end\nzumba,ab,5,15\n")
  path.write_text("video,zumba,yoga\nab_000005_000015,0.4,0.6\n")
  found = run(tmp_path, "kinetics400", path, truth)
  assert (found["top1"], found["top5"]) == (0.0, 100.0)


@pytest.mark.parametrize(
  ("benchmark", "predictions", "truth"),
  [
    ("charades_sta", "p.jsonl", "g.txt"),
    ("qvhighlights", "qvh_predictions.jsonl", "qvh_truth.jsonl"),
    ("segmentation", "both.jsonl", "both.jsonl"),
    ("classification", "table.csv", "true.csv"),
  ],
)
def test_no_figure_follows_the_order_of_lines(
  tmp_path, capsys, benchmark, predictions, truth
):
  """Nor does an interval, whose draws go by place."""
  rows = [("v", "he sits", 0, 9), ("v", "he runs", 5, 9), ("w", "so", 1, 3)]
  asked = [
    {"vid": v, "query": text, "pred_relevant_windows": [[0, 2 + i, 0.5]]}
    for i, (v, text, _, _) in enumerate(rows)
  ]
  frames = [{"vid": f"v{i}", "labels": [0, i, 1]} for i in range(3)]
  made = {
    **CLASSES,
    **TRUE_CLASSES,
    "p.jsonl": "\n".join(map(json.dumps, asked)),
    "g.txt": "\n".join(f"{v} {a} {b}##{text}" for v, text, a, b in rows),
    "both.jsonl": "\n".join(map(json.dumps, frames)),
  }
  found = []
  for turn in (1, -1):
    for name in {predictions, truth}:
      text = made.get(name) or (MADE / name).read_text()
      lines = text.rstrip("\n").split("\n")
      head = [lines.pop(0)] if name.endswith(".csv") else []
      (tmp_path / name).write_text("\n".join([*head, *lines[::turn]]))
    found.append(
      (
        run(tmp_path, benchmark, tmp_path / predictions, tmp_path / truth),
        capsys.readouterr().out,
      )
    )
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
