"""Rows of sound: log-mel, and YAMNet with the names of its classes."""

import json
import shutil

import numpy as np
import pytest

from tests.recordings import tone
from unloc_jax.media import extractors, log_mel, sound

_WIDTH = 6  # Of embeddings made up here


def heard(samples, spans=None):
  whole = [[0, len(samples)]] if spans is None else spans
  return sound.Sound(samples, np.array(whole, np.int64).reshape(-1, 2))


@pytest.fixture(scope="session")
def ears(shared, tmp_path_factory):
  """YAMNet, with embeddings of its names that are random."""
  folder = tmp_path_factory.mktemp("ears")
  shutil.copy(shared / "data/real/yamnet/yamnet.tflite", folder)
  rng = np.random.default_rng(0)
  rows = rng.standard_normal((extractors.CLASSES, _WIDTH)).astype(np.float16)
  names = [f"class {i}" for i in range(extractors.CLASSES)]
  np.savez(folder / "sentences.npz", name_embeddings=rows, names=names)
  return folder


def test_a_tone_is_in_its_band():
  samples = np.concatenate([tone(1, 1000.0), np.zeros(16_000, np.float32)])
  made = log_mel.log_mel(samples[: log_mel.padded_length(190)])
  assert made.shape == (190, 64)
  mel = 1127 * np.log1p(1000 / 700)
  low, high = 1127 * np.log1p(np.array([125, 7500]) / 700)
  place = (mel - low) / (high - low) * 65 - 1
  assert abs(made[:95].argmax(axis=1) - place).max() <= 1
  np.testing.assert_allclose(made[105:], np.log(1e-3), atol=1e-5)


def test_log_mel_of_every_position():
  """A position of 4 a second is the quarter of a second around it."""
  samples = np.zeros(4 * 16_000, np.float32)
  samples[16_000:24_000] = tone(0.5)  # 1.0 to 1.5 s
  extractor = extractors.open_extractor("log_mel", 4.0)
  rows, mask = extractor.rows(heard(samples), 16)
  assert rows.shape == (16, 25 * 64) == (16, extractor.width)
  assert mask.all()
  loud = (rows.reshape(16, 25, 64).max(axis=2) > -4).mean(axis=1)
  # From 0.875 to 1.125, 1.375 to 1.625 half; windows of 25 ms reach further.
  np.testing.assert_allclose(loud[4:7], [0.54, 1, 0.5], atol=0.06)
  assert not loud[[0, 1, 2, 3, 8, 9]].any()


def test_what_is_not_heard_is_zero():
  samples = np.ones(3 * 16_000, np.float32)
  spans = [[16_000, 32_000]]
  rows, mask = extractors.open_extractor("log_mel", 2.0).rows(
    heard(samples, spans), 8
  )
  assert mask.tolist() == [False, False, True, True, True, False, False, False]
  assert not rows[~mask].any()
  assert rows[mask].any()


@pytest.mark.parametrize("rate", [3.0, 0.3, 400.0])
def test_rates_that_do_not_fit(rate):
  with pytest.raises(ValueError, match="a number that divides 100"):
    extractors.open_extractor("log_mel", rate)


def test_a_folder_that_is_none(tmp_path):
  with pytest.raises(ValueError, match=r"no yamnet\.tflite in it"):
    extractors.open_extractor(str(tmp_path), 4.0)
  (tmp_path / "yamnet.tflite").write_bytes(b"no model")
  with pytest.raises(ValueError, match="not embeddings of names"):
    extractors.open_extractor(str(tmp_path), 4.0)


def test_yamnet_hears_what_is_there(ears, shared):
  root = shared / "data/real/esc10"
  about = json.loads((root / "metadata.json").read_text())
  names = (shared / "data/real/yamnet/yamnet_class_map.csv").read_text()
  dog = next(i for i, x in enumerate(names.splitlines()[1:]) if ",Bark" in x)
  clip = next(x for x in about if x["label"] == "dog bark" and x["active"][0])
  extractor = extractors.open_extractor(str(ears), 4.0)
  found = sound.read(root / clip["audio"])
  rows, mask = extractor.rows(found, 24)
  assert rows.shape == (24, 521 + _WIDTH + 64)
  assert mask.tolist() == [True] * 21 + [False] * 3
  assert not rows[21:].any()
  # The window that hears most of it says so.
  assert rows[:, dog].argmax() == pytest.approx(4 * clip["active"][0], abs=4)
  scores = rows[:20, :521]
  embeddings = np.load(ears / "sentences.npz")["name_embeddings"]
  mean = scores @ embeddings.astype(np.float32) / scores.sum(1, keepdims=True)
  np.testing.assert_allclose(rows[:20, 521:-64], mean, atol=1e-5)


def test_our_log_mel_is_yamnets(ears):
  """The model hands its spectrogram out beside its scores."""
  from ai_edge_litert.interpreter import Interpreter

  rng = np.random.default_rng(0)
  samples = (0.1 * rng.standard_normal(15_600)).astype(np.float32)
  model = Interpreter(str(ears / "yamnet.tflite"))
  model.allocate_tensors()
  model.set_tensor(model.get_input_details()[0]["index"], samples[None])
  model.invoke()
  theirs = model.get_tensor(model.get_output_details()[1]["index"])
  ours = log_mel.log_mel(samples[: log_mel.padded_length(96)])
  # Its filters are stored in eight bits.
  np.testing.assert_allclose(ours, theirs, atol=0.1)
  assert np.abs(ours - theirs).mean() < 0.02
