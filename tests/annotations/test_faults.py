"""Files as people hand them round: read right, or refused in one line."""

import json

import pytest

from unloc_jax import annotations
from unloc_jax.annotations import reading

HEAD = "video,start,end,text\n"
ROW = "a.mp4,1,5,he runs\n"


def read(name, path):
  """[(video, split, text, start, end)] of a file."""
  found = annotations.benchmark(name).read(path)
  return [
    (v.video_id, v.split, v.queries[s.query].text, s.start, s.end)
    for v in found.videos
    for s in v.segments
  ]


def refusal(name, path):
  with pytest.raises(annotations.AnnotationError) as caught:
    read(name, path)
  assert "\n" not in str(caught.value)
  return str(caught.value)


def custom(**changes):
  segment = {"start": 1, "end": 5, "text": "he runs", **changes}
  return json.dumps({"video": "a.mp4", "segments": [segment]})


RUNS = ("a.mp4", "train", "he runs", 1, 5)


@pytest.mark.parametrize(
  ("file", "content"),
  [
    ("a.csv", HEAD + ROW),
    ("A.CSV", HEAD + ROW),
    ("a.csv", (HEAD + ROW).replace(",", ";")),
    ("a.csv", (HEAD + ROW).replace(",", "\t")),
    ("a.csv", (HEAD + ROW).replace(",", "|")),
    ("a.csv", "\ufeff" + (HEAD + ROW).replace("\n", "\r\n")),
    ("a.csv", (HEAD + ROW).replace("\n", "\r")),
    ("a.csv", (HEAD + ROW).encode("utf-16")),
    ("a.csv", "Video, Start, End, Text\n" + ROW.replace(",", ", ") + "\n,,,\n"),
    ("a.csv", "video,start,end,text,\na.mp4,1,5,he runs,\n"),
    ("a.jsonl", "\ufeff" + custom()),
    ("a.JSONL", custom() + "\r\n\n"),
    ("a.jsonl", custom(text="he runs \ud83d")),
    ("a.jsonl", custom(start="1", end="5.0")),
    ("a.jsonl", f"[{custom()}]"),
  ],
)
def test_read_right(tmp_path, file, content):
  path = tmp_path / file
  raw = content if isinstance(content, bytes) else content.encode()
  path.write_bytes(raw)
  (tmp_path / f"._{file}").write_bytes(b"\0\5\x16\7")  # macOS's, in archives.
  assert read("custom", path) == read("custom", tmp_path) == [RUNS]


def test_a_text_without_width_is_none(tmp_path):
  (tmp_path / "a.jsonl").write_text(custom(text="\u200b \u2060"))
  assert read("custom", tmp_path) == []


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    ('"he runs, then jumps"', "he runs, then jumps"),
    (' "he ""runs"""', 'he "runs"'),
    ('a 5" pipe', 'a 5" pipe'),
    ("he\u2028runs\x0cand\x85jumps", "he\u2028runs\x0cand\x85jumps"),
    ('"he runs\nthen jumps"', "he runs\nthen jumps"),
    ("x" * 200_000, "x" * 200_000),
  ],
)
def test_texts_of_a_table_are_whole(tmp_path, text, expected):
  path = tmp_path / "a.csv"
  path.write_text(f"{HEAD}a.mp4,1,5,{text}\n{ROW}", encoding="utf-8")
  assert [row[2] for row in read("custom", path)] == [expected, "he runs"]


@pytest.mark.parametrize(
  ("content", "says"),
  [
    (HEAD + "a.mp4,1,5,he runs, then jumps\n", ":2: 5 cells"),
    (HEAD + "a.mp4,1,5\n", ":2: 3 cells"),
    (HEAD + ROW + 'b.mp4,1,5,"he waves\n' + ROW, ":3: wrong CSV"),
    (HEAD + 'b.mp4,1,5,"he waves\n' + ROW + 'c.mp4,1,5,she"\n', ":2: a quoted"),
    (HEAD + 'b.mp4,1,5,"he" waves\n', ":2: wrong CSV"),
    ("video,start,end,text,\na.mp4,1,5,he runs, jumps\n", ":2: 5 cells"),
    ("video;start,end,text\n", ":1: no column 'video'"),
    ("video,start,end,text,text\n", ":1: two columns 'text'"),
    ("", ":1: no column 'video'"),
    (HEAD.encode() + "a.mp4,1,5,café\n".encode("latin-1"), ":2: byte 0xe9"),
    ((HEAD + ROW).encode("utf-16")[2:], ":1: a NUL"),
    (HEAD.replace(",", ";") + "a.mp4;1,5;5;he runs\n", ":2: 'start' '1,5'"),
    (HEAD + "a.mp4,1_0,50,he runs\n", ":2: 'start' '1_0'"),
    ("split," + HEAD + "all,a.mp4,1,5,he runs\n", ":2: 'all' cannot name"),
    ("split," + HEAD + "Fold 1/val,a.mp4,1,5,he runs\n", ":2: 'Fold 1/val'"),
    ("duration," + HEAD + f"9,{ROW}8,{ROW}", ":3: duration 8, but 9"),
  ],
)
def test_tables_are_refused(tmp_path, content, says):
  path = tmp_path / "a.csv"
  raw = content if isinstance(content, bytes) else content.encode()
  path.write_bytes(raw)
  assert f"a.csv{says}" in refusal("custom", path)


@pytest.mark.parametrize(
  ("content", "says"),
  [
    (custom(text=None), "'text' None is no text"),
    (custom(start=None), "'start' None"),
    (custom(end=True), "'end' True"),
    (custom(start=float("nan")), "'start' nan"),
    (custom(end=10**400), "'end' 1000"),
    (custom().replace("5", "1e999"), "'end' inf"),
    (custom().replace("}]", "},]"), "wrong JSON (a comma before ], column 75"),
    (custom()[:-1] + ', "video": "b"}', "'video' twice in one object"),
    ('{"video": "a", "segments": {}}', "'segments' must be a list"),
    ('{"video": "a", "segments": [7]}', "not a JSON object"),
    ("[" * 9999, "nested too deeply"),
    (custom(more=5).replace("5", "5" * 5000), "thousands of digits"),
    (custom(more=json.loads("[" * 99 + "]" * 99)), "nested deeper than 32"),
  ],
)
def test_rows_are_refused(tmp_path, content, says):
  (tmp_path / "train.jsonl").write_text(content)
  assert says in refusal("custom", tmp_path)


def test_null_lists_are_empty(tmp_path):
  path = tmp_path / "train.jsonl"
  path.write_text('{"video": "a.mp4", "segments": null}')
  assert read("custom", path) == []
  path = tmp_path / "train.json"
  path.write_text('{"v": {"sentences": null, "timestamps": null}}')
  assert read("anet_captions", path) == []


def anet(**entry):
  entry = {"subset": "training", "duration": 30, **entry}
  return json.dumps({"database": {"v": entry}})


def label(value):
  return anet(annotations=[{"segment": [1, 5], "label": value}])


@pytest.mark.parametrize(
  ("name", "file", "content", "says"),
  [
    ("anet", "a.json", label(["x"]), "json:1: v: label ['x'] is no name"),
    ("anet", "a.json", anet(subset=None), "json:1: v: 'subset' must be"),
    ("anet", "a.json", anet(subset="all"), "'all' cannot name a split"),
    ("anet", "a.json", anet()[:-3] + ', "duration": 3}}}', "'duration' twice"),
    ("coin", "COIN.json", anet(annotation=[{"id": 1.5, "label": "a"}]), "1.5"),
    ("coin", "COIN.json", anet(annotation=[{"id": 1, "label": {}}]), "step 1"),
    ("tacos", "train.json", '{"v": {"timestamps": [[0, 5]], "sentences": ["a"],'
     ' "fps": 0}}', "train.json:1: v: `fps` 0 is no rate"),
    ("tacos", "train.json", "{\n'v': 1}", "train.json:2: wrong JSON"),
    ("tacos", "train.json", '{\n"v": null}', "train.json:2: v: needs lists"),
    ("qvhighlights", "val.jsonl", '{"qid": 1, "vid": "a", "query": "b",'
     ' "relevant_windows": 5}', "val.jsonl:1: query 1: 5 is no list"),
    ("qvhighlights", "val.jsonl", '{"qid": null, "vid": null}', "no 'vid'"),
    ("qvhighlights", "val.jsonl", '{"qid": [], "vid": "a"}', "`qid` [] is"),
    ("kinetics400", "train.csv", "label,youtube_id,time_start,time_end,split\n"
     "abseiling\n", "train.csv:2: 1 cells"),
    ("kinetics400", "train.csv", "label,youtube_id,time_start,time_end\n"
     "a,,1,2\n", "train.csv:2: no youtube_id"),
  ],
)  # fmt: skip
def test_official_files_are_refused(tmp_path, name, file, content, says):
  (tmp_path / file).write_text(content)
  assert says in refusal(name, tmp_path)


def test_labels_that_differ_by_spaces_are_one(tmp_path):
  rows = [
    {"segment": [i, i + 1], "label": text}
    for i, text in enumerate(("Washing hands ", "Washing  hands", 3, 3.0, "3"))
  ]
  (tmp_path / "a.json").write_text(anet(annotations=rows))
  texts = [row[2] for row in read("anet", tmp_path)]
  assert sorted(texts) == ["3"] * 3 + ["Washing hands"] * 2


def test_marks_and_odd_breaks_in_charades(tmp_path):
  mark = "\ufeff"
  (tmp_path / "Charades_v1_train.csv").write_text(f"{mark}id,length\nA,33.67\n")
  path = tmp_path / "charades_sta_train.txt"
  path.write_text(f"{mark}A 0 50##he\u2028sits.\r\nA 1 2##so\x85.\r")
  found = [row[2:] for row in read("charades_sta", tmp_path)]
  assert found == [("he\u2028sits.", 0, 33.67), ("so\x85.", 1, 2)]


def test_the_samples_that_went_wrong(shared):
  """Of each: what it is read as, or refused for."""
  folder = shared / "data" / "faults" / "annotations"
  right = {"upper_case_ending", "utf16", "semicolons", "cut_emoji"}
  for path in sorted(folder.glob("custom*")):
    if path.stem.removeprefix("custom_") in right:
      ((video, _, text, *window),) = read("custom", path)
      assert (video, window) == ("a.mp4", [1, 5])
      assert text in ("he runs", "he smiles")
    else:
      assert refusal("custom", path).startswith(f"{path}:")


def test_names():
  assert [reading.name_of(each) for each in ("a\u2028 b ", 7, 7.0)] == [
    "a b",
    "7",
    "7",
  ]
  for each in (None, True, 1.5, float("nan"), [], {}):
    assert reading.name_of(each) == ""
