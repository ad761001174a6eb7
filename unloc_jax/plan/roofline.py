"""Costs and a chip's figures -> a step's time at best, and what bounds it."""

import dataclasses

from unloc_jax.plan.chips import Chip
from unloc_jax.plan.costs import Costs
from unloc_jax.plan.topology import GPUS_PER_HOST


@dataclasses.dataclass(frozen=True)
class Roofline:
  """Times of one step if each resource ran at its published peak, seconds.

  Attributes:
    compute: Of matrix products.
    memory: Of what is read from and written to main memory.
    interconnect: Of what is sent to other devices.
    mfu: FLOPs the model needs over what the devices could do in the time of
      the slowest of the three: what is reached at best, everything
      overlapping.
  """

  compute: float
  memory: float
  interconnect: float
  mfu: float

  @property
  def seconds(self) -> float:
    return max(self.compute, self.memory, self.interconnect)

  @property
  def bound(self) -> str:
    """The slowest: "compute", "memory" or "interconnect"."""
    return max(
      ("compute", "memory", "interconnect"),
      key=lambda name: getattr(self, name),
    )


def roofline(
  costs: Costs, model_flops: float, num_devices: int, chip: Chip, dtype: str
) -> Roofline:
  """The roofline of a compiled step.

  Args:
    costs: Of a device.
    model_flops: Of the whole mesh, without recomputation.
    num_devices: Of the mesh.
    chip: Its figures.
    dtype: `model.dtype`.
  """
  peak = chip.peak_flops(dtype)
  compute = costs.flops / peak
  memory = costs.bytes / chip.bandwidth
  interconnect = sum(one.sent / _link(chip, one.group) for one in costs.traffic)
  slowest = max(compute, memory, interconnect)
  mfu = model_flops / (num_devices * peak * slowest) if slowest else 0.0
  return Roofline(compute, memory, interconnect, mfu)


def _link(chip: Chip, group: int) -> float:
  """Bytes/s a device sends within a group of so many."""
  beyond_host = chip.network and group > GPUS_PER_HOST
  return chip.network if beyond_host else chip.interconnect
