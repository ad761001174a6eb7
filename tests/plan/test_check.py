"""The doctor finds what a run would trip over."""

import shutil

import pytest

from unloc_jax.plan import check


def answers(config, tmp_path, capsys) -> tuple[bool, dict[str, str]]:
  """Whether all is well, and the line of every question."""
  well = check.run(config.lock(), "local", str(tmp_path / "run"))
  lines = capsys.readouterr().out.splitlines()[:-1]
  return well, {line[7:].partition(":")[0]: line for line in lines}


@pytest.fixture
def config(config):
  config.train.num_videos = 10
  config.eval.splits = ("val",)
  return config


def test_all_is_well(config, tmp_path, capsys):
  well, lines = answers(config, tmp_path, capsys)
  assert well
  assert len(lines) == 10
  assert all(line.startswith("ok     ") for line in lines.values())
  assert "10 videos" in lines["data"]
  assert "6 steps" in lines["schedule"]
  assert "8 device(s)" in lines["mesh"]


@pytest.mark.parametrize(
  ("changes", "question", "words"),
  [
    ({"pyramid.ranges": ((0, 4), (9, 9))}, "model", ["pyramid.ranges"]),
    ({"data.path": "nowhere"}, "data", ["nowhere"]),
    ({"eval.splits": ("tset",)}, "evaluation", ["tset"]),
    ({"optimizer.warmup": 50}, "schedule", ["optimizer.warmup"]),
    ({"init.weights": "nothing"}, "weights", ["nothing is not a folder"]),
    ({"train.cache_frame_tokens": True}, "token cache", ["frozen"]),
    ({"mesh.model": 3}, "mesh", ["8 devices", "nearest"]),
    ({"train.batch_size": 9}, "mesh", ["train.batch_size=9", "nearest"]),
    ({"checkpoint.keep": 10**12}, "disk", ["checkpoint.keep"]),
    ({"task": "temporal_localization"}, "classes", ["class"]),
  ],
)
def test_what_is_wrong(config, tmp_path, capsys, changes, question, words):
  config.update_from_flattened_dict(changes)
  well, lines = answers(config, tmp_path, capsys)
  assert not well
  assert lines[question].startswith("WRONG  ")
  for word in words:
    assert word in lines[question], lines[question]


def test_a_shard_that_is_cut_short(captions, config, tmp_path, capsys):
  path = shutil.copytree(captions, tmp_path / "data")
  shard = next(path.glob("tiny-val.tfrecord-00000*"))
  shard.write_bytes(shard.read_bytes()[:-100])
  config.data.path = str(path)
  well, lines = answers(config, tmp_path, capsys)
  assert not well
  assert "truncated" in lines["evaluation"]
  assert lines["data"].startswith("ok")
