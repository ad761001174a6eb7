"""Features others made are read as they are, and nothing in them is run."""

import dataclasses
import json
import pickle
import re
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_preprocessing import cache, features
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from tests.data_preprocessing import custom
from unloc_jax.annotations.records import Query, Segment, VideoAnnotation
from unloc_jax.data import manifest as manifests
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.weights import feature_files

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


# How PyTorch pickles a tensor, float32 [4, 3], apart from its numbers.
TENSOR = (
  b"ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\n"
  b"V0\nVcpu\nI12\ntQI0\n(I4\nI3\nt(I3\nI1\ntI00\n}tR"
)


def write_torch(path, pickled):
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("name/data.pkl", pickled + b".")
    archive.writestr("name/data/0", VALUES.tobytes())
  return str(path)


def test_npy_npz_and_hdf5(tmp_path):
  np.save(tmp_path / "a.npy", VALUES[None])
  np.savez(tmp_path / "b.npz", features=VALUES.astype(np.float64), n=4)
  with h5py.File(tmp_path / "c.h5", "w") as file:
    file["group/feats"] = VALUES
  for name in ("a.npy", "b.npz", "c.h5"):
    found = feature_files.read(str(tmp_path / name))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES)


def test_torch_files(tmp_path):
  path = tmp_path / "a.pt"
  for pickled in (TENSOR, b"}(Vfeatures\n" + TENSOR + b"Vid\nVvideo\nu"):
    found = feature_files.read(write_torch(path, pickled))
    np.testing.assert_array_equal(found, VALUES)
  far = TENSOR.replace(b"(I3\nI1\n", b"(I300\nI1\n")
  with pytest.raises(VideoError, match="larger than its storage"):
    feature_files.read(write_torch(path, far))


class Evil:
  def __reduce__(self):
    return exec, ("raise SystemExit('it ran')",)


def test_nothing_in_a_file_is_run(tmp_path):
  array = np.array([Evil()], dtype=object)
  np.save(tmp_path / "a.npy", array, allow_pickle=True)
  np.savez(tmp_path / "b.npz", features=array)
  with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
    archive.writestr("x/data.pkl", pickle.dumps({"features": Evil()}))
  for name in ("a.npy", "b.npz", "c.pt"):
    with pytest.raises(VideoError) as caught:
      feature_files.read(str(tmp_path / name))
    assert caught.value.reason == Reason.FEATURES


@pytest.mark.parametrize(
  ("name", "content", "says"),
  [
    ("a.npy", b"not an array", "cannot be read"),
    ("a.pt", b"not a zip", "cannot be read"),
    ("a.h5", b"not hdf5", "cannot be read"),
    ("a.csv", b"1,2", "not one of"),
  ],
)
def test_bad_files(tmp_path, name, content, says):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(VideoError, match=says) as caught:
    feature_files.read(str(tmp_path / name))
  assert caught.value.reason == Reason.FEATURES


@pytest.mark.parametrize(
  "array", [np.zeros((2, 3, 4)), np.zeros((0, 4)), np.array(["a"])]
)
def test_bad_arrays(tmp_path, array):
  np.save(tmp_path / "a.npy", array)
  with pytest.raises(VideoError):
    feature_files.read(str(tmp_path / "a.npy"))


def test_import_builds_a_dataset(tmp_path):
  (tmp_path / "in").mkdir()
  whole = [f"some/clip{i}.mp4" for i in range(3)]
  for i in range(3):
    np.save(tmp_path / "in" / f"clip{i}.npy", VALUES + i)
  np.save(tmp_path / "in" / "wide.npy", np.zeros((4, 5)))
  np.save(tmp_path / "in" / "nan.npy", VALUES * np.nan)
  np.save(tmp_path / "in" / "long.npy", np.zeros((400, 3)))
  said = {
    "duration": 2.1,
    "segments": [{"start": 0.5, "end": 1.5, "text": "a"}],
  }
  names = [*whole, "wide.mp4", "nan.mp4", "long.mp4"]
  lines = [{"video": name, **said} for name in names]
  kind = [
    "--extract=features",
    "--frame_rate=10",
    "--tower_hash=clip",
    "--normalisation=l2",
  ]
  folder = custom.dataset(tmp_path, lines, "--frame_rate=2", *kind)
  manifest = manifests.read_manifest(folder)
  assert (manifest.embedding_width, manifest.extract) == (3, "features")
  assert (manifest.tower_hash, manifest.normalisation) == ("clip", "l2")
  builder = tfds.builder_from_directory(folder)
  found = {
    e["video_id"].decode(): e
    for e in tfds.as_numpy(builder.as_dataset("train"))
  }
  assert sorted(found) == whole
  example = found["some/clip2.mp4"]
  np.testing.assert_array_equal(example["embeddings"], VALUES + 2)
  assert (example["frame_count"], example["duration"]) == (4, 2.1)
  report = json.loads((folder / "report.json").read_text())
  assert {
    b["video_id"]: b["detail"].split()[0]
    for b in report["splits"]["train"]["broken"]
  } == {"wide.mp4": "5", "nan.mp4": "not", "long.mp4": "400"}


class Tower:
  width, short_side, batch = 3, 16, 32
  tower_hash, normalisation = "tiny", "none"

  def __init__(self):
    self.batches = []

  def embed(self, frames):
    self.batches.append(frames.shape)
    return frames.mean((1, 2))


@pytest.fixture
def job(tmp_path, film):
  """Five seconds at twenty frames a second."""
  path = film(tmp_path / "a.mp4", [i / 20 for i in range(100)], rate=20)
  query, segment = Query("q", "text"), Segment(0, 1, 0)
  note = VideoAnnotation("a", "train", None, (query,), (segment,))
  return VideoJob(note, str(path), path.name, 1)


def test_a_tower_embeds_every_position(job, tmp_path, monkeypatch):
  tower = Tower()
  monkeypatch.setattr(features, "embedder", lambda checkpoint: tower)
  settings = Settings(
    "custom", "features", 20.0, 16, checkpoint="run", embedding_width=3
  )
  made = cache.make(job, settings, str(tmp_path))
  assert made.frames == 100
  assert tower.batches == [(32, 16, 21, 3)] * 3 + [(4, 16, 21, 3)]
  path = cache.example_file(str(tmp_path), job, settings)
  fast = cache.read(path)["embeddings"]
  assert (fast.shape, fast.dtype) == ((100, 3), np.float32)
  # Shown twice, embedded once.
  tower.batches.clear()
  slow = dataclasses.replace(settings, frame_rate=40.0)
  assert cache.make(job, slow, str(tmp_path)).frames == 200
  assert sum(shape[0] for shape in tower.batches) == 100
  path = cache.example_file(str(tmp_path), job, slow)
  np.testing.assert_array_equal(
    cache.read(path)["embeddings"], np.repeat(fast, 2, axis=0)
  )


def test_a_tower_that_fails_stops_the_build(job, tmp_path, monkeypatch):
  """Out of memory is no fault of the video that is left out for it."""

  class Failing(Tower):
    def embed(self, frames):
      raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nand so on")

  monkeypatch.setattr(features, "embedder", lambda checkpoint: Failing())
  settings = Settings("custom", "features", checkpoint="run", embedding_width=3)
  made = cache.make(job, settings, str(tmp_path))
  assert isinstance(made, BuildError)
  assert re.search(r"out of memory.*--workers", str(made))
