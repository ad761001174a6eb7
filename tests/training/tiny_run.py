"""Tiny runs as a config file: --config=tests/training/tiny_run.py:DATA.

DATA is a folder of `write_data`; DATA,TASK is another task than moment
retrieval.
"""

import pathlib

import ml_collections

from tests.training.conftest import task_config, write_data


def get_config(argument: str) -> ml_collections.ConfigDict:
  """The tiny config, saved at every step."""
  data, _, task = argument.partition(",")
  folders = write_data(pathlib.Path(data))
  config = task_config(task or "moment_retrieval", *folders)
  config.checkpoint.every = 1
  # AdamW would blow the rounding of a gradient of zero up to its rate.
  config.optimizer.name, config.optimizer.rates = "sgd", (("", 0.1),)
  config.mesh.data, config.mesh.model = 2, -1
  return config.lock()
