"""A config checked before it is run: on devices that need not be there.

    python -m unloc_jax.plan --config=configs/anet_mr.py:L --topology v5e:16x16

compiles the real train step for a pod and prints memory, work, collectives
and the step's time at best; where it does not fit, what would. Topologies:
TPU v4, v5e, v5p, v6e by shape, h100 by number of GPUs, or local.

    python -m unloc_jax.plan --check --config=... --config.data.path=...

finds what is wrong with a config, its data and weights without training.

    python -m unloc_jax.plan --overfit --config=... --config.data.path=...

drives the loss of one batch to near zero: what learns anything can.

The exit status is 0 where a plan fits, nothing is wrong, or the loss fell.
"""

import json
import os
import pathlib
import sys
from typing import Any

from absl import app, flags

from unloc_jax.config import flags as config_flags
from unloc_jax.plan import topology

_TOPOLOGY = flags.DEFINE_string(
  "topology", "local", "Devices to plan for: v5e:16x16, h100:8, ..., local."
)
_JSON = flags.DEFINE_string("json", None, "File to write the plan to.")
_ANYWAY = flags.DEFINE_bool(
  "compile_anyway", False, "Compile also what is estimated not to fit."
)
_CHECK = flags.DEFINE_bool("check", False, "Check config, data and weights.")
_OVERFIT = flags.DEFINE_bool("overfit", False, "Overfit one batch.")
_STEPS = flags.DEFINE_integer("overfit_steps", 300, "Steps of --overfit.")
_RATE = flags.DEFINE_float("overfit_rate", 1e-3, "AdamW's rate of --overfit.")


def main(argv: list[str]) -> None:
  """Runs one of the three; what is wrong is said in one line."""
  if len(argv) > 1:
    sys.exit(f"error: unknown arguments: {' '.join(argv[1:])}")
  try:
    topology.check_name(_TOPOLOGY.value)
    topology.check_compiler(_TOPOLOGY.value)
    topology.prepare(_TOPOLOGY.value)
    sys.exit(0 if _run(flags.FLAGS.config.lock()) else 1)
  except (ValueError, FileNotFoundError) as error:
    sys.exit(f"error: {error}")


def _run(config) -> bool:
  if _CHECK.value:
    from unloc_jax.plan import check

    workdir = flags.FLAGS.workdir or "."
    return check.run(config, _TOPOLOGY.value, workdir)
  if _OVERFIT.value:
    from unloc_jax.plan import overfit

    return overfit.run(config, _STEPS.value, _RATE.value)
  return _plan(config)


def _plan(config) -> bool:
  from unloc_jax.plan import planning, report

  flag: Any = flags.FLAGS["config"]
  name = flag.config_filename
  plan, changes = planning.make_plan(
    name, config, _TOPOLOGY.value, _ANYWAY.value
  )
  for line in report.lines(plan):
    print(line)
  for change in changes:
    print(f"  would fit (about {report.gib(change.needed)}): {change.flags()}")
  if not plan.fits and not changes:
    print("  nothing tried would fit: take more devices")
  if _JSON.value:
    found = report.as_json(plan)
    found["would_fit"] = [change.settings for change in changes]
    out = pathlib.Path(_JSON.value)
    beside = out.with_name(out.name + ".tmp")
    beside.write_text(json.dumps(found, indent=2) + "\n")
    os.replace(beside, out)
  return plan.fits


if __name__ == "__main__":
  flags.mark_flags_as_required(["config"])
  app.run(main, flags_parser=config_flags.parse)
