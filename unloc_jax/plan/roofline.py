"""Costs and a chip's figures -> a step's time at best, and what bounds it."""

import dataclasses

from unloc_jax.costs.chips import Chip
from unloc_jax.costs.counting import Costs
from unloc_jax.plan.topology import GPUS_PER_HOST


@dataclasses.dataclass(frozen=True)
class Roofline:
  """Seconds of one step if each resource ran at its published peak."""

  compute: float  # Of matrix products
  memory: float  # Of reading and writing main memory
  interconnect: float  # Of sending to other devices
  seconds: float  # Of the slowest of the three, which the others overlap
  bound: str  # Its name
  mfu: float  # FLOPs the model needs over those that fit in that time
  source: str  # Of the peaks


def roofline(
  costs: Costs, model_flops: float, chip: Chip, dtype: str
) -> Roofline:
  """The roofline of a step of these costs, computed in `model.dtype`.

  `model_flops` is a device's share of what the model needs, nothing
  recomputed.
  """
  peak = chip.peak_flops(dtype)
  sent = sum(one.sent / _link(chip, one.group) for one in costs.traffic)
  times = {
    "compute": costs.flops / peak,
    "memory": costs.bytes / chip.bandwidth,
    "interconnect": sent,
  }
  bound = max(times, key=lambda name: times[name])
  slowest = times[bound]
  mfu = model_flops / (peak * slowest) if slowest else 0.0
  return Roofline(
    **times, seconds=slowest, bound=bound, mfu=mfu, source=chip.source
  )


def _link(chip: Chip, group: int) -> float:
  """Bytes/s a device sends within a group of so many."""
  beyond_host = chip.network and group > GPUS_PER_HOST
  return chip.network if beyond_host else chip.interconnect
