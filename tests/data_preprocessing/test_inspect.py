"""A built dataset can be looked at without TensorFlow."""

import html.parser
import json
import re

import pytest

from data_preprocessing import build, class_data, inspect


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, film):
  folder = tmp_path_factory.mktemp("inspect")
  for i in range(3):
    film(folder / "in" / f"{i}.mp4", [k / 10 for k in range(20)], rate=10)
  text = '<script>alert("x")</script> & more'
  lines = [
    {
      "video": f"{i}.mp4",
      "segments": [{"start": 0.5, "end": 1.0, "text": text}],
    }
    for i in range(3)
  ]
  (folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
  flags = [
    "--dataset=custom", f"--annotations={folder / 'train.jsonl'}",
    f"--videos={folder / 'in'}", f"--data_dir={folder / 'out'}",
    "--workers=1",
  ]  # fmt: skip
  assert build.main(flags) == 0
  return folder / "out" / "custom" / "1.0.0"


class _Page(html.parser.HTMLParser):
  def __init__(self):
    super().__init__()
    self.tags = []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))


def test_counts_and_page(dataset, tmp_path, capsys):
  page = tmp_path / "page.html"
  flags = [str(dataset), f"--html={page}", "--videos=2", "--frames=5"]
  assert inspect.main(flags) == 0
  text = capsys.readouterr().out
  assert "train: 3 videos, 3 queries, 3 segments, 60 stored positions" in text
  assert "segment length: 3, from 0.50 to 0.50 s" in text
  parsed = _Page()
  parsed.feed(page.read_text())
  tags = [tag for tag, _ in parsed.tags]
  assert tags.count("img") == 2 * 5
  assert "script" not in tags
  (bar, *_) = [attrs["style"] for tag, attrs in parsed.tags if tag == "i"]
  assert "left:25.000%;width:25.000%" in bar


def test_what_is_no_dataset_is_said(dataset, tmp_path, capsys):
  assert inspect.main([str(tmp_path)]) == 1
  assert "not a finished dataset" in capsys.readouterr().err


def test_histogram_covers_everything():
  text = inspect.histogram("title", "s", [0.0, 1.0, 2.0, 100.0])
  counts = re.findall(r"[ +]s +(\d+) ", text)
  assert [int(n) for n in counts] == [3, *[0] * 10, 1]
  assert inspect.histogram("title", "s", []) == "title: none"


@pytest.mark.parametrize(
  ("dataset_name", "count"), [("anet", 200), ("thumos14", 20)]
)
@pytest.mark.parametrize("percent", [25, 50])
def test_zero_shot_splits_are_ten_partitions(dataset_name, count, percent):
  splits = class_data.zero_shot_splits(dataset_name, percent)
  assert len(splits) == 10
  for split in splits:
    assert len(split.unseen) == count * percent // 100
    assert sorted(split.seen + split.unseen) == sorted(
      class_data.class_list(dataset_name)
    )
  assert len({split.unseen for split in splits}) == 10


def test_zero_shot_splits_are_the_published(shared):
  root = shared / "data" / "annotations" / "zeroshot_splits"
  root = root / "Open-set_Action_Localisation" / "train75pct__test25pct"
  for name, folder in (("anet", "ActivityNet1.3"), ("thumos14", "THUMOS14")):
    for i, split in enumerate(class_data.zero_shot_splits(name, 25)):
      path = root / folder / "test" / f"split_{i}.list"
      names = [line.strip() for line in path.read_text().splitlines()]
      assert sorted(filter(None, names)) == list(split.unseen)


def test_prompts_and_lists():
  for kind in ("action", "step"):
    prompts = class_data.prompt_templates(kind)
    assert all(p.count("{}") == 1 for p in prompts)
  for size in (400, 600, 700):
    assert len(set(class_data.class_list(f"kinetics{size}"))) == size
  assert class_data.readable("CleanAndJerk") == "clean and jerk"
  assert class_data.readable("brush_hair") == "brush hair"
  with pytest.raises(ValueError, match="anet, thumos14"):
    class_data.zero_shot_splits("coin", 50)
