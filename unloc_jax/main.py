"""Trains and evaluates.

    python -m unloc_jax.main --config=configs/anet_mr.py:B --workdir=runs/mr \
      --config.data.path=DATA_DIR/anet_captions/1.0.0
"""

import os
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "Config file, with its argument after a colon."
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Folder of the run: checkpoints, logs, results."
)
_DISTRIBUTED = flags.DEFINE_bool(
  "distributed",
  False,
  "One of several processes; Slurm, Kubernetes and TPU pods tell which.",
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator", None, "Elsewhere: HOST:PORT of process 0."
)
_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "Elsewhere: how many processes there are."
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id", None, "Elsewhere: which of them this is, from 0."
)


def parse_flags(argv: list[str]) -> list[str]:
  """Parses the command line; a config or key that is not there is one line."""
  try:
    rest = flags.FLAGS(argv)
    _CONFIG.value.lock()  # A file that cannot be loaded is noticed only now.
    return rest
  except AttributeError as error:
    key = str(error).strip("\"'")
    wrong = [arg for arg in argv if key in re.split(r"[.=\[]", arg)]
    sys.exit(
      f"error: {' '.join(wrong) or 'config'}: there is no key {key!r}; "
      "unloc_jax/config/schema.py lists all of them"
    )
  except (flags.Error, KeyError, OSError, TypeError, ValueError) as error:
    sys.exit(f"error: {' '.join(str(error).split())}")


def main(argv: list[str]) -> None:
  """Runs `train_and_evaluate`; what is wrong is said in one line."""
  if len(argv) > 1:
    sys.exit(f"error: unknown arguments: {' '.join(argv[1:])}")
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  from unloc_jax.parallel import processes

  try:
    if _DISTRIBUTED.value:
      processes.start(
        _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
      )
  except ValueError as error:
    sys.exit(f"error: {' '.join(str(error).split())}")
  with processes.Watch():
    _run()


def _run() -> None:
  # Imported here: a process of several is to say soon that it lives.
  from unloc_jax.parallel import preemption
  from unloc_jax.training import console
  from unloc_jax.training import loop as train

  console.configure()
  try:
    train.train_and_evaluate(_CONFIG.value.lock(), str(_WORKDIR.value))
  except preemption.PreemptedError as error:
    print(error)
  except (ValueError, FileNotFoundError, FloatingPointError) as error:
    if logging.level_debug():
      raise
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  app.run(main, flags_parser=parse_flags)
