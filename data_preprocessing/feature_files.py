"""Reads files of features without running what they hold.

`.npy` and `.npz` without pickles, `.pt` by a reader of plain tensors, HDF5 as
arrays.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

from unloc_jax.data.sentences import unit
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
  with told():
    return chosen(arrays(path), _PREFERRED)


def joined(paths: Sequence[str]) -> np.ndarray:
  """Returns what several extractors made of a video, float32 [N, sum of D].

  Each row is brought to length 1 before they are put side by side; of lengths
  that differ by one position, the last clip of a video, the shorter counts
  (Moment-DETR, Lei et al. 2021, start_end_dataset.py). One file's rows stay as
  they are. Raises VideoError as `read` does, and where lengths differ by more.
  """
  if len(paths) == 1:
    return read(paths[0])
  parts = []
  for path in paths:
    with told(short(path)):
      parts.append(unit(read(path)))
  lengths = [len(part) for part in parts]
  if max(lengths) > min(lengths) + 1:
    said = ", ".join(
      f"{n} in {short(p)}" for n, p in zip(lengths, paths, strict=True)
    )
    raise VideoError(
      Reason.FEATURES,
      f"lengths that are not of one video: {said}; were they made at one rate?",
    )
  return np.concatenate([part[: min(lengths)] for part in parts], axis=1)


def short(path: str) -> str:
  """Returns a file's name and its folder's: the same wherever they lie."""
  return "/".join(epath.Path(path).parts[-2:])


@contextlib.contextmanager
def told(what: str = "") -> Iterator[None]:
  """Says in a VideoError, after `what`, why a file cannot be used."""
  before = f"{what}: " if what else ""
  try:
    yield
  except VideoError as error:
    raise VideoError(error.reason, f"{before}{error.detail}") from error
  except Exception as error:
    # Readers of four formats raise whatever they come upon.
    said = f"{before}cannot be read: {error or type(error).__name__}"
    raise VideoError(Reason.FEATURES, said) from error


def arrays(path: str) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name. Raises what its reader does."""
  extension = epath.Path(path).suffix.lower()
  if extension not in EXTENSIONS:
    raise VideoError(
      Reason.FEATURES, f"{extension}: not one of {', '.join(EXTENSIONS)}"
    )
  if not epath.Path(path).stat().length:
    raise VideoError(Reason.FEATURES, "an empty file")
  if extension in (".pt", ".pth"):
    try:
      return torch_file.read(path)
    except ValueError as error:
      said = str(error).removeprefix(f"{path}: ")
      raise VideoError(Reason.FEATURES, said) from error
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
  rows = np.ascontiguousarray(found, np.float32)
  if not np.isfinite(rows).all():
    raise VideoError(Reason.FEATURES, "not all numbers are finite")
  return rows


def chosen(
  found: Mapping[str, np.ndarray], preferred: Sequence[str]
) -> np.ndarray:
  """Returns the one array, that of a usual name, or matrices side by side.

  Side by side stand, in order of name, matrices of decimals if they are of as
  many positions: several scores of the same moments.
  """
  names = [name for name in preferred if name in found][:1]
  if len(found) == 1:
    names = list(found)
  if not names:
    names = sorted(
      name
      for name, each in found.items()
      if each.ndim == 2 and each.dtype.kind == "f"
    )
  if not names or len({found[name].shape[:1] for name in names}) > 1:
    raise VideoError(
      Reason.FEATURES,
      f"holds {', '.join(sorted(found)) or 'nothing'}; one array, one named"
      f" {preferred[0]}, or matrices of as many rows are needed",
    )
  return np.concatenate([_matrix(found[name]) for name in names], axis=1)


def _hdf5(content: io.BytesIO) -> dict[str, np.ndarray]:
  import h5py

  arrays: dict[str, np.ndarray] = {}

  def visit(name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
      arrays[name.rsplit("/", 1)[-1]] = item[()]

  with h5py.File(content, "r") as file:
    file.visititems(visit)
  return arrays
