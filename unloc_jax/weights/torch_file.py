"""Tensors out of files that PyTorch wrote, without PyTorch and without risk.

Such files are pickles, which may run any code when they are loaded. Here only
the few names that rebuild tensors mean anything; any other name is refused
before it is looked up. Reads what `torch.save` writes (zip archives and the
older form) and TorchScript archives, whose modules become plain containers.
"""

import collections
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

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
_OLD_MAGIC = 0x1950A86A20F9469CFC6C
_BROKEN = (
  *(OSError, EOFError, LookupError, ValueError, TypeError, AttributeError),
  *(AssertionError, RuntimeError, struct.error),
  *(pickle.UnpicklingError, zipfile.BadZipFile),
)


class _Module:
  """A TorchScript module: only what it holds."""

  def __setstate__(self, state: Any) -> None:
    self.held = state


def read(path: str) -> dict[str, np.ndarray]:
  """Reads all tensors of a file.

  Returns:
    {name: array}; names of nested modules are joined by dots.

  Raises:
    ValueError: The file is broken, or its pickle asks for anything but
      tensors.
  """
  try:
    with epath.Path(path).open("rb") as file:
      if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
          tree = _read_zip(archive)
      else:
        tree = _read_old(file)
  except _BROKEN as error:
    reason = str(error).split("\n")[0] or type(error).__name__
    raise ValueError(f"{path}: cannot be read as tensors: {reason}") from error
  tensors = dict(_flatten(tree, ""))
  if not tensors:
    raise ValueError(f"{path}: there are no tensors in it")
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
    _check_order(archive.read(f"{root}byteorder"))

  def storage(kind: Any, key: str, _count: int) -> np.ndarray:
    return np.frombuffer(archive.read(f"{root}data/{key}"), kind)

  with archive.open(f"{root}data.pkl") as file:
    return _TensorUnpickler(file, storage).load()


def _check_order(order: bytes) -> None:
  if order != b"little":
    raise ValueError(f"byte order {order!r} is not little")


def _read_old(file: BinaryIO) -> Any:
  """The object in a file of torch.save before version 1.6.

  Raw values of all storages follow the pickle, so storages are made empty
  first and filled after.
  """
  storages: dict[str, np.ndarray] = {}
  length = file.seek(0, os.SEEK_END)
  file.seek(0)

  def storage(kind: Any, key: str, count: int) -> np.ndarray:
    if not 0 <= count * kind.itemsize <= length:
      raise ValueError(f"storage {key} of {count} values is cut short")
    return storages.setdefault(key, np.empty(count, kind))

  def unpickle() -> Any:
    return _TensorUnpickler(file, storage, lazy=True).load()

  if unpickle() != _OLD_MAGIC:
    raise ValueError("it is not a file of PyTorch")
  unpickle()  # Version of the protocol.
  unpickle()  # Sizes of C types.
  tree = unpickle()
  for key in unpickle():
    values = storages[key]
    (count,) = struct.unpack("<q", file.read(8))
    data = file.read(values.nbytes)
    if count != values.size or len(data) != values.nbytes:
      raise ValueError(f"storage {key} is cut short")
    values[:] = np.frombuffer(data, values.dtype)
  return tree if isinstance(tree, np.ndarray) else _filled(tree)


def _filled(tree: Any) -> Any:
  """Copies the views, now that their storages are filled."""
  if isinstance(tree, Mapping):
    return {name: _filled(value) for name, value in tree.items()}
  return np.array(tree) if isinstance(tree, np.ndarray) else tree


class _TensorUnpickler(pickle.Unpickler):
  """Unpickles tensors and plain containers, nothing else."""

  def __init__(
    self,
    file: Any,
    storage: Callable[[Any, str, int], np.ndarray],
    lazy: bool = False,
  ):
    super().__init__(file, encoding="utf-8")
    self._storage = storage
    self._lazy = lazy

  def find_class(self, module: str, name: str) -> Any:
    if module.startswith("__torch__"):
      return _Module
    if module == "torch" and name in _STORAGES:
      return np.dtype(_STORAGES[name])
    known = {
      ("collections", "OrderedDict"): collections.OrderedDict,
      ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
      ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
      ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
      ("torch.jit._pickle", "build_intlist"): lambda value: value,
      ("torch.jit._pickle", "build_doublelist"): lambda value: value,
      ("torch.jit._pickle", "build_boollist"): lambda value: value,
      ("torch.jit._pickle", "build_tensorlist"): lambda value: value,
    }
    if (module, name) not in known:
      raise pickle.UnpicklingError(
        f"its pickle asks for {module}.{name}, which is refused: only tensors "
        "are loaded"
      )
    return known[module, name]

  def persistent_load(self, key: Any) -> np.ndarray:
    tag, kind, name, _device, count, *_ = key
    if tag != "storage" or not isinstance(kind, np.dtype):
      raise pickle.UnpicklingError(f"a {tag!r} of {kind!r} is not known")
    return self._storage(kind, str(name), count)

  def _tensor(
    self, storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any
  ) -> np.ndarray:
    """The view of a storage that a tensor is, after checking its bounds."""
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
    return view if self._lazy else np.array(view)
