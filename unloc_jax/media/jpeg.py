"""Frames as JPEG: how they are stored, and what a model sees of them."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from unloc_jax.media.pool import beat
from unloc_jax.media.video import FrameStream


def jpegs(stream: FrameStream, quality: int) -> Iterator[bytes]:
  """Yields each position's JPEG; a frame shown twice is encoded once.

  Each tells a pool, where it runs in one, that there is progress.
  """
  last: np.ndarray | None = None
  encoded = b""
  for _, image in stream:
    beat()
    if image is not last:
      file = io.BytesIO()
      Image.fromarray(image).save(file, "JPEG", quality=quality)
      last, encoded = image, file.getvalue()
    yield encoded
