"""A config checked before it is run: on devices that need not be there.

    python -m unloc_jax.plan --config=configs/anet_mr.py:L --topology v5e:16x16

compiles the real train step for a pod and prints memory, work, collectives
and the step's time at best. Topologies: TPU v4, v5e, v5p, v6e by shape, h100
by number of GPUs, or local.

    python -m unloc_jax.plan --check --config=... --config.data.path=...

finds what is wrong with a config, its data and weights without training.

    python -m unloc_jax.plan --overfit --config=... --config.data.path=...

drives the loss of one batch to near zero: what learns anything can.

The exit status is 0 where a plan fits, nothing is wrong, or the loss fell.
"""

import sys

import ml_collections
from absl import app, flags

from unloc_jax.config import flags as config_flags
from unloc_jax.files import write_json
from unloc_jax.plan import topology

_TOPOLOGY = flags.DEFINE_string(
  "topology", "local", "Devices to plan for: v5e:16x16, h100:8, ..., local."
)
_JSON = flags.DEFINE_string("json", None, "File to write the plan to.")
_CHECK = flags.DEFINE_bool("check", False, "Check config, data and weights.")
_OVERFIT = flags.DEFINE_bool("overfit", False, "Overfit one batch.")
_STEPS = flags.DEFINE_integer("overfit_steps", 300, "Steps of --overfit.")
_RATE = flags.DEFINE_float("overfit_rate", 1e-3, "AdamW's rate of --overfit.")


def main(_: list[str]) -> None:
  """Runs one of the three; what is wrong is said in one line."""
  try:
    topology.check_name(_TOPOLOGY.value)
    topology.prepare(_TOPOLOGY.value)
    sys.exit(0 if _run(config_flags.config()) else 1)
  except (ValueError, FileNotFoundError) as error:
    sys.exit(f"error: {error}")


def _run(config: ml_collections.ConfigDict) -> bool:
  # Imported here: JAX reads the environment that `prepare` sets.
  if _CHECK.value:
    from unloc_jax.plan import check

    workdir = config_flags.workdir() or "."
    return check.run(config, _TOPOLOGY.value, workdir)
  if _OVERFIT.value:
    from unloc_jax.plan import overfit

    return overfit.run(config, _STEPS.value, _RATE.value)
  from unloc_jax.plan import printing, step_plan

  devices = topology.open_topology(_TOPOLOGY.value)
  plan = step_plan.plan_step(config_flags.config_name(), config, devices)
  for line in printing.lines(plan):
    print(line)
  if _JSON.value:
    write_json(_JSON.value, printing.as_json(plan))
  return plan.fits


if __name__ == "__main__":
  flags.mark_flags_as_required(["config"])
  app.run(main, flags_parser=config_flags.parse)
