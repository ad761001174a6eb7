"""What several configs set: sizes, schedules, class prompts, augmentation."""

from collections.abc import Mapping, Sequence

import ml_collections

from unloc_jax.config.schema import base

_SIZES = {
  # patch, width, layers, heads, text width, text heads, D, fusion heads
  "B": (16, 768, 12, 12, 512, 8, 512, 8),
  "L": (14, 1024, 24, 16, 768, 12, 768, 12),
}


def set_size(c: ml_collections.ConfigDict, size: str) -> None:
  """Sets the towers and fusion to UnLoc-B (CLIP B/16) or -L (CLIP L/14)."""
  patch, width, layers, heads, text_width, text_heads, dim, fusion_heads = (
    _SIZES[size]
  )
  image, text, fusion = c.model.image_tower, c.model.text_tower, c.model.fusion
  image.patch, image.width = patch, width
  image.num_layers, image.num_heads = layers, heads
  text.width, text.num_heads = text_width, text_heads
  c.model.width = dim
  fusion.num_heads, fusion.mlp_dim = fusion_heads, 4 * dim


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

  Every benchmark takes a size and starts from CLIP's towers (`init=clip`) or
  from a run of configs/kinetics_pretrain.py (`init=pretraining`); `choices`
  adds to that.
  """
  common_choices = {"size": tuple(_SIZES), "init": tuple(_TAKEN)}
  chosen = parse_argument(argument, {**common_choices, **choices})
  c = base().unlock()
  set_size(c, chosen["size"])
  # Neither changes values: one compiled body for all layers, which does not
  # keep what the backward pass can compute again.
  c.model.scan_layers = True
  c.model.image_tower.remat = "full"
  c.init.take = _TAKEN[chosen["init"]]
  c.init.weights = f"weights/{_CLIP[chosen['size']]}"
  if chosen["init"] == "pretraining":
    c.init.weights = f"runs/kinetics_pretrain-{chosen['size']}/weights"
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
  c.data.max_tokens = 16
  c.text.prompts = tuple(templates)
  c.model.text_tower.frozen = True
  c.model.fusion.query_chunk = chunk


def set_class_embeddings(c: ml_collections.ConfigDict, dataset: str) -> None:
  """The text tower of L is run once, before training."""
  c.model.text_tower.num_layers = 0
  c.text.class_embeddings = f"weights/{dataset}_l14.npz"


def set_augmentation(c: ml_collections.ConfigDict) -> None:
  """Pixels of action benchmarks: classes do not say left, right or red."""
  # The short side of the smallest scale, 0.9, is still above the crop.
  c.data.short_side = 256
  c.data.augment.flip = 0.5
  c.data.augment.scale = (0.9, 1.33)
  c.data.augment.colour = 0.8
  c.data.augment.grey = 0.1
  c.data.augment.rand_layers = 3
  c.data.augment.rand_magnitude = 10
