"""Log-mel spectrogram: 64 bands of 125 to 7500 Hz, every 10 ms.

The recipe of VGGish and YAMNet (Hershey et al., 2017): magnitudes of windows
of 25 ms, log(x + 0.001).
"""

import functools
from typing import Any

import numpy as np
from scipy import signal

from unloc_jax.media.sound import RATE

BANDS = 64
HOP = RATE // 100
_WINDOW, _FFT = 400, 512
_LOW, _HIGH = 125.0, 7500.0


def log_mel(samples: np.ndarray) -> np.ndarray:
  """Samples [160 N] and 240 more -> float32 [N, 64]; frame i from 160 i on."""
  frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::HOP]
  window = signal.get_window("hann", _WINDOW).astype(np.float32)
  spectrum = np.abs(np.fft.rfft(frames * window, _FFT)).astype(np.float32)
  found: np.ndarray = np.log(spectrum @ _filters() + np.float32(1e-3))
  return found


def padded_length(count: int) -> int:
  """Samples that `count` frames are made of."""
  return count * HOP + _WINDOW - HOP


@functools.cache
def _filters() -> np.ndarray:
  """Triangles over the bins, evenly spread in mel, float32 [257, 64]."""

  def mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(hertz / 700.0)

  bins = mel(np.linspace(0, RATE / 2, _FFT // 2 + 1))[:, None]
  edges = np.linspace(mel(_LOW), mel(_HIGH), BANDS + 2)
  rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
  falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
  triangles = np.maximum(0, np.minimum(rising, falling))
  triangles[0] = 0  # The mean is no sound.
  return triangles.astype(np.float32)
