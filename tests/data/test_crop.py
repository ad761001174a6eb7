"""Crops against Pillow, which resizes whole images."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unloc_jax.data import pixels
from unloc_jax.media import resizing

# The mean and deviation of CLIP's preprocessing, RGB.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711])


def scene(height: int, width: int) -> np.ndarray:
  rng = np.random.default_rng(height * width)
  small = rng.integers(0, 256, (height // 6, width // 6, 3), np.uint8)
  image = Image.fromarray(small).resize(
    (width, height), Image.Resampling.BICUBIC
  )
  return np.asarray(image)


def by_pillow(pixels: np.ndarray, size: int, short: int) -> np.ndarray:
  height, width = pixels.shape[:2]
  shape = [int(x * short / min(height, width)) for x in (width, height)]
  image = Image.fromarray(pixels).resize(shape, Image.Resampling.BICUBIC)
  left, top = (round((x - size) / 2) for x in shape)
  return np.asarray(image)[top : top + size, left : left + size]


@pytest.mark.parametrize(
  ("height", "width", "size", "short"),
  [
    (120, 200, 64, 64),
    (201, 120, 64, 72),
    (63, 90, 64, 64),
    (48, 97, 64, 80),
    (64, 91, 64, 64),
    (300, 300, 48, 48),
  ],
)
def test_decoded_frames_are_pillows(height, width, size, short):
  pixels = scene(height, width)
  ours = resizing.centre(np.stack([pixels] * 2), size, short)
  theirs = by_pillow(pixels, size, short)
  error = np.abs(ours[1].astype(int) - theirs)
  # Pillow rounds, and cuts at 0 and 255, between rows and columns too.
  assert error.max() <= 5
  assert error.mean() < 0.4
  np.testing.assert_array_equal(ours[0], ours[1])


@pytest.mark.parametrize("short", [64, 72, 40])
@pytest.mark.parametrize("shape", [(64, 91), (130, 85)])
def test_a_window_of_a_jpeg_gives_what_the_whole_gives(shape, short):
  buffer = io.BytesIO()
  Image.fromarray(scene(*shape)).save(buffer, "JPEG", quality=80)
  whole = np.asarray(Image.open(buffer))[None]
  size = min(short, 64)
  record = {"frames": tf.constant([buffer.getvalue()]), "seed": [0, 0]}
  ours = pixels.decode_crop(size, short)(record)["frames"].numpy()
  error = np.abs(ours.astype(int) - resizing.centre(whole, size, short))
  # One in a thousand may differ by libjpeg's colour blending at the margin.
  assert np.mean(error > 0) < 1e-3
  assert error.max() <= 8


def test_clip_preprocessing(shared):
  folder = shared / "data" / "features" / "clip_preprocess"
  image = np.asarray(Image.open(folder / "franz-kafka.jpg").convert("RGB"))
  expected = np.load(folder / "expected_preprocessed_image.npy")[0]
  ours = resizing.centre(image[None], 224, 224)[0] / 255.0
  ours = (ours - MEAN) / DEVIATION
  error = np.abs(ours.transpose(2, 0, 1) - expected) * 255 * DEVIATION.mean()
  # In steps of 1 / 255 of a pixel's range.
  assert error.max() < 4
  assert error.mean() < 0.2
