"""Reads files of features, one a video, without running what they hold.

`.npy` and `.npz` without pickles, `.pt` by a reader of plain tensors, HDF5 as
arrays.
"""

import io
from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.weights import torch_file

EXTENSIONS = (".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")
# Names under which extractors keep the one array of a file.
_PREFERRED = ("features", "feature", "feats", "embeddings", "x", "data")


def read(path: str) -> np.ndarray:
  """Returns float32 [N, D] from a file of any kind in EXTENSIONS.

  Axes of length one are dropped, and a [D, N] array of pooled features is not
  guessed at: rows are positions.

  Raises:
    VideoError: The file cannot be read, or holds no such array.
  """
  extension = epath.Path(path).suffix.lower()
  if extension not in EXTENSIONS:
    raise VideoError(
      Reason.FEATURES, f"{extension}: not one of {', '.join(EXTENSIONS)}"
    )
  try:
    return _chosen(_arrays(path, extension))
  except VideoError:
    raise
  except Exception as error:
    # Readers of four formats raise whatever they come upon.
    raise VideoError(Reason.FEATURES, f"cannot be read: {error}") from error


def _arrays(path: str, extension: str) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name."""
  if extension in (".pt", ".pth"):
    return torch_file.read(path)
  content = io.BytesIO(epath.Path(path).read_bytes())
  if extension in (".h5", ".hdf5"):
    return _hdf5(content)
  found = np.load(content, allow_pickle=False)
  return {"": found} if isinstance(found, np.ndarray) else dict(found)


def _matrix(found: np.ndarray) -> np.ndarray:
  """Returns float32 [N, D]. Raises VideoError where that cannot be."""
  if found.dtype == ml_dtypes.bfloat16:
    found = found.astype(np.float32)
  if found.dtype.kind not in "fiu":
    raise VideoError(Reason.FEATURES, f"holds {found.dtype}, not numbers")
  shape = found.shape
  if found.ndim > 2:
    found = found.reshape([n for n in shape if n != 1])
  if found.ndim == 1:
    found = found[None]
  if found.ndim != 2 or 0 in found.shape:
    raise VideoError(
      Reason.FEATURES, f"shape {shape}; expected [positions, channels]"
    )
  return np.ascontiguousarray(found, np.float32)


def _chosen(arrays: dict[str, np.ndarray]) -> np.ndarray:
  """Returns the one array, that of a usual name, or matrices side by side.

  Side by side stand, in order of name, matrices of decimals if they are of as
  many positions: several scores of the same moments.
  """
  names = [name for name in _PREFERRED if name in arrays][:1]
  if len(arrays) == 1:
    names = list(arrays)
  if not names:
    names = sorted(
      name
      for name, each in arrays.items()
      if each.ndim == 2 and each.dtype.kind == "f"
    )
  if not names or len({len(arrays[name]) for name in names}) > 1:
    raise VideoError(
      Reason.FEATURES,
      f"holds {', '.join(sorted(arrays)) or 'nothing'}; one array, one named"
      f" {_PREFERRED[0]}, or matrices of as many rows are needed",
    )
  return np.concatenate([_matrix(arrays[name]) for name in names], axis=1)


def _hdf5(content: io.BytesIO) -> dict[str, np.ndarray]:
  import h5py

  arrays: dict[str, np.ndarray] = {}

  def visit(name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
      arrays[name.rsplit("/", 1)[-1]] = item[()]

  with h5py.File(content, "r") as file:
    file.visititems(visit)
  return arrays
