"""MediaSequence records are those TensorFlow reads, keys and units included."""

import json

import pytest
import tensorflow as tf

from data_preprocessing import build


@pytest.fixture(scope="module")
def written(tmp_path_factory, film):
  folder = tmp_path_factory.mktemp("sequence")
  film(folder / "in" / "a.mp4", [i / 20 for i in range(60)], rate=20)
  line = {
    "video": "a.mp4",
    "segments": [
      {"start": 0.5, "end": 1.0, "text": "one"},
      {"start": 1.26, "end": 9.0, "text": "two"},
    ],
  }
  (folder / "val.jsonl").write_text(json.dumps(line))
  flags = [
    "--dataset=custom",
    f"--annotations={folder / 'val.jsonl'}",
    f"--videos={folder / 'in'}",
    f"--data_dir={folder / 'out'}",
    "--tfrecord=sequence",
    "--workers=1",
  ]
  assert build.main(flags) == 0
  return folder / "out" / "custom_mediasequence" / "1.0.0"


def test_keys_and_units(written):
  (path,) = written.glob("*val.tfrecord*")
  (raw,) = tf.data.TFRecordDataset([str(path)]).as_numpy_iterator()
  example = tf.train.SequenceExample.FromString(raw)
  context = example.context.feature

  def integers(key):
    return list(context[key].int64_list.value)

  assert list(context["clip/media_id"].bytes_list.value) == [b"a.mp4"]
  assert integers("clip/frames") == [30]
  assert integers("segment/start/timestamp") == [500_000, 1_260_000]
  assert integers("segment/end/timestamp") == [1_000_000, 3_000_000]
  assert integers("segment/start/index") == [5, 13]
  assert integers("segment/end/index") == [10, 29]
  assert integers("segment/label/index") == [0, 1]
  labels = context["segment/label/string"].bytes_list.value
  assert list(labels) == [b"one", b"two"]
  frames = example.feature_lists.feature_list["image/encoded"].feature
  assert len(frames) == 30
  assert all(f.bytes_list.value[0][:2] == b"\xff\xd8" for f in frames)
  stamps = example.feature_lists.feature_list["image/timestamp"].feature
  assert [s.int64_list.value[0] for s in stamps][:3] == [0, 100_000, 200_000]


def test_it_comes_with_manifest_and_report(written):
  manifest = json.loads((written / "manifest.json").read_text())
  assert manifest["splits"]["val"] == {"videos": 1, "queries": 2, "segments": 2}
  assert (written / "report.md").exists()
  assert not (written / "dataset_info.json").exists()


def test_features_do_not_go_into_sequences(tmp_path, capsys):
  flags = [
    "--dataset=custom",
    "--annotations=x",
    "--videos=x",
    "--data_dir=x",
    "--tfrecord=sequence",
    "--extract=features",
  ]
  assert build.main(flags) == 1
  assert "drop --extract" in capsys.readouterr().err
