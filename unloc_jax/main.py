"""Trains and evaluates.

    python -m unloc_jax.main --config=configs/anet_mr.py:B

says what it needs: data/DATASET/1.0.0 and weights/TOWER, or other places by
--config.data.path and --config.init.weights. Needs nothing:

    python -m unloc_jax.main --config=configs/anet_mr.py:B --demo_data
"""

import importlib
import re
import sys
from collections.abc import Sequence

import ml_collections

from unloc_jax.config import flags as config_flags
from unloc_jax.config.laptop import laptop
from unloc_jax.config.parser import Parser
from unloc_jax.parallel import processes
from unloc_jax.plan.missing import missing

_DEMO_DATA = "runs/demo_data"


def main(argv: Sequence[str] | None = None) -> None:
  """Runs `train_and_evaluate`; what is wrong is said in one line."""
  parser = Parser(__doc__)
  add = parser.add_argument
  add("--workdir", help="folder of the run (runs/CONFIG): goes on from there")
  add(
    "--demo_data",
    action="store_true",
    help="a small rendered set, at sizes that a laptop carries",
  )
  processes.add_flags(parser)
  flags, config = config_flags.parse(parser, argv)
  workdir = flags.workdir
  if workdir is None:
    workdir = f"runs/{_path_safe(flags.config, flags.demo_data)}"
  if flags.demo_data:
    config = _with_demo_data(config)
  elif needs := missing(flags.config, config):
    sys.exit(f"error: {flags.config} needs more:\n{needs}")
  with processes.joined(flags):
    _run(config, workdir)


def _path_safe(config: str, is_demo: bool) -> str:
  """configs/anet_tal.py:B,split=50-0 -> anet_tal-B-split=50-0."""
  name = re.sub(r"^.*/|\.py(?=:|$)", "", config) + ":demo" * is_demo
  return re.sub(r"[^\w.=]+", "-", name).strip("-.")


def _with_demo_data(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  try:
    # By name: this package needs no builder of datasets.
    make = importlib.import_module("data_preprocessing.synthetic.demo_data")
    return laptop(config, str(make.demo_data(config.task, _DEMO_DATA)))
  except (ImportError, OSError, ValueError) as error:
    sys.exit(f"error: --demo_data: {error}")


def _run(config: ml_collections.ConfigDict, workdir: str) -> None:
  # Imported here: a process of several is to say soon that it lives.
  from unloc_jax.parallel import preemption
  from unloc_jax.parallel.compilation_cache import keep_programs
  from unloc_jax.training import console
  from unloc_jax.training.loop import train_and_evaluate

  console.configure()
  keep_programs()
  try:
    train_and_evaluate(config, workdir)
  except preemption.PreemptedError as error:
    print(error)
  except (ValueError, OSError, FloatingPointError) as error:
    sys.exit(f"error: {' '.join(str(error).split())}")


if __name__ == "__main__":
  processes.run(main)
