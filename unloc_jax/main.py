"""Trains and evaluates.

python -m unloc_jax.main --config=configs/anet_mr.py:B --workdir=runs/mr \
      --config.data.path=DATA_DIR/anet_captions/1.0.0
"""

import os
import sys

from absl import app, flags, logging

from unloc_jax.config import flags as config_flags

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


def main(_: list[str]) -> None:
  """Runs `train_and_evaluate`; what is wrong is said in one line."""
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
  from unloc_jax.training.loop import train_and_evaluate

  console.configure()
  try:
    train_and_evaluate(config_flags.config(), str(config_flags.workdir()))
  except preemption.PreemptedError as error:
    print(error)
  except (ValueError, FileNotFoundError, FloatingPointError) as error:
    if logging.level_debug():
      raise
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  app.run(main, flags_parser=config_flags.parse)
