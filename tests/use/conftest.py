"""A tiny model with random weights, as a run and as an export."""

import contextlib
import io
import pathlib
import re

import jax
import ml_collections
import numpy as np
import pytest

from tests import tiny_data
from tests.films import film  # noqa: F401
from tests.training.conftest import classes  # noqa: F401
from unloc_jax import Localizer, evaluate
from unloc_jax.config.keys import INF
from unloc_jax.parallel import sharding
from unloc_jax.training import loop
from unloc_jax.training.checkpoints import Checkpoints, write_config
from unloc_jax.training.state import Parts, placed_shapes
from unloc_jax.use.export_run import export_run
from unloc_jax.weights import conversion
from unloc_jax.weights.folder import save_weights

SIZES = ((64, 32), (50, 80), (32, 60), (46, 34))
SECONDS = (3.3, 5.0, 1.2, 8.0)
TEXTS = ("a red square", "it moves to the left")


@pytest.fixture(scope="session")
def videos(film, tmp_path_factory) -> list[pathlib.Path]:  # noqa: F811
  """Four videos of coloured noise, 10 frames a second, of many shapes."""
  folder = tmp_path_factory.mktemp("videos")
  made = []
  for i, ((width, height), seconds) in enumerate(
    zip(SIZES, SECONDS, strict=True)
  ):
    rng, count = np.random.default_rng(i), round(seconds * 10)
    cells = rng.integers(0, 255, (count, 4, 4, 3), np.uint8)
    images = np.kron(cells, np.ones((1, height, width, 1), np.uint8))
    made.append(
      film(
        folder / f"video_{i}.mp4",
        [n / 10 for n in range(count)],
        size=(width, height),
        base=10,
        rate=10,
        options={"crf": "20"},
        images=np.ascontiguousarray(images[:, ::4, ::4]),
      )
    )
  return made


def _record(path: pathlib.Path) -> dict:
  """What a build stores of a video, with two captions."""
  from unloc_jax.media.jpeg import jpegs
  from unloc_jax.media.video import FrameStream

  stream = FrameStream(path, tiny_data.RATE, tiny_data.HEIGHT)
  frames = list(jpegs(stream, 95))
  return {
    "video_id": path.stem,
    "duration": stream.duration,
    "frame_rate": tiny_data.RATE,
    "frame_count": len(frames),
    "timestamps": [n / tiny_data.RATE for n in range(len(frames))],
    "frames": frames,
    "queries": {
      "id": [f"{path.stem}:{q}" for q in range(len(TEXTS))],
      "text": list(TEXTS),
      "annotation": ["{}"] * len(TEXTS),
    },
    "segments": {"start": [0.0, 0.5], "end": [1.0, 1.2], "query": [0, 1]},
  }


@pytest.fixture(scope="session")
def dataset(videos, tmp_path_factory) -> pathlib.Path:
  """The videos as a built dataset, the same in both splits."""
  records = [_record(path) for path in videos]
  return tiny_data.write(
    tmp_path_factory.mktemp("dataset"), {"train": records, "val": records}
  )


def tiny_config(path: pathlib.Path) -> ml_collections.ConfigDict:
  """Moment retrieval in 8 frames of 32 pixels."""
  c = tiny_data.settings(path, num_frames=8).copy_and_resolve_references()
  c.unlock()
  c.task = "matched_moment_retrieval"
  c.data.num_workers = 1
  c.pyramid.ranges = ((0, 2), (2, INF))
  c.model.width = 16
  image, text = c.model.image_tower, c.model.text_tower
  image.width, image.num_layers, image.num_heads = 16, 1, 2
  text.width, text.num_layers, text.num_heads = 16, 1, 2
  text.max_tokens = 8
  c.model.fusion.num_layers, c.model.fusion.num_heads = 1, 2
  c.model.fusion.mlp_dim = 32
  c.model.head.num_layers = 1
  c.eval.batch_size, c.eval.num_drawn, c.eval.splits = 8, 0, ("val",)
  return c


def save_run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """A run whose weights are random, and its average not the same."""
  parts = Parts.from_config(config)
  mesh = sharding.make_mesh(config.mesh)
  shapes = placed_shapes(parts, loop.make_optimizer(parts, 10, 1.0), mesh)
  draw = np.random.default_rng(2)

  def placed(value: np.ndarray, like: jax.ShapeDtypeStruct) -> jax.Array:
    return jax.device_put(value.astype(like.dtype), like.sharding)

  def drawn(name: str, like: jax.ShapeDtypeStruct) -> jax.Array:
    """So large that no two videos or texts are answered alike."""
    around = 1.0 if "/scale" in name else 0.0
    if re.fullmatch("displacement_head/.*output/bias", name):
      around = config.model.head.displacement_bias
    return placed(around + 0.25 * draw.standard_normal(like.shape), like)

  params, average = (
    held and {name: drawn(name, like) for name, like in held.items()}
    for held in (shapes.params, shapes.average)
  )
  empty = jax.tree.map(lambda x: placed(np.zeros(x.shape), x), shapes)
  write_config(str(workdir), config)
  checkpoints = Checkpoints(str(workdir), config)
  checkpoints.save(empty.replace(params=params, average=average))
  checkpoints.close()


@pytest.fixture(scope="session")
def run(dataset, tmp_path_factory) -> pathlib.Path:
  """A run that keeps a running average."""
  config = tiny_config(dataset)
  config.optimizer.ema = 0.99
  workdir = tmp_path_factory.mktemp("runs") / "mr"
  save_run(config.lock(), workdir)
  return workdir


@pytest.fixture(scope="session")
def scored(run) -> str:
  """What is said of that run when it is scored; results are in its folder."""
  with contextlib.redirect_stdout(io.StringIO()) as said:
    evaluate.main(["--workdir", str(run), "--split", "val"])
  return said.getvalue()


@pytest.fixture(scope="session")
def exported_folder(run, tmp_path_factory) -> pathlib.Path:
  """That run, exported."""
  folder = tmp_path_factory.mktemp("exports") / "mr"
  export_run(str(run), str(folder))
  return folder


@pytest.fixture(scope="session")
def localizer(exported_folder) -> Localizer:
  """The exported model."""
  return Localizer.from_export(exported_folder)


@pytest.fixture(scope="session")
def encoded(localizer, videos) -> list:
  """All videos, encoded."""
  return [localizer.encode_video(path) for path in videos]


@pytest.fixture(scope="session")
def towers(tmp_path_factory) -> pathlib.Path:
  """Random towers as the command of weights writes a pair of CLIP's."""
  folder = tmp_path_factory.mktemp("towers") / "clip"
  image = {"patch": 8, "width": 16, "num_layers": 1, "num_heads": 2}
  text = {"vocab_size": 49408, "max_tokens": 8, "width": 12, "num_layers": 1}
  sizes = {
    "image": {**image, "image_size": 32},
    "text": {**text, "num_heads": 2},
    "width": 10,
  }
  draw = np.random.default_rng(0)
  params = {
    name: draw.normal(0, 0.5, leaf.shape).astype(np.float32)
    for name, leaf in conversion.shapes(sizes).items()
  }
  save_weights(str(folder), params, {"towers": sizes})
  return folder
