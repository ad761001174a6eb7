"""Sound from a file to a moment: alone, beside pictures, and where it lacks."""

import json

import numpy as np
import pytest
import tensorflow as tf

from data_preprocessing import build
from tests import tiny_data
from tests.recordings import beeps, record
from unloc_jax import Localizer, predict
from unloc_jax.config.check import check
from unloc_jax.config.keys import INF
from unloc_jax.data import pipeline, streams
from unloc_jax.data.manifest import read_manifest
from unloc_jax.models.towers.streams import build_encoders
from unloc_jax.training import loop
from unloc_jax.use.export_run import export_run

_HIGH, _RATE, _SECONDS = 48_000, 4.0, 6
_WIDTH = 25 * 64


def log_mel_config(path, *names):
  """Tiny, of log-mel and what else is named."""
  c = tiny_data.settings(path, streams=names).unlock()
  c.task = "matched_moment_retrieval"
  c.data.num_frames, c.data.sampling, c.data.rate = 32, "rate", _RATE
  c.data.sound_width = _WIDTH
  c.model.width = c.model.sound_tower.width = 16
  c.model.sound_tower.num_layers = 1
  c.model.text_tower.update({"width": 16, "num_layers": 1, "num_heads": 2})
  image = {"patch": 16, "width": 16, "num_layers": 1, "num_heads": 2}
  c.model.image_tower.update(image)
  c.model.fusion.update({"num_layers": 1, "num_heads": 2, "mlp_dim": 32})
  c.model.head.num_layers = 1
  c.train.length, c.train.batch_size, c.eval.batch_size = 1, 2, 2
  c.optimizer.warmup, c.checkpoint.every = 0, 0
  c.eval.splits, c.eval.num_drawn = ("train",), 0
  c.pyramid.ranges = ((0, 4), (4, INF))
  return c


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
  """Beeps in a wav, a video with late sound, and one without."""
  folder = tmp_path_factory.mktemp("recordings")
  beep = beeps(_SECONDS, [(2, 4)], rate=_HIGH)
  record(folder / "beep.wav", [(0, beep)])
  record(folder / "late.mp4", [(1, beep[_HIGH:])], picture=(_SECONDS, 8))
  lines = []
  for name in ("beep.wav", "late.mp4"):
    segment = {"start": 2, "end": 4, "text": "a beep"}
    lines.append({"video": name, "duration": 6, "segments": [segment]})
  return folder, lines


def built(recordings, tmp_path_factory, extract, names):
  folder, lines = recordings
  out = tmp_path_factory.mktemp(extract)
  chosen = [json.dumps(x) + "\n" for x in lines if x["video"] in names]
  (out / "train.jsonl").write_text("".join(chosen))
  flags = {
    "dataset": "custom",
    "annotations": out / "train.jsonl",
    "videos": folder,
    "data_dir": out,
    "extract": extract,
    "sound": "log_mel",
    "frame_rate": _RATE,
    "short_side": 32,
    "workers": 1,
  }
  assert build.main([f"--{k}={v}" for k, v in flags.items()]) == 0
  return out / "custom" / "1.0.0"


@pytest.fixture(scope="module")
def alone(recordings, tmp_path_factory):
  names = ("beep.wav", "late.mp4")
  return built(recordings, tmp_path_factory, "sound", names)


@pytest.fixture(scope="module")
def beside(recordings, tmp_path_factory):
  return built(recordings, tmp_path_factory, "frames", ("late.mp4",))


@pytest.mark.parametrize("layers", [0, 1])
def test_auto_is_the_dtype_of_the_device(layers):
  config = tiny_data.settings("", streams=("sound",)).unlock()
  config.model.dtype, config.model.sound_tower.num_layers = "auto", layers
  (encoder,) = build_encoders(config)
  assert encoder.make().dtype == np.float32


def test_rows_that_are_taken():
  """Those of the sampled positions, zeros where nothing is heard."""
  config = tiny_data.settings("", streams=("sound",), sound_width=2).unlock()
  stored = np.arange(10, dtype=np.float32).reshape(5, 2) + 1
  record = {
    "sound": tf.constant(stored.reshape(-1)),
    "sound_heard": tf.constant([1, 0, 1, 1, 1], tf.int64),
    "frame_index": tf.constant([0, 1, 3, 4]),
    "frame_mask": tf.constant([True, True, True, False]),
  }
  made = streams.make(config, training=False)(record)
  rows, mask = made["streams"]["sound"].numpy(), made["masks"]["sound"].numpy()
  assert mask.tolist() == [True, False, True, False]
  assert rows.tolist() == [[1, 2], [0, 0], [7, 8], [0, 0]]


@pytest.mark.heavy
def test_a_dataset_of_sound_alone(alone):
  manifest = read_manifest(alone)
  assert (manifest.extract, manifest.sound_width) == ("sound", _WIDTH)
  assert manifest.sound_hash == "log_mel"
  config = log_mel_config(alone, "sound")
  batch = next(pipeline.make_eval(config.lock(), batch_size=2, split="train"))
  rows, mask = batch["streams"]["sound"], batch["masks"]["sound"]
  assert rows.shape == (2, 32, _WIDTH)
  # The late track is heard from its first second on.
  whole = {tuple(np.flatnonzero(m)[[0, -1]].tolist()) for m in mask}
  assert {first for first, _ in whole} == {0, 4}
  loud = rows.reshape(2, 32, -1).max(-1) > 0
  for row in loud:
    assert set(np.flatnonzero(row)) <= set(range(7, 18))
    assert row[9:16].all()


@pytest.mark.heavy
def test_other_widths_and_streams_are_refused(alone):
  config = log_mel_config(alone, "sound")
  config.data.sound_width = 7
  with pytest.raises(ValueError, match="sound_width is 1600 in the dataset"):
    pipeline.make_eval(config.lock(), batch_size=2, split="train")
  frames = log_mel_config(alone, "frames")
  with pytest.raises(ValueError, match="extract is 'sound' in the dataset"):
    pipeline.make_eval(frames.lock(), batch_size=2, split="train")


@pytest.mark.heavy
def test_it_hears_trains_exports_and_predicts(
  alone, recordings, tmp_path, capsys
):
  config, run, out = (
    log_mel_config(alone, "sound"),
    tmp_path / "r",
    tmp_path / "e",
  )
  check(config)
  loop.train_and_evaluate(config.lock(), str(run))
  export_run(str(run), str(out), half=True)
  localizer = Localizer.from_export(out)
  folder, _ = recordings
  encoded = localizer.encode_video(folder / "beep.wav")
  assert encoded.tokens.shape == (1, 32, 16)
  assert encoded.duration == pytest.approx(_SECONDS, abs=0.05)
  assert encoded.token_mask[0].sum() == 24
  late = localizer.encode_video(folder / "late.mp4")
  assert late.frame_mask.sum() >= 24
  assert not late.token_mask[0, :4].any()
  flags = ["--export", out, "--query", "a beep", "--top_k", "2"]
  clips = ["--video", folder / "beep.wav", "--clips", tmp_path / "clips"]
  with pytest.raises(SystemExit) as status:
    predict.main(list(map(str, flags + clips)))
  assert status.value.code == 0
  assert "a beep" in capsys.readouterr().out
  assert [p.suffix for p in (tmp_path / "clips").iterdir()] == [".m4a"] * 2


@pytest.mark.heavy
def test_beside_pictures_and_where_there_is_no_sound(
  beside, recordings, tmp_path
):
  config = log_mel_config(beside, "frames", "sound")
  batch = next(pipeline.make_eval(config.lock(), batch_size=1, split="train"))
  masks = {name: mask[0].sum() for name, mask in batch["masks"].items()}
  assert masks["frames"] == 24
  assert 19 <= masks["sound"] <= 21
  run, out = tmp_path / "r", tmp_path / "e"
  loop.train_and_evaluate(config.lock(), str(run))
  export_run(str(run), str(out))
  localizer = Localizer.from_export(out)
  heard = localizer.encode_video(recordings[0] / "late.mp4")
  assert heard.tokens.shape == (1, 64, 16)
  assert heard.token_mask[0, 36:52].all()
  mute = tmp_path / "mute.mp4"
  record(mute, [], picture=(_SECONDS, 8))
  silent = localizer.encode_video(mute)
  assert silent.token_mask[0, :24].all()
  assert not silent.token_mask[0, 32:].any()
