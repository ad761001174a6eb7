"""Every config of the repository, with each argument worth telling apart."""

import functools
import importlib
import pathlib

import ml_collections

from configs import common
from unloc_jax.training.state import Parts, param_shapes

FOLDER = pathlib.Path(common.__file__).parent
HELPERS = {"__init__", "common"}

# Every file of configs/, and its arguments.
ARGUMENTS = {
  "anet_mr": ("B", "L"),
  "charades_mr": ("B", "L"),
  "qvhighlights_mr": ("B", "L", "features"),
  "anet_tal": ("B", "L", "B,split=50-0", "L,split=75-9"),
  "coin_as": ("B", "L"),
  "kinetics_pretrain": (
    "B",
    "L,classes=700",
    "B,classes=600,fusion=fpn",
    "L,fusion=transformer",
  ),
  "salads_as": ("fold=1",),
  "salads_tal": ("fold=2",),
  "sounds": ("", "log_mel"),
  "synthetic_towers": ("",),
  "synthetic_mr": ("",),
  "synthetic_sounds": ("", "silent"),
  "synthetic_tal": ("", "split=zero-shot"),
  "synthetic_as": ("",),
  "synthetic_cls": ("",),
}
CASES = tuple(
  (name, argument)
  for name, arguments in ARGUMENTS.items()
  for argument in arguments
)
# Those whose losses are traced, which takes seconds: one of each task, fusion
# and kind of text and stream.
TRACED = (
  ("anet_mr", "B"),
  ("anet_mr", "L"),
  ("qvhighlights_mr", "B"),
  ("anet_tal", "B"),
  ("coin_as", "L"),
  ("kinetics_pretrain", "L,fusion=transformer"),
  ("sounds", ""),
  ("sounds", "log_mel"),
  ("synthetic_towers", ""),
)


@functools.cache
def load(name: str, argument: str) -> ml_collections.ConfigDict:
  """The config as `--config=configs/NAME.py:ARGUMENT` gives it."""
  module = importlib.import_module(f"configs.{name}")
  return module.get_config(argument) if argument else module.get_config()


def num_classes(config: ml_collections.ConfigDict) -> int:
  """C of the real dataset."""
  sizes = {"action_segmentation": 778, "temporal_localization": 200}
  if config.data.classes:
    return len(config.data.classes)
  return sizes.get(config.task, 400)


@functools.cache
def parts_of(name: str, argument: str) -> Parts:
  """Parts with stacked layers, which trace in a fraction of the time."""
  config = load(name, argument).copy_and_resolve_references().unlock()
  config.model.scan_layers = True
  return Parts.from_config(config.lock())


@functools.cache
def shapes_of(name: str, argument: str):
  """{path: shape} of the parameters."""
  return param_shapes(parts_of(name, argument))
