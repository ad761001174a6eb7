"""Reads files of features, one a video, without running what they hold."""

import io
import pickle
import struct
import zipfile
from typing import Any

import numpy as np
from etils import epath

from unloc_jax.media.errors import Reason, VideoError

EXTENSIONS = (".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")
# Names under which extractors keep the one array of a file.
_PREFERRED = ("features", "feature", "feats", "embeddings", "x", "data")
_TORCH_TYPES = {
  "FloatStorage": "<f4",
  "DoubleStorage": "<f8",
  "HalfStorage": "<f2",
  "IntStorage": "<i4",
  "LongStorage": "<i8",
  "ShortStorage": "<i2",
  "ByteStorage": "u1",
  "CharStorage": "i1",
  "BFloat16Storage": "bf16",
}


def read(path: str) -> np.ndarray:
  """Returns float32 [N, D] from a file of any kind in EXTENSIONS.

  Axes of length one are dropped, and a [D, N] array of pooled features is not
  guessed at: rows are positions.

  Raises:
    VideoError: The file cannot be read, or holds no such array.
  """
  extension = epath.Path(path).suffix.lower()
  try:
    content = epath.Path(path).read_bytes()
    if extension == ".npy":
      found: Any = np.load(io.BytesIO(content), allow_pickle=False)
    elif extension == ".npz":
      with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        found = _chosen({name: archive[name] for name in archive.files})
    elif extension in (".pt", ".pth"):
      found = _chosen(_torch(content))
    elif extension in (".h5", ".hdf5"):
      found = _chosen(_hdf5(content))
    else:
      raise VideoError(
        Reason.FEATURES, f"{extension}: not one of {', '.join(EXTENSIONS)}"
      )
  except VideoError:
    raise
  except (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    IndexError,
    struct.error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
  ) as error:
    raise VideoError(Reason.FEATURES, f"cannot be read: {error}") from error
  return _matrix(found)


def _matrix(found: np.ndarray) -> np.ndarray:
  """Returns float32 [N, D]. Raises VideoError where that cannot be."""
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
  """Returns the one array, or the one of a usual name."""
  if len(arrays) == 1:
    return next(iter(arrays.values()))
  for name in _PREFERRED:
    if name in arrays:
      return arrays[name]
  raise VideoError(
    Reason.FEATURES,
    f"holds {', '.join(sorted(arrays)) or 'nothing'}; one"
    f" array, or one named {_PREFERRED[0]}, is needed",
  )


def _hdf5(content: bytes) -> dict[str, np.ndarray]:
  try:
    import h5py
  except ImportError as error:
    raise VideoError(Reason.FEATURES, "HDF5 needs h5py; install it") from error
  arrays: dict[str, np.ndarray] = {}

  def visit(name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
      arrays[name.rsplit("/", 1)[-1]] = item[()]

  with h5py.File(io.BytesIO(content), "r") as file:
    file.visititems(visit)
  return arrays


class _Storage:
  """A run of numbers inside a .pt archive, not yet read."""

  def __init__(self, dtype: str, key: str):
    self.dtype = dtype
    self.key = key


class _TensorReader(pickle.Unpickler):
  """Reads the index of a .pt file: tensors, lists and dictionaries only.

  Whatever else a pickle names is refused, so nothing in the file is run.
  """

  def __init__(self, archive: zipfile.ZipFile, index: str):
    super().__init__(io.BytesIO(archive.read(index)))
    self._archive = archive
    self._root = index.rsplit("/", 1)[0]

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) == ("collections", "OrderedDict"):
      return dict
    if module == "torch._utils" and name == "_rebuild_tensor_v2":
      return self._tensor
    if module == "torch._utils" and name == "_rebuild_parameter":
      return lambda tensor, *_: tensor
    if module in ("torch", "torch.storage") and name in _TORCH_TYPES:
      return name
    raise pickle.UnpicklingError(
      f"asks for {module}.{name}, which is not a tensor"
    )

  def persistent_load(self, pid: Any) -> _Storage:
    _, dtype, key, _, _ = pid
    return _Storage(_TORCH_TYPES[str(dtype)], str(key))

  def _tensor(
    self,
    storage: _Storage,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    *_: Any,
  ) -> np.ndarray:
    raw = self._archive.read(f"{self._root}/data/{storage.key}")
    if storage.dtype == "bf16":
      wide = np.frombuffer(raw, "<u2").astype("<u4") << 16
      flat = wide.view("<f4")
    else:
      flat = np.frombuffer(raw, storage.dtype)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 in size:
      return np.empty(size, flat.dtype)
    if offset < 0 or min(stride, default=0) < 0 or last >= len(flat):
      raise ValueError("a tensor reaches beyond its storage")
    steps = [s * flat.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(
      flat[offset:], size, steps, writeable=False
    ).copy()


def _torch(content: bytes) -> dict[str, np.ndarray]:
  """Returns the tensors of a .pt file by name."""
  if not zipfile.is_zipfile(io.BytesIO(content)):
    raise VideoError(
      Reason.FEATURES, "a .pt of before PyTorch 1.6; save it again"
    )
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    index = [n for n in archive.namelist() if n.endswith("data.pkl")]
    if len(index) != 1:
      raise VideoError(Reason.FEATURES, "not a .pt archive")
    loaded = _TensorReader(archive, index[0]).load()
  if isinstance(loaded, np.ndarray):
    return {"tensor": loaded}
  if isinstance(loaded, dict):
    return {
      str(key): value
      for key, value in loaded.items()
      if isinstance(value, np.ndarray)
    }
  raise VideoError(Reason.FEATURES, "holds no tensor")
