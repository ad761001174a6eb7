"""What several configs set: towers, schedules, class prompts, augmentation.

Published towers go by the name that follows the colon of --config, as in
configs/anet_mr.py:siglip2_b16. "B" and "L" are the paper's, CLIP's B/16 and
L/14; another takes the recipe of one of them. docs/weights.md says where their
weights are.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from unloc_jax.config.schema import base


@dataclasses.dataclass(frozen=True)
class Towers:
  """What a config changes for a pair of towers."""

  recipe: str  # "B" or "L".
  image: Mapping[str, Any]  # Of model.image_tower.
  text: Mapping[str, Any]  # Of model.text_tower.
  width: int  # D, of both projections and of fusion.
  image_size: int = 224


def _sizes(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
  sizes = {"width": width, "num_layers": layers, "num_heads": heads}
  return {**sizes, **more}


def _siglip2(recipe: str, side: int, patch: int, *sizes: int) -> Towers:
  """Both towers have the same sizes: width, blocks, heads, hidden width."""
  width, layers, heads, *hidden = sizes
  both: dict[str, Any] = {"kind": "siglip2", "activation": "gelu_tanh"}
  both |= {"mlp_dim": hidden[0]} if hidden else {}
  image = _sizes(width, layers, heads, patch=patch, **both)
  text = _sizes(width, layers, heads, vocab_size=256_000, max_tokens=64, **both)
  return Towers(recipe, {**image, "classifier": "attention"}, text, width, side)


_GELU = {"activation": "gelu"}
_B16 = _sizes(768, 12, 12, patch=16)
_L14 = _sizes(1024, 24, 16, patch=14)
_B_TEXT, _L_TEXT = _sizes(512, 12, 8), _sizes(768, 12, 12)
# Of OpenCLIP's largest and of Perception Encoder.
_TEXT_1024 = _sizes(1024, 24, 16, **_GELU)
_PE = {"kind": "pe", "classifier": "attention", **_GELU}
_PE_TEXT = {**_TEXT_1024, "max_tokens": 32}

TOWERS = {
  "B": Towers("B", _B16, _B_TEXT, 512),
  "L": Towers("L", _L14, _L_TEXT, 768),
  "clip_b32": Towers("B", {**_B16, "patch": 32}, _B_TEXT, 512),
  "clip_l14_336": Towers("L", _L14, _L_TEXT, 768, 336),
  "openclip_b32": Towers(
    "B", {**_B16, "patch": 32, **_GELU}, {**_B_TEXT, **_GELU}, 512
  ),
  "openclip_b16": Towers("B", {**_B16, **_GELU}, {**_B_TEXT, **_GELU}, 512),
  "openclip_l14": Towers("L", {**_L14, **_GELU}, {**_L_TEXT, **_GELU}, 768),
  "openclip_h14": Towers(
    "L", _sizes(1280, 32, 16, patch=14, **_GELU), _TEXT_1024, 1024
  ),
  "openclip_g14": Towers(
    "L",
    _sizes(1408, 40, 16, patch=14, mlp_dim=6144, **_GELU),
    _TEXT_1024,
    1024,
  ),
  "siglip2_b16": _siglip2("B", 224, 16, 768, 12, 12),
  "siglip2_b16_384": _siglip2("B", 384, 16, 768, 12, 12),
  "siglip2_l16_256": _siglip2("L", 256, 16, 1024, 24, 16),
  "siglip2_so400m14": _siglip2("L", 224, 14, 1152, 27, 16, 4304),
  "siglip2_so400m14_384": _siglip2("L", 384, 14, 1152, 27, 16, 4304),
  "pe_b16": Towers("B", {**_B16, **_PE}, _PE_TEXT, 1024),
  "pe_l14_336": Towers("L", {**_L14, **_PE}, _PE_TEXT, 1024, 336),
}


def set_towers(c: ml_collections.ConfigDict, name: str) -> None:
  """Sets towers, fusion width and pixels to those of a name of TOWERS."""
  towers = TOWERS[name]
  c.model.image_tower.update(towers.image)
  c.model.text_tower.update(towers.text)
  c.model.width = towers.width
  c.model.fusion.num_heads = towers.width // 64
  c.model.fusion.mlp_dim = 4 * towers.width
  c.data.image_size = c.data.short_side = towers.image_size
  set_text_length(c, c.data.max_tokens)


def set_text_length(c: ml_collections.ConfigDict, length: int) -> None:
  """Texts are of `length` tokens, but of all that SigLIP 2's tower has."""
  text = c.model.text_tower
  c.data.max_tokens = text.max_tokens if text.kind == "siglip2" else length


def set_mean(c: ml_collections.ConfigDict) -> None:
  """Frame tokens are means, where a tower would take its class embedding's."""
  if c.model.image_tower.classifier == "token":
    c.model.image_tower.classifier = "gap"


_CLIP = {"B": "clip_b16", "L": "clip_l14"}
# What `init=` of a config's argument takes of the weights: the towers of
# CLIP, or all that a pretraining run shares with its target.
_TAKEN = {
  "clip": "(image|text)_(tower|projection)/",
  "pretraining": "((image|text)_(tower|projection)|fusion)/",
}


def parse_argument(
  argument: str, choices: Mapping[str, Sequence[str]]
) -> dict[str, str]:
  """What follows the colon of --config, `L` or `B,split=50-0`: all settings.

  A first one without a name is the size; what is left out is the first of its
  `choices`. Raises ValueError where one is not among them.
  """
  chosen = {name: values[0] for name, values in choices.items()}
  for place, part in enumerate(filter(None, argument.split(","))):
    name, equals, value = part.strip().partition("=")
    if not equals and place == 0:
      name, value = "size", name
    if value not in choices.get(name, ()):
      known = "; ".join(
        f"{name}={'|'.join(filter(None, values))}"
        for name, values in choices.items()
      )
      raise ValueError(f"config argument {part!r} is not known; give {known}")
    chosen[name] = value
  return chosen


def built(dataset: str) -> str:
  """Where data_preprocessing.build --data_dir data puts a dataset."""
  return f"data/{dataset}/1.0.0"


def start(
  argument: str, dataset: str, **choices: Sequence[str]
) -> tuple[ml_collections.ConfigDict, dict[str, str]]:
  """The unlocked base config of a benchmark, and its parsed argument.

  Every benchmark takes towers (a name of TOWERS) and starts from their weights
  (`init=clip`) or from a run of configs/kinetics_pretrain.py
  (`init=pretraining`); `choices` adds to that. In what is returned "towers" is
  that name and "size" the recipe, B or L.
  """
  sizes = dict.fromkeys((*choices.get("size", ()), *TOWERS))
  common_choices = {**choices, "size": tuple(sizes), "init": tuple(_TAKEN)}
  chosen = parse_argument(argument, common_choices)
  c = base().unlock()
  name = chosen["towers"] = chosen["size"]
  # What is no pair of towers is set as B's first.
  tower = name if name in TOWERS else "B"
  set_towers(c, tower)
  chosen["size"] = TOWERS[tower].recipe
  # Neither changes values: one compiled body for all layers, which does not
  # keep what the backward pass can compute again.
  c.model.scan_layers = True
  c.model.dtype = "auto"
  c.model.image_tower.remat = "full"
  c.init.take = _TAKEN[chosen["init"]]
  c.init.weights = f"weights/{_CLIP.get(name, name)}"
  if chosen["init"] == "pretraining":
    c.init.weights = f"runs/kinetics_pretrain-{name}/weights"
  c.data.path = built(dataset)
  return c, chosen


def set_steps(c: ml_collections.ConfigDict, *decay: float) -> None:
  """Rates fall to a tenth at these times, in `train.unit`."""
  c.optimizer.schedule = "steps"
  c.optimizer.decay = tuple((at, 0.1) for at in decay)


def set_classes(
  c: ml_collections.ConfigDict, templates: Sequence[str], chunk: int
) -> None:
  """Texts are class prompts of 16 tokens; the text tower is frozen.

  Args:
    c: Changed.
    templates: With one {} for the class name.
    chunk: Classes fused at a time, all at once need too much memory.
  """
  set_text_length(c, 16)
  c.text.prompts = tuple(templates)
  c.model.text_tower.frozen = True
  c.model.fusion.query_chunk = chunk


def set_class_embeddings(
  c: ml_collections.ConfigDict, dataset: str, name: str
) -> None:
  """The text tower of TOWERS[name] is run once, before training."""
  c.model.text_tower.num_layers = 0
  made = f"weights/{dataset}_{'l14' if name == 'L' else name}.npz"
  c.text.class_embeddings = made


def set_augmentation(c: ml_collections.ConfigDict) -> None:
  """Pixels of action benchmarks: classes do not say left, right or red."""
  # The short side of the smallest scale, 0.9, is still above the crop.
  c.data.short_side = c.data.image_size * 8 // 7
  c.data.augment.flip = 0.5
  c.data.augment.scale = (0.9, 1.33)
  c.data.augment.colour = 0.8
  c.data.augment.grey = 0.1
  c.data.augment.rand_layers = 3
  c.data.augment.rand_magnitude = 10
