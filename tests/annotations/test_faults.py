"""Files as people hand them round: read right, or refused in one line."""

import json

import pytest

from unloc_jax import annotations
from unloc_jax.annotations import reading

HEAD = "video,start,end,text\n"
ROW = "a.mp4,1,5,he runs\n"
RUNS = ["he runs"]
ACTIONS = "label,youtube_id,time_start,time_end"


def custom(**changes):
  segment = {"start": 1, "end": 5, "text": "he runs", **changes}
  return json.dumps({"video": "a.mp4", "segments": [segment]})


def table(text):
  return f"{HEAD}a.mp4,1,5,{text}\n{ROW}"


# The texts of a file, each of them said of one to five seconds.
READ = {
  "a.csv": {
    HEAD + ROW: RUNS,
    (HEAD + ROW).replace(",", ";"): RUNS,
    (HEAD + ROW).replace(",", "\t"): RUNS,
    (HEAD + ROW).replace(",", "|"): RUNS,
    "\ufeff" + (HEAD + ROW).replace("\n", "\r\n"): RUNS,
    (HEAD + ROW).replace("\n", "\r"): RUNS,
    (HEAD + ROW).encode("utf-16"): RUNS,
    "Video, Start, End, Text\n" + ROW.replace(",", ", ") + "\n,,,\n": RUNS,
    "video,start,end,text,\na.mp4,1,5,he runs,\n": RUNS,
    table('"he runs, then jumps"'): ["he runs, then jumps", *RUNS],
    table(' "he ""runs"""'): ['he "runs"', *RUNS],
    table('a 5" pipe'): ['a 5" pipe', *RUNS],
    table("he\u2028runs\x0cand\x85so"): ["he\u2028runs\x0cand\x85so", *RUNS],
    table('"he runs\nthen jumps"'): ["he runs\nthen jumps", *RUNS],
    table("x" * 200_000): ["x" * 200_000, *RUNS],
  },
  "A.CSV": {HEAD + ROW: RUNS},
  "a.jsonl": {
    "\ufeff" + custom(): RUNS,
    custom(text="he runs \ud83d"): RUNS,
    custom(start="1", end="5.0"): RUNS,
    f"[{custom()}]": RUNS,
    custom(text="\u200b \u2060"): [],  # Nothing of it has a width.
    '{"video": "a.mp4", "segments": null}': [],
  },
  "a.JSONL": {custom() + "\r\n\n": RUNS},
}


@pytest.mark.parametrize(
  ("file", "content", "texts"),
  [(file, *each) for file, given in READ.items() for each in given.items()],
  ids=[
    f"{file}-{i}" for file, given in READ.items() for i in range(len(given))
  ],
)
def test_read_right(read, rows, file, content, texts):
  files = {file: content, f"._{file}": b"\0\5\x16\7"}  # macOS's, in archives.
  for only in (file, ""):
    found = rows(read("custom", files, only))
    assert found == [("a.mp4", "train", text, 1, 5) for text in texts]


def anet(**entry):
  entry = {"subset": "training", "duration": 30, **entry}
  return json.dumps({"database": {"v": entry}})


def label(value):
  return anet(annotations=[{"segment": [1, 5], "label": value}])


def tacos(**entry):
  entry = {"timestamps": [[0, 5]], "sentences": ["a"], **entry}
  return json.dumps({"v": entry})


def asked(**row):
  return json.dumps({"qid": 1, "vid": "a", "query": "b", **row})


def salads(times=1, **changes):
  video = {"id": "01-1", "test_split": 2, "fps": 2.0, "T": 40, **changes}
  videos = times * [{"segments": [[0, 4, "peel"]], **video}]
  return json.dumps({"classes": ["peel"], "videos": videos})


# What is said of a file. Its name comes before, and the number of a line.
REFUSED = {
  ("custom", "a.csv"): {
    HEAD + "a.mp4,1,5,he runs, then jumps\n": "a.csv:2: 5 cells",
    HEAD + "a.mp4,1,5\n": "a.csv:2: 3 cells",
    HEAD + ROW + 'b.mp4,1,5,"he waves\n' + ROW: "a.csv:3: wrong CSV",
    f'{HEAD}b.mp4,1,5,"he waves\n{ROW}c.mp4,1,5,she"\n': "a.csv:2: a quoted",
    HEAD + 'b.mp4,1,5,"he" waves\n': "a.csv:2: wrong CSV",
    "video,start,end,text,\na.mp4,1,5,he runs, jumps\n": "a.csv:2: 5 cells",
    "video;start,end,text\n": "a.csv:1: no column 'video'",
    "video,start,end,text,text\n": "a.csv:1: two columns 'text'",
    "": "a.csv:1: no column 'video'",
    (HEAD + "a.mp4,1,5,café\n").encode("latin-1"): "a.csv:2: byte 0xe9",
    (HEAD + ROW).encode("utf-16")[2:]: "a.csv:1: a NUL",
    HEAD.replace(",", ";") + "a.mp4;1,5;5;he runs\n": "a.csv:2: 'start' '1,5'",
    HEAD + "a.mp4,1_0,50,he runs\n": "a.csv:2: 'start' '1_0'",
    f"split,{HEAD}all,a.mp4,1,5,he runs\n": "a.csv:2: 'all' cannot name",
    f"split,{HEAD}Fold 1/val,a.mp4,1,5,he runs\n": "a.csv:2: 'Fold 1/val'",
    f"duration,{HEAD}9,{ROW}8,{ROW}": "a.csv:3: duration 8, but 9",
  },
  ("custom", "train.jsonl"): {
    custom(text=None): "'text' None is no text",
    custom(start=None): "'start' None",
    custom(end=True): "'end' True",
    custom(start=float("nan")): "'start' nan",
    custom(end=10**400): "'end' 1000",
    custom().replace("5", "1e999"): "'end' inf",
    custom().replace("}]", "},]"): "wrong JSON (a comma before ], column 75",
    custom()[:-1] + ', "video": "b"}': "'video' twice in one object",
    '{"segments": []}': "'video' must be a path",
    '{"video": "a"}': "'segments' must be a list",
    '{"video": "a", "segments": {}}': "'segments' must be a list",
    '{"video": "a", "segments": [7]}': "not a JSON object",
    custom()[:-1] + ', "absent": [1]}': "'absent' must be a list of texts",
    "[" * 9999: "nested too deeply",
    custom(more=5).replace("5", "5" * 5000): "thousands of digits",
    custom(more=json.loads("[" * 99 + "]" * 99)): "nested deeper than 32",
  },
  ("anet", "a.json"): {
    '{"database": {}}': "holds no videos",
    anet(annotations={}): "'annotations' must be a list",
    anet(annotations=[{"label": None}]): "no 'segment'",
    label(None): "a.json:1: v: label None is no name",
    label(["x"]): "a.json:1: v: label ['x'] is no name",
    anet(subset=None): "a.json:1: v: 'subset' must be",
    anet(subset="all"): "'all' cannot name a split",
    anet()[:-3] + ', "duration": 3}}}': "'duration' twice",
  },
  ("coin", "COIN.json"): {
    "[]": "not a JSON object of videos",
    anet(annotation=[{"id": 1.5, "label": "a"}]): "1.5",
    anet(annotation=[{"id": 1, "label": {}}]): "step 1",
  },
  ("anet_captions", "train.json"): {
    "{": "train.json:1: wrong JSON",
    '{"v": {}}': "train.json:1: v: needs lists",
  },
  ("tacos", "train.json"): {
    tacos(fps=0): "train.json:1: v: `fps` 0 is no rate",
    "{\n'v': 1}": "train.json:2: wrong JSON",
    '{\n"v": null}': "train.json:2: v: needs lists",
  },
  ("qvhighlights", "val.jsonl"): {
    "nonsense": "val.jsonl:1: line: wrong JSON",
    asked(relevant_windows=5): "val.jsonl:1: query 1: 5 is no list",
    asked(qid=None, vid=None): "no 'vid'",
    asked(qid=[]): "`qid` [] is",
  },
  ("charades_sta", "charades_sta_test.txt"): {
    "AAA 1\n": "charades_sta_test.txt:1: AAA: not 'VID",
  },
  ("kinetics600", "train.csv"): {
    "label,id\na,b\n": "no column 'youtube_id'",
    f"{ACTIONS},split\nabseiling\n": "train.csv:2: 1 cells",
    f"{ACTIONS}\na,,1,2\n": "train.csv:2: no youtube_id",
  },
  ("50salads", "annotations.json"): {
    salads(fps=0): "fps",
    salads(T=None): "'T'",
    salads(segments=[[0, 4, "fry"]]): "fry",
    salads(segments={}): "must be a list",
    salads(id=" "): "is no id",
    salads(times=2): "names two videos",
  },
}


@pytest.mark.parametrize(
  ("name", "file", "content", "says"),
  [(*key, *each) for key, given in REFUSED.items() for each in given.items()],
  ids=[f"{key[1]}: {x}" for key in REFUSED for x in REFUSED[key].values()],
)
def test_refused(read, name, file, content, says):
  with pytest.raises(annotations.AnnotationError) as caught:
    read(name, {file: content})
  text = str(caught.value)
  assert says in text
  assert file in text
  assert "\n" not in text


def test_null_lists_are_empty(read):
  null = {"v": {"sentences": None, "timestamps": None}}
  assert read("anet_captions", {"train.json": null}).videos == []
  assert read("anet", {"a.json": anet(annotations=None)}, "a.json").videos == []


def test_labels_that_differ_by_spaces_are_one(read, rows):
  labels = "Washing hands ", "Washing  hands", "a", " a ", 3, 3.0, "3"
  listed = [{"segment": [0, 1], "label": each} for each in labels]
  found = read("anet", {"a.json": anet(annotations=listed)})
  assert found.classes == ["3", "Washing hands", "a"]
  assert [segment.query for segment in found.videos[0].segments] == [
    0,
    0,
    0,
    1,
    1,
    2,
    2,
  ]
  texts = [row[2] for row in rows(found)]
  assert texts == ["3"] * 3 + ["Washing hands"] * 2 + ["a"] * 2


def test_the_samples_that_went_wrong(shared, rows):
  """Of each: what it is read as, or refused for."""
  folder = shared / "data" / "faults" / "annotations"
  right = {"upper_case_ending", "utf16", "semicolons", "cut_emoji"}
  reader = annotations.benchmark("custom").read
  for path in sorted(folder.glob("custom*")):
    if path.stem.removeprefix("custom_") in right:
      ((video, _, text, *window),) = rows(reader(path))
      assert (video, window) == ("a.mp4", [1, 5])
      assert text in ("he runs", "he smiles")
      continue
    with pytest.raises(annotations.AnnotationError) as caught:
      reader(path)
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)


def test_names():
  names = [reading.name_of(each) for each in ("a\u2028 b ", 7, 7.0)]
  assert names == ["a b", "7", "7"]
  for each in (None, True, 1.5, float("nan"), [], {}):
    assert reading.name_of(each) == ""
