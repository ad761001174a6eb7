"""CLIP's weights as others publish them -> a folder of our weights.

    python -m unloc_jax.weights.clip --from FILE_OR_DIR --to DIR

Reads OpenAI's ViT-B/32, B/16 and L/14 (.pt, TorchScript or state dict),
Hugging Face's CLIPModel (model.safetensors, pytorch_model.bin, in one file or
several) and OpenCLIP's state dicts; or a Hugging Face repository's name, where
the machine has internet. Sizes are inferred. No code in a pickle is run.
"""

import argparse
import json
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.weights import folder as weights
from unloc_jax.weights import torch_file
from unloc_jax.weights.clip_names import HUGGING_FACE, OPENAI
from unloc_jax.weights.names import partition

_HEAD_DIM = 64  # Of every published CLIP; a config.json may say otherwise.

_FILES = (
  "model.safetensors",
  "model.safetensors.index.json",
  "open_clip_model.safetensors",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
  "open_clip_pytorch_model.bin",
)
_CONFIGS = ("config.json", "open_clip_config.json")


# What UnLoc has no use for: CLIP's temperature, sizes and constant buffers.
_UNUSED = re.compile(
  r"(logit_scale|logit_bias|input_resolution|context_length|vocab_size"
  r"|(.*/)?attn_mask|(.*/)?position_ids)$"
)
# What wrappers put before all names.
_WRAPPERS = re.compile(r"^(state_dict/)?(module/)?(model/)?")
_FUSED = re.compile(r"(.+/attn)/in_proj_(weight|bias)")


def convert(
  tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]
) -> weights.Weights:
  """CLIP's tensors under any of the known namings -> ours.

  Args:
    tensors: By name, parts joined by dots.
    config: config.json or open_clip_config.json beside the file, or {}.

  Returns:
    Our towers and projections, with one class embedding for all frames, and
    their sizes.

  Raises:
    ValueError: It is not a CLIP ViT, or tensors are missing, too many or of
      wrong shapes; all are listed.
  """
  tensors = _bare_names(tensors)
  table = HUGGING_FACE if _is_hugging_face(tensors) else OPENAI
  _check_activation(config)
  translated, unknown = partition(tensors, table)
  sizes = _sizes({translated[name]: tensors[name] for name in translated})
  sizes["image"]["num_heads"], sizes["text"]["num_heads"] = _heads(
    config, sizes
  )
  wanted = _shapes(sizes)
  params = {
    ours: _ours(name, ours, tensors[name], wanted.get(ours))
    for name, ours in translated.items()
  }
  extra = {name: tensors[name] for name in unknown}
  lines = weights.difference({**params, **extra}, wanted)
  if lines:
    raise ValueError(
      f"it is not the CLIP ViT it looks like ({len(lines)} differences), "
      "nothing was loaded:" + "".join(f"\n  {line}" for line in lines)
    )
  return weights.Weights(params, sizes)


def _bare_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Names with slashes, without wrappers, fused tensors and what is unused."""
  bare = {}
  for dotted, value in tensors.items():
    name = _WRAPPERS.sub("", dotted.replace(".", "/"))
    # OpenCLIP's newer text tower; Hugging Face's is text_model.
    name = name.removeprefix("text/")
    fused = _FUSED.fullmatch(name)
    if _UNUSED.match(name):
      continue
    if fused is None or len(value) % 3:
      bare[name] = value
      continue
    for part, values in zip("qkv", np.split(value, 3), strict=True):
      bare[f"{fused[1]}/{part}/{fused[2]}"] = values
  return bare


def _is_hugging_face(tensors: Mapping[str, np.ndarray]) -> bool:
  if any(name.startswith("vision_model/") for name in tensors):
    return True
  if any(name.startswith("visual/layer1/") for name in tensors):
    raise ValueError("it is a CLIP ResNet; UnLoc's towers are CLIP's ViTs")
  return False


def _check_activation(config: Mapping[str, Any]) -> None:
  """OpenCLIP's own models use exact GELU, ours are OpenAI's quick GELU."""
  used = {
    part.get("hidden_act", "quick_gelu")
    for part in (config.get("vision_config"), config.get("text_config"))
    if part
  }
  if "model_cfg" in config and not config["model_cfg"].get("quick_gelu"):
    used.add("gelu")
  for other in used - {"quick_gelu"}:
    raise ValueError(
      f"it was trained with {other}; UnLoc's towers have quick GELU: take a "
      "model with OpenAI's weights or a -quickgelu one"
    )


def _sizes(params: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Sizes of the towers, read off shapes."""
  patch = _needed(params, "image_tower/patch_embedding/kernel", 4)
  position = _needed(params, "image_tower/position_embedding", 2)
  tokens = _needed(params, "text_tower/token_embedding/embedding", 2)
  text_position = _needed(params, "text_tower/position_embedding", 2)
  projection = _needed(params, "image_projection/kernel", 2)
  grid = round((len(position) - 1) ** 0.5)
  width = {n for n in projection.shape if n != patch.shape[0]}
  return {
    "image": {
      "patch": patch.shape[2],
      "width": patch.shape[0],
      "num_layers": _count_layers(params, "image_tower"),
      "image_size": grid * patch.shape[2],
    },
    "text": {
      "vocab_size": tokens.shape[0],
      "max_tokens": text_position.shape[0],
      "width": tokens.shape[1],
      "num_layers": _count_layers(params, "text_tower"),
    },
    "width": min(width, default=patch.shape[0]),
  }


def _needed(params, name: str, rank: int) -> np.ndarray:
  if name not in params or params[name].ndim != rank:
    raise ValueError(
      f"it is not a CLIP ViT: there is nothing that could be our {name}"
    )
  return params[name]


def _count_layers(params: Mapping[str, np.ndarray], tower: str) -> int:
  pattern = re.compile(rf"{tower}/encoder/layer_(\d+)/")
  found = [int(m[1]) for m in map(pattern.match, params) if m]
  return 1 + max(found, default=-1)


def _heads(config: Mapping[str, Any], sizes: Mapping[str, Any]):
  """Heads of the image and text towers."""
  image = sizes["image"]["width"] // _HEAD_DIM
  text = sizes["text"]["width"] // _HEAD_DIM
  if "vision_config" in config:
    image = config["vision_config"].get("num_attention_heads", image)
    text = config.get("text_config", {}).get("num_attention_heads", text)
  if "model_cfg" in config:
    head_width = config["model_cfg"]["vision_cfg"].get("head_width", _HEAD_DIM)
    image = sizes["image"]["width"] // head_width
    text = config["model_cfg"]["text_cfg"].get("heads", text)
  for name, heads in (("image", image), ("text", text)):
    if heads < 1 or sizes[name]["width"] % heads:
      raise ValueError(
        f"a width of {sizes[name]['width']} has no {heads} heads; put the "
        "model's config.json beside the file"
      )
  return image, text


def _shapes(sizes: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of our towers of these sizes, seeing one frame."""
  image, text = dict(sizes["image"]), dict(sizes["text"])
  side = image.pop("image_size")
  frames = jax.ShapeDtypeStruct((1, 1, side, side, 3), np.float32)
  ids = jax.ShapeDtypeStruct((1, text["max_tokens"]), np.int32)
  key = jax.random.key(0)
  shapes = {}
  for name, tower, inputs in (
    ("image", ImageTower(**image), frames),
    ("text", TextTower(**text), ids),
  ):
    init = lambda x, tower=tower: tower.init(key, x, True)  # noqa: E731
    tree = jax.eval_shape(init, inputs)["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
      keys = "/".join(part.key for part in path)
      shapes[f"{name}_tower/{keys}"] = leaf
    shapes[f"{name}_projection/kernel"] = jax.ShapeDtypeStruct(
      (sizes[name]["width"], sizes["width"]), np.float32
    )
  return shapes


def _ours(theirs: str, ours: str, value: np.ndarray, wanted) -> np.ndarray:
  """One tensor in our layout; as it came where it does not fit."""
  value = np.asarray(value, np.float32)
  if ours == "image_tower/patch_embedding/kernel":
    value = value.transpose(2, 3, 1, 0).reshape(-1, value.shape[0])
  elif ours.endswith("kernel") and theirs.endswith("/weight"):
    value = value.T
  if wanted is None:
    return value
  flat = wanted.shape
  if "/attention/out/" in ours and ours.endswith("kernel"):
    flat = (flat[0] * flat[1], flat[2])
  elif "/attention/" in ours and "/out/" not in ours:
    flat = (*flat[:-2], flat[-2] * flat[-1])
  elif ours == "image_tower/class_embedding":
    flat = flat[1:]
  return value.reshape(wanted.shape) if value.shape == flat else value


def read(source: str) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
  """Tensors, configuration ({} where there is none) and file of a source.

  Args:
    source: A file, a folder as of Hugging Face, or a repository's name.

  Raises:
    ValueError: There is nothing that can be read.
  """
  path = pathlib.Path(source)
  if not path.exists():
    path = _download(source)
  if path.is_dir():
    found = [path / name for name in _FILES if (path / name).exists()]
    if not found:
      raise ValueError(f"{path} has none of {', '.join(_FILES)}")
    path = found[0]
  config = {}
  for name in _CONFIGS:
    if path.with_name(name).exists():
      config = json.loads(path.with_name(name).read_text())
  if path.suffix != ".json":
    return _read_file(path), config, path.name
  tensors = {}
  for name in sorted(set(json.loads(path.read_text())["weight_map"].values())):
    if pathlib.PurePath(name).name != name:
      raise ValueError(f"{path}: {name!r} is not a file beside it")
    tensors.update(_read_file(path.with_name(name)))
  return tensors, config, path.name


def _read_file(path: pathlib.Path) -> dict[str, np.ndarray]:
  if path.suffix != ".safetensors":
    return torch_file.read(str(path))
  try:
    return safetensors.numpy.load_file(path)
  except (OSError, safetensors.SafetensorError) as error:
    raise ValueError(f"{path} is not a safetensors file: {error}") from error


def _download(repository: str) -> pathlib.Path:
  """Folder of a Hugging Face repository, fetched or from its cache."""
  if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
    raise ValueError(f"{repository}: there is no such file or folder")
  try:
    import huggingface_hub
  except ImportError:
    raise ValueError(
      f"{repository}: there is no such file or folder; to fetch it from "
      "Hugging Face, pip install huggingface_hub"
    ) from None
  try:
    folder = huggingface_hub.snapshot_download(
      repository, allow_patterns=[*_FILES, *_CONFIGS, "*-of-*"]
    )
  except Exception as error:
    reason = str(error).split("\n")[0]
    raise ValueError(
      f"{repository}: there is no such file or folder, and Hugging Face did "
      f"not give it: {reason}"
    ) from error
  return pathlib.Path(folder)


def main(argv: list[str] | None = None) -> int:
  """Converts; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument(
    "--from", dest="source", required=True, help="file, folder or repository"
  )
  parser.add_argument("--to", required=True, help="new folder")
  args = parser.parse_args(argv)
  try:
    tensors, config, file = read(args.source)
    converted = convert(tensors, config)
    origin = {"from": args.source, "file": file}
    weights.save(
      args.to, converted.params, {"clip": converted.config, "source": origin}
    )
  except (ValueError, OSError) as error:
    print(f"{args.source}: {error}", file=sys.stderr)
    return 1
  count = sum(value.size for value in converted.params.values())
  print(f"{args.to}: {count:,} parameters, {json.dumps(converted.config)}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
