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

import argparse
import sys
from collections.abc import Sequence

import ml_collections

from unloc_jax.config import flags as config_flags
from unloc_jax.config.parser import Parser, show
from unloc_jax.files import write_json
from unloc_jax.plan import topology


def main(argv: Sequence[str] | None = None) -> None:
  """Runs one of the three; what is wrong is said in one line."""
  parser = Parser(__doc__)
  add = parser.add_argument
  add("--topology", default="local", help="devices to plan for (local)")
  add("--json", metavar="FILE", help="writes the plan")
  add("--check", action="store_true", help="config, data and weights")
  add("--workdir", default=".", help="of --check, where checkpoints go")
  add("--overfit", action="store_true", help="one batch")
  add("--overfit_steps", type=int, default=300)
  add("--overfit_rate", type=float, default=1e-3, help="of AdamW (1e-3)")
  flags, config = config_flags.parse(parser, argv)
  try:
    topology.check_name(flags.topology)
    topology.prepare(flags.topology)
    sys.exit(0 if _run(flags, config) else 1)
  except (ValueError, OSError) as error:
    sys.exit(f"error: {' '.join(str(error).split())}")


def _run(flags: argparse.Namespace, config: ml_collections.ConfigDict) -> bool:
  # Imported here: JAX reads the environment that `prepare` sets.
  from unloc_jax.parallel.compilation_cache import keep_programs

  keep_programs()
  if flags.check:
    from unloc_jax.plan import check

    return check.run(config, flags.topology, flags.workdir)
  if flags.overfit:
    from unloc_jax.plan import overfit

    return overfit.run(config, flags.overfit_steps, flags.overfit_rate)
  from unloc_jax.plan import printing, step_plan

  devices = topology.open_topology(flags.topology)
  plan = step_plan.plan_step(flags.config, config, devices)
  show("\n".join(printing.lines(plan)))
  if flags.json:
    write_json(flags.json, plan.as_json())
  return plan.fits


if __name__ == "__main__":
  main()
