"""Tensors out of files that PyTorch wrote, without PyTorch and without risk.

Such files are pickles, which may run any code when they are loaded. Here only
the few names that rebuild tensors mean anything; any other name is refused
before it is looked up. Reads what `torch.save` writes since PyTorch 1.6, and
TorchScript archives, whose modules become plain containers.
"""

import collections
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

_STORAGES: dict[str, Any] = {
  "DoubleStorage": np.float64,
  "FloatStorage": np.float32,
  "HalfStorage": np.float16,
  "BFloat16Storage": ml_dtypes.bfloat16,
  "LongStorage": np.int64,
  "IntStorage": np.int32,
  "ShortStorage": np.int16,
  "CharStorage": np.int8,
  "ByteStorage": np.uint8,
  "BoolStorage": np.bool_,
}
# Calls whose result is their first argument, as far as tensors go.
_WRAPPING = frozenset(
  (
    "torch._utils._rebuild_parameter",
    "torch.jit._pickle.restore_type_tag",
    "torch.jit._pickle.build_intlist",
    "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_tensorlist",
  )
)
_ADVICE = "torch.save({name: tensor}, path)"
_BROKEN = (
  *(OSError, EOFError, LookupError, ValueError, TypeError, AttributeError),
  *(AssertionError, RuntimeError),
  *(pickle.UnpicklingError, zipfile.BadZipFile),
)


class _Module:
  """A TorchScript module: only what it holds."""

  def __setstate__(self, state: Any) -> None:
    self.held = state


def read(path: str) -> dict[str, np.ndarray]:
  """Reads all tensors of a file; names of nested modules are joined by dots.

  Raises:
    ValueError: The file is broken, or its pickle asks for anything but
      tensors.
  """
  try:
    with epath.Path(path).open("rb") as file:
      if not zipfile.is_zipfile(file):
        raise ValueError(
          "it is cut short, of PyTorch before 1.6 or of something else; load "
          "it with PyTorch and save it again"
        )
      with zipfile.ZipFile(file) as archive:
        tree = _read_zip(archive)
  except _BROKEN as error:
    reason = str(error).split("\n")[0] or type(error).__name__
    raise ValueError(f"{path}: cannot be read as tensors: {reason}") from error
  tensors = dict(_flatten(tree, ""))
  if not tensors:
    raise ValueError(
      f"{path}: there are no tensors with names in it; save them as {_ADVICE}"
    )
  return tensors


def _flatten(tree: Any, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
  if isinstance(tree, _Module):
    tree = getattr(tree, "held", {})
  if isinstance(tree, np.ndarray):
    yield prefix[:-1], tree
  elif isinstance(tree, Mapping):
    for name, value in tree.items():
      yield from _flatten(value, f"{prefix}{name}.")


def _read_zip(archive: zipfile.ZipFile) -> Any:
  """The object in an archive of torch.save or TorchScript."""
  names = archive.namelist()
  roots = [n[: -len("data.pkl")] for n in names if n.endswith("/data.pkl")]
  if len(roots) != 1:
    raise ValueError("it is not an archive of PyTorch")
  root = roots[0]
  if f"{root}byteorder" in names:
    order = archive.read(f"{root}byteorder")
    if order != b"little":
      raise ValueError(f"byte order {order!r} is not little")
  with archive.open(f"{root}data.pkl") as file:
    return _TensorUnpickler(file, archive, f"{root}data/").load()


class _TensorUnpickler(pickle.Unpickler):
  """Unpickles tensors and plain containers, nothing else."""

  def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str):
    super().__init__(file, encoding="utf-8")
    self._archive, self._folder = archive, folder

  def find_class(self, module: str, name: str) -> Any:
    if module.startswith("__torch__"):
      return _Module
    if module == "torch" and name in _STORAGES:
      return np.dtype(_STORAGES[name])
    full = f"{module}.{name}"
    if full in _WRAPPING:
      return lambda value, *_: value
    if full == "collections.OrderedDict":
      return collections.OrderedDict
    if full == "torch._utils._rebuild_tensor_v2":
      return self._tensor
    raise pickle.UnpicklingError(
      f"its pickle asks for {full}, which is refused: only tensors are loaded;"
      f" save these alone, {_ADVICE}"
    )

  def persistent_load(self, key: Any) -> np.ndarray:
    tag, kind, name, *_ = key
    if tag != "storage" or not isinstance(kind, np.dtype):
      raise pickle.UnpicklingError(f"a {tag!r} of {kind!r} is not known")
    return np.frombuffer(self._archive.read(f"{self._folder}{name}"), kind)

  def _tensor(
    self, storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any
  ) -> np.ndarray:
    """The part of a storage that a tensor is, after checking its bounds."""
    size, stride = tuple(map(int, size)), tuple(map(int, stride))
    if len(size) != len(stride) or min((0, offset, *size, *stride)) < 0:
      raise ValueError(f"a tensor of size {size} and stride {stride}")
    count = int(np.prod(size, dtype=object)) if size else 1
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if count and (count > storage.size or last >= storage.size):
      raise ValueError(
        f"a tensor of size {size} is larger than its storage of {storage.size}"
      )
    if not count:
      return np.zeros(size, storage.dtype)
    strides = tuple(s * storage.itemsize for s in stride)
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, strides)
    return np.array(view)
