"""Frames as JPEG: how they are stored, and what a model sees of them."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from unloc_jax.media.video import FrameStream


def jpegs(stream: FrameStream, quality: int) -> Iterator[bytes]:
  """Yields each position's JPEG; a frame shown twice is encoded once."""
  last: np.ndarray | None = None
  encoded = b""
  for _, image in stream:
    if image is not last:
      encoded = encode_jpeg(image, quality)
      last = image
    yield encoded


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
  """Encodes uint8 [H, W, 3] RGB."""
  file = io.BytesIO()
  Image.fromarray(image).save(file, "JPEG", quality=quality)
  return file.getvalue()
