"""The tiny run as a config file: --config=tests/training/tiny_run.py:DATA."""

import pathlib

import ml_collections

from tests.training.conftest import tiny_config


def get_config(path: str) -> ml_collections.ConfigDict:
  """Moment retrieval on the dataset of that folder, saved at every step."""
  config = tiny_config(pathlib.Path(path))
  config.checkpoint.every = 1
  # AdamW would blow the rounding of a gradient of zero up to its rate.
  config.optimizer.name, config.optimizer.rates = "sgd", (("", 0.1),)
  config.mesh.data, config.mesh.model = 2, -1
  return config.lock()
