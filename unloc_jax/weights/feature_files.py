"""Reads features of videos and texts without running what their files hold.

`.npy` and `.npz` without pickles, `.pt` by a reader of plain tensors, HDF5 as
arrays. An `.npz` or HDF5 file may hold those of many: `FILE/KEY` is what is
stored in it under a key, or below.
"""

import contextlib
import functools
import io
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

from unloc_jax.data.sentences import unit
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.weights import torch_file

EXTENSIONS = (".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")
# Of them, those that may hold many videos or texts.
PACKS = (".npz", ".h5", ".hdf5")
_IN_PACK = re.compile(r"(.+?\.(?:npz|h5|hdf5))/(.+)", re.IGNORECASE | re.DOTALL)
# Names under which extractors keep the one array of a file.
_PREFERRED = ("features", "feature", "feats", "embeddings", "x", "data")
# And those of a text: its tokens [L, E], else a vector [E].
OF_TEXTS = ("last_hidden_state", "pooler_output", "features")
_bad = functools.partial(VideoError, Reason.FEATURES)


def read(path: str, preferred: Sequence[str] = _PREFERRED) -> np.ndarray:
  """Returns float32 [N, D] from a file of any kind in EXTENSIONS.

  Of several arrays it is the one of a preferred name. Axes of length one are
  dropped, and a [D, N] array of pooled features is not guessed at: rows are
  positions.

  Raises:
    VideoError: The file cannot be read, or holds no such array.
  """
  with told():
    return _chosen(_arrays(path), preferred)


def joined(paths: Sequence[str]) -> tuple[np.ndarray, str]:
  """Returns what several extractors made of a video, float32 [N, sum of D].

  Each row is brought to length 1 before they are put side by side; of lengths
  that differ by one position, the last clip of a video, the shorter counts
  (Moment-DETR, Lei et al. 2021, start_end_dataset.py). One file's rows stay as
  they are. Returns also what was done. Raises VideoError as `read` does, and
  where lengths differ by more.
  """
  if len(paths) == 1:
    return read(paths[0]), ""
  parts = []
  for path in paths:
    with told(short(path)):
      parts.append(unit(read(path)))
  lengths = [len(part) for part in parts]
  if max(lengths) > min(lengths) + 1:
    said = ", ".join(
      f"{n} in {short(p)}" for n, p in zip(lengths, paths, strict=True)
    )
    raise _bad(
      f"lengths that are not of one video: {said}; were they made at one rate?"
    )
  rows = np.concatenate([part[: min(lengths)] for part in parts], axis=1)
  return rows, done([part.shape[1] for part in parts])


def done(widths: Sequence[int]) -> str:
  """Names what `joined` does to features of such widths, in this order."""
  return f"l2 of {'+'.join(map(str, widths))} channels" * (len(widths) > 1)


def video_name(path: str) -> str:
  """Names the video whose features a path is of; "" where it is of none."""
  if packed := _IN_PACK.fullmatch(path):
    return posixpath.basename(packed[2])
  stem, extension = posixpath.splitext(posixpath.basename(path))
  return stem if extension.lower() in EXTENSIONS else ""


@functools.cache
def opened(place: str) -> Mapping[str, Any]:
  """Opens a file of many arrays, once a process. Raises VideoError."""
  with told(place):
    file = epath.Path(place).open("rb")
    if place.lower().endswith(".npz"):
      return np.lib.npyio.NpzFile(file, allow_pickle=False)
    import h5py

    held: Mapping[str, Any] = h5py.File(file, "r")
    return held


def keys(place: str) -> list[str]:
  """Returns names of a file's arrays, and of what groups them: a, a/b."""
  file = opened(place)
  if not hasattr(file, "visit"):
    parts = [name.split("/") for name in file]
    above = ("/".join(p[:n]) for p in parts for n in range(1, len(p) + 1))
    return list(dict.fromkeys(above))
  names: list[str] = []
  file.visit(names.append)
  return names


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
    raise _bad(said) from error


def _arrays(path: str) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name. Raises what its reader does."""
  packed = _IN_PACK.fullmatch(path)
  if packed and not epath.Path(path).exists():
    return _packed(*packed.groups())
  extension = epath.Path(path).suffix.lower()
  if extension not in EXTENSIONS:
    raise _bad(f"{extension}: not one of {', '.join(EXTENSIONS)}")
  if not epath.Path(path).stat().length:
    raise _bad("an empty file")
  if extension in (".pt", ".pth"):
    try:
      return torch_file.read(path)
    except ValueError as error:
      raise _bad(str(error).removeprefix(f"{path}: ")) from error
  content = io.BytesIO(epath.Path(path).read_bytes())
  if extension in (".h5", ".hdf5"):
    import h5py

    with h5py.File(content, "r") as file:
      return _below(file)
  found = np.load(content, allow_pickle=False)
  return {"": found} if isinstance(found, np.ndarray) else dict(found)


def _matrix(found: np.ndarray) -> np.ndarray:
  """Returns float32 [N, D]. Raises VideoError where that cannot be."""
  if found.dtype == ml_dtypes.bfloat16:
    found = found.astype(np.float32)
  if found.dtype.kind not in "fiu":
    raise _bad(f"holds {found.dtype}, not numbers")
  shape = found.shape
  if found.ndim > 2:
    found = found.reshape([n for n in shape if n != 1])
  if found.ndim == 1:
    found = found[None]
  if found.ndim != 2 or 0 in found.shape:
    raise _bad(f"shape {shape}; expected [positions, channels]")
  with np.errstate(over="ignore"):
    rows = np.ascontiguousarray(found, np.float32)
  if not np.isfinite(rows).all():
    raise _bad("not all numbers are finite")
  return rows


def _chosen(
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
    held = ", ".join([*sorted(found)[:5], *["..."] * (len(found) > 5)])
    raise _bad(
      f"holds {held or 'nothing'}; one array, one named {preferred[0]}, or"
      " matrices of as many rows are needed"
    )
  return np.concatenate([_matrix(found[name]) for name in names], axis=1)


def _packed(place: str, key: str) -> dict[str, np.ndarray]:
  """Returns the arrays under a key of a file of many, by their last names."""
  file = opened(place)
  if hasattr(file, "visit") and key in file:
    return _below(file[key])
  names = [key] if key in file else [n for n in file if n.startswith(f"{key}/")]
  if not names:
    raise _bad(f"{short(place)} has no {key}")
  return {posixpath.basename(name): file[name] for name in names}


def _below(item: Any) -> dict[str, np.ndarray]:
  """Returns the arrays of HDF5's group, or its one dataset."""
  if not hasattr(item, "visit"):
    return {"": item[()]}
  names: list[str] = []
  item.visit(names.append)
  arrays = [name for name in names if not hasattr(item[name], "visit")]
  return {posixpath.basename(name): item[name][()] for name in arrays}
