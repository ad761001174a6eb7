"""Files that others publish -> tensors by name, without running their code.

A `.safetensors` or PyTorch file, a folder as of Hugging Face, where a model may
be in several files, a `.zip` of such a folder, or the name of a repository
there.
"""

import contextlib
import json
import pathlib
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import tokenizers

from unloc_jax.data.tokenizer import TOKENIZER
from unloc_jax.weights import torch_file
from unloc_jax.weights.folder import PARAMS

_FILES = (
  "model.safetensors",
  "model.safetensors.index.json",
  "open_clip_model.safetensors",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
  "open_clip_pytorch_model.bin",
)
_CONFIGS = ("config.json", "open_clip_config.json")
# What else a model's folder says: how sentence encoders pool, and of tokens.
_POOLING, _TOKENS = "1_Pooling/config.json", "tokenizer_config.json"
_BESIDE = (*_CONFIGS, _POOLING, TOKENIZER, _TOKENS)
# What wrappers put before all names.
_WRAPPERS = re.compile(r"^(state_dict/)?(module/)?(model/)?(bert/)?")


@contextlib.contextmanager
def opened(source: str) -> Iterator[str]:
  """Gives the path of a source: of a repository its cache, of a zip a copy.

  Raises ValueError where there is nothing that can be read.
  """
  path = pathlib.Path(source)
  if not path.exists():
    path = _fetched(source)
  if path.is_dir() and not any((path / name).exists() for name in _FILES):
    archives = sorted(path.glob("*.zip"))
    path = archives[0] if len(archives) == 1 else path
  if path.suffix != ".zip":
    yield str(path)
    return
  with tempfile.TemporaryDirectory() as folder:
    _unpack(path, pathlib.Path(folder))
    yield folder


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
  """Takes the files of a model, and no others, from an archive."""
  try:
    with zipfile.ZipFile(archive) as packed:
      names = packed.namelist()
      configs = [name for name in names if name.endswith("config.json")]
      root = min(configs, key=len, default="config.json")
      root = root.removesuffix(pathlib.PurePosixPath(root).name)
      for name in {*_FILES, *_BESIDE} & {n.removeprefix(root) for n in names}:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(packed.read(root + name))
  except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
    raise ValueError(f"{archive} cannot be unpacked: {error}") from error


def tokenizer(source: str, lower_case: bool) -> str:
  """Text of the tokenizer.json beside an opened source; "" where there is none.

  Args:
    source: Of `opened`.
    lower_case: Put into it that texts are of lower case, as is whether they
      have start and end tokens, which Gemma's says in tokenizer_config.json.

  Raises:
    ValueError: It cannot be read.
  """
  path = pathlib.Path(source)
  folder = path if path.is_dir() else path.parent
  if not (folder / TOKENIZER).exists():
    return ""
  said = _object(folder / _TOKENS) if (folder / _TOKENS).exists() else {}
  try:
    made = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
  except Exception as error:  # The library raises no other class.
    raise ValueError(f"{folder / TOKENIZER}: {error}") from error
  ends = {"add_bos_token": "bos_token", "add_eos_token": "eos_token"}
  if ends.keys() & said.keys():
    start, end = (
      [_content(said[token])] if said.get(key) else []
      for key, token in ends.items()
    )
    made.post_processor = tokenizers.processors.TemplateProcessing(
      single=[*start, "$A", *end],
      special_tokens=[(t, made.token_to_id(t)) for t in (*start, *end)],
    )
  if lower_case:
    lower = tokenizers.normalizers.Lowercase()
    steps = [lower, made.normalizer] if made.normalizer else [lower]
    made.normalizer = tokenizers.normalizers.Sequence(steps)
  return str(made.to_str())


def _content(token: Any) -> str:
  """A token of tokenizer_config.json, which is a text or says it."""
  return str(token["content"] if isinstance(token, dict) else token)


def read(source: str) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
  """Tensors, configuration ({} where there is none) and file of a source.

  Names have their parts joined by slashes, without what wrappers add. Raises
  ValueError where nothing can be read.
  """
  path = pathlib.Path(source)
  if path.is_dir():
    path = _file_of(path)
  config: dict[str, Any] = {}
  for name in _CONFIGS:
    if path.with_name(name).exists():
      config = _object(path.with_name(name))
  if (path.parent / _POOLING).exists():
    config["pooling"] = _object(path.parent / _POOLING)
  tensors: dict[str, np.ndarray] = {}
  for part in _parts(path):
    tensors |= _read_file(part)
  return bare_names(tensors), config, path.name


def _fetched(repository: str) -> pathlib.Path:
  """Folder of a Hugging Face repository, from its cache where it is there."""
  missing = "there is no such file or folder"
  if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
    raise ValueError(missing)
  import huggingface_hub  # Takes its time.

  wanted = [*_FILES, *_BESIDE, "*-of-*", "*.pt"]
  try:
    return pathlib.Path(
      huggingface_hub.snapshot_download(repository, allow_patterns=wanted)
    )
  except Exception as error:
    # The library raises errors of the network, of names, of rights.
    why = (str(error).splitlines() or [type(error).__name__])[0]
    raise ValueError(
      f"{missing}, and Hugging Face did not give it: {why}"
    ) from error


def bare_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Names with slashes for dots, without what wrappers put before them."""
  return {
    _WRAPPERS.sub("", name.replace(".", "/")): value
    for name, value in tensors.items()
  }


def _file_of(folder: pathlib.Path) -> pathlib.Path:
  """The file of a folder that holds, or lists, the tensors."""
  for name in _FILES:
    if (folder / name).exists():
      return folder / name
  alone = sorted(folder.glob("*.pt"))
  if len(alone) == 1:
    return alone[0]
  if (folder / PARAMS).exists():
    raise ValueError("it is a folder of our weights already")
  held = ", ".join(sorted(path.name for path in folder.iterdir())[:5])
  raise ValueError(
    f"the folder holds {held or 'nothing'}, and none of {', '.join(_FILES)}"
  )


def _parts(path: pathlib.Path) -> list[pathlib.Path]:
  """The files that an index lists, else the file itself."""
  if path.suffix != ".json":
    return [path]
  listed = _object(path).get("weight_map")
  if not isinstance(listed, dict):
    raise ValueError(f"{path}: no `weight_map` of files; fetch it again")
  names = sorted(set(map(str, listed.values())))
  for name in names:
    if pathlib.PurePath(name).name != name:
      raise ValueError(f"{path}: {name!r} is not a file beside it")
  return [path.with_name(name) for name in names]


def _object(path: pathlib.Path) -> dict[str, Any]:
  """The object of a JSON file. Raises ValueError where there is none."""
  try:
    value = json.loads(path.read_text(encoding="utf-8"))
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{path} is no JSON ({error}); fetch it again") from error
  if not isinstance(value, dict):
    raise ValueError(f"{path} is no JSON object; fetch it again")
  return value


def _read_file(path: pathlib.Path) -> dict[str, np.ndarray]:
  if path.suffix != ".safetensors":
    return torch_file.read(str(path))
  try:
    return safetensors.numpy.load_file(path)
  # Of types that NumPy has not.
  except (OSError, AttributeError, safetensors.SafetensorError) as error:
    raise ValueError(
      f"{path} cannot be read as safetensors: {error}"
    ) from error
