"""Every benchmark's own format becomes the one form, and nothing is lost."""

import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unloc_jax import annotations
from unloc_jax.annotations import moments
from unloc_jax.annotations.records import AnnotationSet

BACKWARDS = "segment ends before it starts"
UNANSWERED = "query without a usable segment"

# Videos, queries, segments, how many of these were clipped, what was dropped.
REAL = {
  ("anet_captions", "activitynet_captions"): {
    "train": (10009, 37421, 37421, 261, {BACKWARDS: 2, UNANSWERED: 2}),
    "val": (4917, 17505, 17505, 134, {}),
    "test": (4885, 17031, 17031, 111, {}),
  },
  ("charades_sta", "charades_sta"): {
    "train": (5336, 12404, 12404, 0, {}),
    "test": (1334, 3720, 3720, 0, {}),
  },
  ("qvhighlights", "qvhighlights"): {
    "train": (7100, 7218, 12803, 0, {}),
    "val": (1519, 1550, 2803, 0, {}),
    "test": (1529, 1542, 2761, 0, {}),
  },
  ("anet", "activitynet13"): {
    "train": (9649, 9654, 14859, 144, {BACKWARDS: 9, UNANSWERED: 8}),
  },
  ("coin", "coin"): {
    "test": (
      *(2797, 8163, 10893, 0),
      {"segment not two numbers": 2982, UNANSWERED: 2256},
    ),
  },
  ("thumos14", "thumos14"): {
    "train": (200, 227, 3007, 0, {}),
    "test": (210, 245, 3311, 0, {}),
  },
}


@pytest.mark.parametrize(("name", "place"), REAL)
def test_real_files_hold_what_they_should(shared, name, place):
  benchmark = annotations.benchmark(name)
  found = benchmark.read(shared / "data" / "annotations" / place)
  for split, expected in REAL[name, place].items():
    n = found.splits[split]
    counts = (n.videos, n.queries, n.segments, n.clipped, n.dropped)
    assert counts == expected
    official = benchmark.official[split].queries
    assert official is None or official[0] <= n.queries <= official[1]
  assert len(found.classes) == (benchmark.class_count or 0)
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


def spans(video):
  return [(s.start, s.end, s.query) for s in video.segments]


def asked(video):
  return [(query.id, query.text) for query in video.queries]


def test_captions_clip_drop_and_keep_lists(read):
  entry = {
    "duration": 10.0,
    "timestamps": [[1, 2], [8, 12], [9, 7], [11, 12], [3, 4], [-1, 2]],
    "sentences": ["one", "two", "three", "four", " ", " été\u2028 "],
    "kinds": ["x", "y", "z", "u", "v", "w"],
    "note": ["not", "per", "sentence"],
  }
  found = read("anet_captions", {"unseen.json": {"v_a": entry}})
  (video,) = found.videos
  assert video.split == "unseen"
  assert asked(video) == [("v_a#0", "one"), ("v_a#1", "two"), ("v_a#5", "été")]
  kinds = [query.annotation for query in video.queries]
  assert kinds == [{"kinds": "x"}, {"kinds": "y"}, {"kinds": "w"}]
  assert spans(video) == [(1, 2, 0), (8, 10, 1), (0, 2, 2)]
  notes = found.splits["unseen"]
  assert (notes.queries, notes.segments, notes.clipped) == (6, 6, 2)
  assert notes.dropped == {
    BACKWARDS: 1,
    "segment outside the video": 1,
    UNANSWERED: 2,
    "empty caption": 1,
  }


def test_a_video_of_two_splits_is_in_both_and_one_twice_is_said(read):
  entry = '"v_a": {"duration": 5, "timestamps": [[0, 1]], "sentences": ["%s"]}'
  twice = f"{{{entry % 'first'}, {entry % 'second'}}}"
  files = {"val_1.json": twice, "val_2.json": f"{{{entry % 'a'}}}"}
  found = read("anet_captions", files)
  texts = [(v.split, v.queries[0].text) for v in found.videos]
  assert texts == [("val", "first"), ("test", "a")]
  assert found.splits["val"].dropped["duplicate video id"] == 1


def test_charades_text_and_lengths(read, rows):
  """Also with marks of byte order, and breaks that end no line."""
  mark = "\ufeff"
  lines = (
    f"{mark}AO8RW 0.0 6.9##a person is putting a book on a shelf.\n"
    "AO8RW 3.0 50.0##person ## twice.\n\nAO8RW 0 50##he\u2028sits.\r\n"
    "AO8RW 1 2##so\x85.\rBBBBB 1 2##b.\n"
  )
  lengths = f"{mark}id,length\nAO8RW,33.67\n"
  files = {"charades_sta_train.txt": lines, "Charades_v1_train.csv": lengths}
  found = read("charades_sta", files)
  assert [video.duration for video in found.videos] == [33.67, None]
  assert [(row[0], *row[2:]) for row in rows(found)] == [
    ("AO8RW", "a person is putting a book on a shelf.", 0, 6.9),
    ("AO8RW", "person ## twice.", 3, 33.67),
    ("AO8RW", "he\u2028sits.", 0, 33.67),
    ("AO8RW", "so\x85.", 1, 2),
    ("BBBBB", "b.", 1, 2),
  ]


def test_jsonl_keeps_what_else_is_said(read):
  said = {"relevant_clip_ids": [0, 5], "saliency_scores": [[1, 2], [4, 4]]}
  asks = {"vid": "x_0.0_150.0", "duration": 150, "query": "a"}
  row = {"qid": 7, **asks, "relevant_windows": [[0, 2], [10, 20]], **said}
  given = row, {"qid": 8, **asks, "query": "b\u2028c"}, row
  lines = "\n".join(json.dumps(each, ensure_ascii=False) for each in given)
  file = "highlight_val_release.jsonl"
  found = read("qvhighlights", {file: lines}, only=file)
  (video,) = found.videos
  assert [query.id for query in video.queries] == ["7", "8"]
  assert video.queries[0].annotation == said
  assert spans(video) == [(0, 2, 0), (10, 20, 0)]
  assert found.splits["val"].dropped["duplicate query id"] == 1


def test_test_split_with_ground_truth_is_preferred(read):
  row = {"qid": 1, "vid": "v", "duration": 9}
  blind = {"highlight_test_release.jsonl": {**row, "query": "blind"}}
  seeing = {"highlight_test_with_gt.jsonl": {**row, "query": "seeing"}}
  (video,) = read("qvhighlights", blind | seeing).videos
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
def test_split_of_a_file_name(stem, split):
  assert moments.split_of(pathlib.Path(f"{stem}.jsonl")) == split


def test_anet_official_form(read):
  taxonomy = [{"nodeId": 0, "nodeName": "Root", "parentId": None}]
  for number, name in enumerate(("Swim", "Bowl"), 1):
    taxonomy.append({"nodeId": number, "nodeName": name, "parentId": 0})
  swim = {"segment": [5, 9], "label": "Swim"}
  listed = [swim, {"segment": [1, 3], "label": "Bowl"}, swim]
  database = {
    "aaa": {"subset": "training", "duration": 20.0, "annotations": listed},
    "bbb": {"subset": "testing", "duration": 5.0, "annotations": []},
  }
  record = {"version": "1.3", "taxonomy": taxonomy, "database": database}
  file = "activity_net.v1-3.min.json"
  found = read("anet", {file: record}, only=file)
  assert found.classes == ["Bowl", "Swim"]
  (video,) = found.videos
  assert asked(video) == [("0", "Bowl"), ("1", "Swim")]
  assert spans(video) == [(1, 3, 0), (5, 9, 1), (5, 9, 1)]
  assert "2 without exact duplicates" in found.splits["train"].notes[-1]
  assert "1 videos have no annotations" in found.splits["test"].notes[0]


def test_coin_steps_go_by_id_not_by_label(read):
  entry = {"subset": "testing", "duration": 30, "class": "MakeTea"}
  entry["annotation"] = [
    {"id": step, "segment": [start, start + 1], "label": "pour water"}
    for step, start in (("17", 1), ("4", 3), ("17", 5))
  ]
  found = read("coin", {"COIN.json": {"database": {"v": entry}}})
  (video,) = found.videos
  assert found.classes == ["pour water", "pour water"]
  assert [q.id for q in video.queries] == ["0", "1"]
  assert video.queries[1].annotation == {"step": 17, "class": "MakeTea"}
  assert spans(video) == [(3, 4, 0), (1, 2, 1), (5, 6, 1)]


def test_kinetics_lines(read):
  head = "label,youtube_id,time_start,time_end,split\n"
  line = "zumba,-abc,5,15,train\n"
  train = f"{head}{line}abseiling,def,0,10,train\n{line}"
  validate = f"{head}zumba,x y,100,110,validate\n"
  files = {"train.csv": train, "validate.csv": validate}
  found = read("kinetics400", files)
  assert found.classes == ["abseiling", "zumba"]
  assert [(v.video_id, v.split, v.names) for v in found.videos] == [
    ("-abc_000005_000015", "train", ("-abc",)),
    ("def_000000_000010", "train", ("def",)),
    ("x y_000100_000110", "val", ("x y",)),
  ]
  assert found.splits["train"].dropped["duplicate video id"] == 1
  assert found.videos[0].segments[0].end == 10


def test_of_folds_the_finest_labels_in_seconds(read):
  fine = [[0, 4, "background"], [4, 10, "peel"], [10, 20, "add oil"]]
  video = {"id": "01-1", "test_split": 2, "fps": 2.0, "T": 40}
  video["segments_fine"] = [*fine, [30, 36, "peel"]]
  video["segments_coarse"] = [[0, 40, "cut"]]
  classes = {
    "classes_fine": ["background", "cut cheese", "peel", "add oil"],
    "classes_coarse": ["background", "cut"],
  }
  given = {"annotations.json": {**classes, "videos": [video]}}
  found = read("50salads", given)
  assert found.classes == ["cut cheese", "peel", "add oil"]
  (video,) = found.videos
  assert (video.split, video.duration) == ("fold_2", 20.0)
  assert [query.text for query in video.queries] == ["peel", "add oil"]
  rounded = [(start, round(end, 2), i) for start, end, i in spans(video)]
  assert rounded == [(2.0, 5.0, 0), (15.0, 18.0, 0), (5.0, 10.0, 1)]
  # The frame of an end is the next segment's.
  assert all(segment.end * 2 % 1 > 0.99 for segment in video.segments)


def test_custom_jsonl_and_csv_agree(read):
  name = "sub/my clip é.mp4"
  moments = [(0, 2, "a"), (3, 4, "b"), (5, 6, "a")]
  segments = [{"start": s, "end": e, "text": t} for s, e, t in moments]
  table = "video,start,end,text,duration\n" + "".join(
    f"{name},{start},{end},{text},9\n" for start, end, text in moments
  )
  given = {"video": name, "duration": 9, "segments": segments}
  files = {"train.jsonl": given, "other.csv": table}
  (one,) = read("custom", files, only="train.jsonl").videos
  (two,) = read("custom", files, only="other.csv").videos
  assert one == two
  assert one.path == name
  assert [q.text for q in one.queries] == ["a", "b"]
  assert spans(one) == [(0, 2, 0), (5, 6, 0), (3, 4, 1)]
  # Texts that nothing answers are asked, too; one that is answered is not.
  files["train.jsonl"] = {**given, "absent": ["a dog", "a"]}
  (one,) = read("custom", files, only="train.jsonl").videos
  assert [q.text for q in one.queries] == ["a", "b", "a dog"]
  assert spans(one) == spans(two)


@pytest.mark.parametrize("name", sorted(annotations.BENCHMARKS))
def test_an_empty_folder_is_said(tmp_path, name):
  with pytest.raises(annotations.AnnotationError, match="annotation file"):
    annotations.benchmark(name).read(tmp_path)


def test_unknown_benchmark_lists_the_known():
  with pytest.raises(ValueError, match="anet_captions"):
    annotations.benchmark("anet-captions")


@given(
  duration=st.none() | st.floats(0.1, 100),
  windows=st.lists(
    st.tuples(st.floats(), st.floats(-50, 200))
    | st.tuples(st.text(max_size=3), st.none())
    | st.integers(),
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
