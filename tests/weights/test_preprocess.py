"""Images prepared as CLIP's authors do."""

import numpy as np
import pytest

from unloc_jax.models.towers.clip import PIXEL_MEAN, PIXEL_STD
from unloc_jax.weights.preprocess import clip_preprocess

LEVEL = 1 / 255 / min(PIXEL_STD)  # One step of an 8-bit pixel.


def test_against_the_published_result(shared):
  images = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
  folder = shared / "data" / "features" / "clip_preprocess"
  expected = np.load(folder / "expected_preprocessed_image.npy")
  with images.open(folder / "franz-kafka.jpg") as image:
    pixels = np.asarray(image.convert("RGB"))
  ours = clip_preprocess(pixels, 224)
  wrong = np.abs(ours - expected[0].transpose(1, 2, 0))
  # Pillow computes in fixed point: a few pixels round the other way.
  assert wrong.max() < 1.01 * LEVEL
  assert np.mean(wrong > 1e-5) < 1e-3


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (8, 8), (8, 100)])
def test_plain_images_stay_plain(shape):
  image = np.full((*shape, 3), (255, 0, 128), np.uint8)
  out = clip_preprocess(image, 16)
  assert out.shape == (16, 16, 3)
  expected = (np.array([1, 0, 128 / 255]) - PIXEL_MEAN) / PIXEL_STD
  np.testing.assert_allclose(out, np.broadcast_to(expected, out.shape), 1e-5)


def test_the_centre_is_kept():
  image = np.zeros((10, 30, 3), np.uint8)
  image[:, 10:20] = 255
  out = clip_preprocess(image, 10)
  white = (1 - np.array(PIXEL_MEAN)) / PIXEL_STD
  np.testing.assert_allclose(out, np.broadcast_to(white, out.shape), 1e-5)
