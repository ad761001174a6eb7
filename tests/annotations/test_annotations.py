"""Every benchmark's own format becomes the one form, and nothing is lost."""

import csv
import functools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unloc_jax import annotations
from unloc_jax.annotations import moments
from unloc_jax.annotations.records import AnnotationSet


def read(name, place):
  return annotations.benchmark(name).read(place)


@functools.cache
def read_real(shared, name, place):
  return read(name, shared / "data" / "annotations" / place)


@pytest.mark.parametrize(
  ("name", "place", "expected"),
  [
    (
      "anet_captions",
      "activitynet_captions",
      {
        "train": (10009, 37421, 37421),
        "val": (4917, 17505, 17505),
        "test": (4885, 17031, 17031),
      },
    ),
    (
      "charades_sta",
      "charades_sta",
      {"train": (5336, 12404, 12404), "test": (1334, 3720, 3720)},
    ),
    (
      "qvhighlights",
      "qvhighlights",
      {
        "train": (7100, 7218, 12803),
        "val": (1519, 1550, 2803),
        "test": (1529, 1542, 2761),
      },
    ),
    ("anet", "activitynet13", {"train": (9649, None, 14859)}),
    ("coin", "coin", {"test": (2797, 8163, 10893)}),
    (
      "thumos14",
      "thumos14",
      {"train": (200, None, 3007), "test": (210, None, 3311)},
    ),
  ],
)
def test_real_files_hold_what_they_should(shared, name, place, expected):
  found = read_real(shared, name, place)
  for split, (videos, queries, segments) in expected.items():
    notes = found.splits[split]
    assert (notes.videos, notes.segments) == (videos, segments)
    if queries is not None:
      assert notes.queries == queries
    official = annotations.benchmark(name).official[split]
    if official.queries is not None:
      assert official.queries[0] <= notes.queries <= official.queries[1]
  count = annotations.benchmark(name).class_count
  assert len(found.classes) == (count or 0)
  _check_sound(found)


def _check_sound(found):
  """What every reader promises of what it returns."""
  ids = [(v.split, v.video_id) for v in found.videos]
  assert len(set(ids)) == len(ids)
  for video in found.videos:
    for segment in video.segments:
      assert 0 <= segment.start < segment.end
      assert video.duration is None or segment.end <= video.duration
      assert 0 <= segment.query < len(video.queries)
    for query in video.queries:
      assert query.text
      if found.classes:
        assert found.classes[int(query.id)] == query.text


def test_real_clipping_is_counted(shared):
  splits = read_real(shared, "anet_captions", "activitynet_captions").splits
  clipped = {name: notes.clipped for name, notes in splits.items()}
  assert clipped == {"train": 261, "val": 134, "test": 111}
  assert splits["train"].dropped["segment ends before it starts"] == 2


def starts(video):
  return [(segment.start, segment.query) for segment in video.segments]


def write_json(path, record):
  path.write_text(json.dumps(record), encoding="utf-8")
  return path


def test_captions_clip_drop_and_keep_lists(tmp_path):
  entry = {
    "duration": 10.0,
    "timestamps": [[1, 2], [8, 12], [9, 7], [11, 12], [3, 4], [-1, 2]],
    "sentences": ["one", "two", "three", "four", " ", " été\u2028 "],
    "kinds": ["x", "y", "z", "u", "v", "w"],
    "note": ["not", "per", "sentence"],
  }
  write_json(tmp_path / "unseen.json", {"v_a": entry})
  found = read("anet_captions", tmp_path)
  (video,) = found.videos
  assert video.split == "unseen"
  assert [(q.id, q.text, q.annotation) for q in video.queries] == [
    ("v_a#0", "one", {"kinds": "x"}),
    ("v_a#1", "two", {"kinds": "y"}),
    ("v_a#5", "été", {"kinds": "w"}),
  ]
  segments = [(s.start, s.end, s.query) for s in video.segments]
  assert segments == [(1, 2, 0), (8, 10, 1), (0, 2, 2)]
  notes = found.splits["unseen"]
  assert (notes.queries, notes.segments, notes.clipped) == (6, 6, 2)
  assert notes.dropped == {
    "segment ends before it starts": 1,
    "segment outside the video": 1,
    "query without a usable segment": 2,
    "empty caption": 1,
  }


def test_a_video_of_two_splits_is_in_both(tmp_path):
  entry = {"duration": 5, "timestamps": [[0, 1]], "sentences": ["a"]}
  for name in ("val_1", "val_2"):
    write_json(tmp_path / f"{name}.json", {"v_a": entry})
  found = read("anet_captions", tmp_path)
  assert [v.split for v in found.videos] == ["val", "test"]


def test_an_id_twice_in_a_file_is_said(tmp_path):
  entry = '{"duration": 5, "timestamps": [[0, 1]], "sentences": ["%s"]}'
  (tmp_path / "train.json").write_text(
    f'{{"v_a": {entry % "first"}, "v_a": {entry % "second"}}}'
  )
  found = read("anet_captions", tmp_path)
  assert [v.queries[0].text for v in found.videos] == ["first"]
  assert found.splits["train"].dropped["duplicate video id"] == 1


def test_charades_text_and_lengths(tmp_path):
  (tmp_path / "charades_sta_train.txt").write_text(
    "AO8RW 0.0 6.9##a person is putting a book on a shelf.\n"
    "AO8RW 3.0 50.0##person ## twice.\n\nBBBBB 1 2##b.\n"
  )
  with (tmp_path / "Charades_v1_train.csv").open("w", newline="") as file:
    csv.writer(file).writerows([["id", "length"], ["AO8RW", "33.67"]])
  found = read("charades_sta", tmp_path)
  first, second = found.videos
  assert (first.duration, second.duration) == (33.67, None)
  assert [q.text for q in first.queries] == [
    "a person is putting a book on a shelf.",
    "person ## twice.",
  ]
  assert first.segments[1].end == 33.67


def test_jsonl_keeps_what_else_is_said(tmp_path):
  row = {
    "qid": 7,
    "query": "a",
    "vid": "x_0.0_150.0",
    "duration": 150,
    "relevant_windows": [[0, 2], [10, 20]],
    "relevant_clip_ids": [0, 5],
    "saliency_scores": [[1, 2, 3], [4, 4, 4]],
  }
  blind = {"qid": 8, "query": "b\u2028c", "vid": "x_0.0_150.0", "duration": 150}
  path = tmp_path / "highlight_val_release.jsonl"
  path.write_text(
    "\n".join(json.dumps(r, ensure_ascii=False) for r in (row, blind, row)),
    encoding="utf-8",
  )
  found = read("qvhighlights", path)
  (video,) = found.videos
  assert [q.id for q in video.queries] == ["7", "8"]
  assert video.queries[0].annotation == {
    "relevant_clip_ids": [0, 5],
    "saliency_scores": [[1, 2, 3], [4, 4, 4]],
  }
  segments = [(s.start, s.end, s.query) for s in video.segments]
  assert segments == [(0, 2, 0), (10, 20, 0)]
  assert found.splits["val"].dropped["duplicate query id"] == 1


def test_test_split_with_ground_truth_is_preferred(tmp_path):
  for name, text in (
    ("highlight_test_release", "blind"),
    ("highlight_test_with_gt", "seeing"),
  ):
    row = {"qid": 1, "query": text, "vid": "v", "duration": 9}
    write_json(tmp_path / f"{name}.jsonl", row)
  (video,) = read("qvhighlights", tmp_path).videos
  assert video.queries[0].text == "seeing"


@pytest.mark.parametrize(
  ("stem", "split"),
  [
    ("charades_sta_train", "train"),
    ("highlight_val_release", "val"),
    ("tacos-testing", "test"),
    ("other", "other"),
  ],
)
def test_split_of_a_file_name(tmp_path, stem, split):
  assert moments.split_of(tmp_path / f"{stem}.jsonl") == split


def test_anet_official_form(tmp_path):
  taxonomy = [
    {"nodeId": 0, "nodeName": "Root", "parentId": None},
    {"nodeId": 1, "nodeName": "Swim", "parentId": 0},
    {"nodeId": 2, "nodeName": "Bowl", "parentId": 0},
  ]
  swim = {"segment": [5, 9], "label": "Swim"}
  listed = [swim, {"segment": [1, 3], "label": "Bowl"}, swim]
  database = {
    "aaa": {"subset": "training", "duration": 20.0, "annotations": listed},
    "bbb": {"subset": "testing", "duration": 5.0, "annotations": []},
  }
  record = {"version": "1.3", "taxonomy": taxonomy, "database": database}
  path = write_json(tmp_path / "activity_net.v1-3.min.json", record)
  found = read("anet", path)
  assert found.classes == ["Bowl", "Swim"]
  (video,) = found.videos
  queries = [(q.id, q.text) for q in video.queries]
  assert queries == [("0", "Bowl"), ("1", "Swim")]
  assert starts(video) == [(1, 0), (5, 1), (5, 1)]
  assert "2 without exact duplicates" in found.splits["train"].notes[-1]
  assert "1 videos have no annotations" in found.splits["test"].notes[0]


def test_coin_steps_go_by_id_not_by_label(tmp_path):
  entry = {"subset": "testing", "duration": 30, "class": "MakeTea"}
  entry["annotation"] = [
    {"id": step, "segment": [start, start + 1], "label": "pour water"}
    for step, start in (("17", 1), ("4", 3), ("17", 5))
  ]
  path = write_json(tmp_path / "COIN.json", {"database": {"v": entry}})
  found = read("coin", path)
  (video,) = found.videos
  assert found.classes == ["pour water", "pour water"]
  assert [q.id for q in video.queries] == ["0", "1"]
  assert video.queries[1].annotation == {"step": 17, "class": "MakeTea"}
  assert starts(video) == [(3, 0), (1, 1), (5, 1)]


def test_kinetics_lines(tmp_path):
  (tmp_path / "train.csv").write_text(
    "label,youtube_id,time_start,time_end,split\n"
    "zumba,-abc,5,15,train\nabseiling,def,0,10,train\nzumba,-abc,5,15,train\n"
  )
  (tmp_path / "validate.csv").write_text(
    "label,youtube_id,time_start,time_end,split\nzumba,x y,100,110,validate\n"
  )
  found = read("kinetics400", tmp_path)
  assert found.classes == ["abseiling", "zumba"]
  assert [(v.video_id, v.split, v.names) for v in found.videos] == [
    ("-abc_000005_000015", "train", ("-abc",)),
    ("def_000000_000010", "train", ("def",)),
    ("x y_000100_000110", "val", ("x y",)),
  ]
  assert found.splits["train"].dropped["duplicate video id"] == 1
  assert found.videos[0].segments[0].end == 10


def test_custom_texts_that_nothing_answers(tmp_path):
  line = {
    "video": "a.mp4",
    "segments": [{"start": 0, "end": 1, "text": "a cat"}],
    "absent": ["a dog", "a cat"],
  }
  (tmp_path / "train.jsonl").write_text(json.dumps(line))
  (one,) = read("custom", tmp_path / "train.jsonl").videos
  assert [query.text for query in one.queries] == ["a cat", "a dog"]
  assert [segment.query for segment in one.segments] == [0]


def test_custom_jsonl_and_csv_agree(tmp_path):
  row = {
    "video": "sub/my clip é.mp4",
    "duration": 9,
    "segments": [
      {"start": start, "end": end, "text": text}
      for start, end, text in ((0, 2, "a"), (3, 4, "b"), (5, 6, "a"))
    ],
  }
  write_json(tmp_path / "train.jsonl", row)
  with (tmp_path / "other.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["video", "start", "end", "text", "duration"])
    for s in row["segments"]:
      writer.writerow([row["video"], s["start"], s["end"], s["text"], 9])
  (one,) = read("custom", tmp_path / "train.jsonl").videos
  (two,) = read("custom", tmp_path / "other.csv").videos
  assert one == two
  assert one.path == row["video"]
  assert [q.text for q in one.queries] == ["a", "b"]
  assert starts(one) == [(0, 0), (5, 0), (3, 1)]


def _anet(annotations):
  entry = {"subset": "training", "duration": 9, "annotations": annotations}
  return json.dumps({"database": {"v": entry}})


def test_null_lists_and_spaces_around_labels(tmp_path):
  rows = [{"label": label, "segment": [0, 1]} for label in ("a", " a ", 3)]
  path = tmp_path / "activity_net.json"
  path.write_text(_anet(None))
  assert read("anet", path).videos == []
  path.write_text(_anet(rows))
  found = read("anet", path)
  assert found.classes == ["3", "a"]
  assert [s.query for s in found.videos[0].segments] == [0, 1, 1]


@pytest.mark.parametrize(
  ("name", "file", "text", "says"),
  [
    ("anet_captions", "train.json", "{", "train.json:1: wrong JSON"),
    ("anet_captions", "train.json", '{"v": {}}', "json:1: v: needs lists"),
    ("anet", "activity_net.json", '{"database": {}}', "holds no videos"),
    ("coin", "COIN.json", "[]", "not a JSON object of videos"),
    ("anet", "activity_net.json", _anet({}), "'annotations' must be a list"),
    ("anet", "activity_net.json", _anet([{"label": None}]), "no 'segment'"),
    (
      "anet",
      "activity_net.json",
      _anet([{"label": None, "segment": [0, 1]}]),
      "json:1: v: label None is no name",
    ),
    ("qvhighlights", "a_val.jsonl", "nonsense", "jsonl:1: line: wrong JSON"),
    (
      "charades_sta",
      "charades_sta_test.txt",
      "AAA 1\n",
      "txt:1: AAA: not 'VID",
    ),
    ("custom", "train.jsonl", '{"segments": []}', "'video' must be a path"),
    ("custom", "train.jsonl", '{"video": "a"}', "'segments' must be a list"),
    (
      *("custom", "train.jsonl"),
      '{"video": "a", "segments": [], "absent": [1]}',
      "'absent' must be a list of texts",
    ),
    ("kinetics600", "train.csv", "label,id\na,b\n", "no column 'youtube_id'"),
  ],
)
def test_bad_files_say_where(tmp_path, name, file, text, says):
  (tmp_path / file).write_text(text)
  with pytest.raises(annotations.AnnotationError, match=says) as caught:
    read(name, tmp_path)
  assert file in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(annotations.BENCHMARKS))
def test_an_empty_folder_is_said(tmp_path, name):
  with pytest.raises(annotations.AnnotationError, match="annotation file"):
    read(name, tmp_path)


def test_unknown_benchmark_lists_the_known():
  with pytest.raises(ValueError, match="anet_captions"):
    annotations.benchmark("anet-captions")


@given(
  duration=st.one_of(st.none(), st.floats(0.1, 100)),
  windows=st.lists(
    st.one_of(
      st.tuples(
        st.floats(allow_nan=True, allow_infinity=True), st.floats(-50, 200)
      ),
      st.tuples(st.text(max_size=3), st.none()),
      st.integers(),
    ),
    max_size=6,
  ),
)
def test_any_windows_come_out_sound_or_counted(duration, windows):
  found = AnnotationSet()
  found.add("file", "v", "train", duration, [("q", "text", windows, {})])
  (video,), notes = found.videos, found.notes("train")
  limit = float("inf") if duration is None else duration
  assert all(0 <= s.start < s.end <= limit for s in video.segments)
  lost = sum(n for why, n in notes.dropped.items() if why.startswith("segm"))
  assert len(video.segments) + lost == len(windows)
  assert len(video.queries) == int(bool(video.segments) or not windows)
