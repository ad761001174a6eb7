"""A plan as lines for the terminal, and as a JSON object."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from unloc_jax.plan.program import Compiled
from unloc_jax.plan.roofline import Roofline
from unloc_jax.plan.topology import Topology

_UNITS = ("", "k", "M", "G", "T", "P", "E")


@dataclasses.dataclass(frozen=True)
class Plan:
  """What is known of a config on a topology.

  Attributes:
    config: Name and settings that matter, for a reader.
    topology: Devices.
    mesh: Devices per axis.
    needed: Peak memory of a device, bytes.
    compiled: None where it was not worth compiling, or the compiler refused
      for lack of memory.
    roofline: None where the chip's figures are not known.
    message: Why it was not compiled, or what the compiler said.
  """

  config: dict[str, Any]
  topology: Topology
  mesh: dict[str, int]
  needed: int
  compiled: Compiled | None = None
  roofline: Roofline | None = None
  message: str = ""

  @property
  def fits(self) -> bool:
    return self.compiled is not None and self.needed <= self.topology.memory


def gib(count: float) -> str:
  """Bytes as "1.23 GiB"."""
  return f"{count / 2**30:.2f} GiB"


def si(value: float, unit: str) -> str:
  """1.5e12, "FLOP" -> "1.50 TFLOP"."""
  power = 0
  while value >= 999.5 and power < len(_UNITS) - 1:
    value, power = value / 1000, power + 1
  return f"{value:.3g} {_UNITS[power]}{unit}"


def seconds(value: float) -> str:
  """Seconds in the unit that reads best."""
  return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def lines(plan: Plan) -> Iterator[str]:
  """The plan for a terminal."""
  top, chip = plan.topology, plan.topology.chip
  kind = top.devices[0].device_kind
  yield f"{plan.config['name']} on {len(top.devices)} x {kind} ({top.name})"
  settings = {k: v for k, v in plan.config.items() if k != "name"}
  yield "  " + " ".join(f"{name}={value}" for name, value in settings.items())
  mesh = " ".join(f"{axis}={size}" for axis, size in plan.mesh.items())
  yield f"  mesh: {mesh}"
  yield from _memory_lines(plan)
  if plan.compiled is None:
    return
  yield from _work_lines(plan)
  if plan.roofline is not None and chip is not None:
    yield from _time_lines(plan.roofline, chip.source)
  else:
    yield f"  step time: the peaks of {kind!r} are not known, so not estimated"
  yield (
    f"  compiled in {plan.compiled.compile_seconds:.1f} s, traced in "
    f"{plan.compiled.trace_seconds:.1f} s"
  )


def _memory_lines(plan: Plan) -> Iterator[str]:
  verdict = "fits" if plan.fits else "does NOT fit"
  yield (
    f"  memory: {gib(plan.needed)} of {gib(plan.topology.memory)} a device "
    f"({plan.needed / plan.topology.memory:.0%}): {verdict}"
  )
  if plan.compiled is None:
    yield f"    {plan.message}"
    return
  memory = plan.compiled.memory
  yield (
    f"    arguments {gib(memory.arguments)}, temporaries "
    f"{gib(memory.temporaries)}, outputs {gib(memory.outputs)} "
    f"({gib(memory.reused)} of them in place of arguments)"
  )


def _work_lines(plan: Plan) -> Iterator[str]:
  compiled = plan.compiled
  assert compiled is not None
  needed = compiled.model_flops / len(plan.topology.devices)
  spent = compiled.costs.flops
  yield (
    f"  work: {si(spent, 'FLOP')} a device and step, {si(needed, 'FLOP')} of "
    f"them the model's, the rest recomputed or repeated "
    f"({spent / needed:.2f}x)"
  )
  yield f"  memory traffic: {si(compiled.costs.bytes, 'B')} a device and step"
  if not compiled.costs.traffic:
    yield "  collectives: none"
  for one in compiled.costs.traffic:
    yield (
      f"  {one.kind}: {one.count:.0f} of {si(one.payload, 'B')} in all, over "
      f"groups of {one.group}; {si(one.sent, 'B')} sent by a device"
    )


def _time_lines(roofline: Roofline, source: str) -> Iterator[str]:
  yield (
    f"  step time at best: {seconds(roofline.seconds)}, bound by "
    f"{roofline.bound} (compute {seconds(roofline.compute)}, memory "
    f"{seconds(roofline.memory)}, interconnect "
    f"{seconds(roofline.interconnect)})"
  )
  yield f"  MFU at best: {roofline.mfu:.1%} (peaks: {source})"


def as_json(plan: Plan) -> dict[str, Any]:
  """The plan as an object of plain values; sizes in bytes, times in s."""
  top = plan.topology
  found: dict[str, Any] = {
    "config": plan.config,
    "topology": top.name,
    "device_kind": top.devices[0].device_kind,
    "devices": len(top.devices),
    "mesh": plan.mesh,
    "fits": plan.fits,
    "needed_bytes": plan.needed,
    "capacity_bytes": top.memory,
    "message": plan.message,
  }
  if plan.compiled is not None:
    compiled = plan.compiled
    found["memory"] = dataclasses.asdict(compiled.memory)
    found["flops_per_device"] = compiled.costs.flops
    found["model_flops"] = compiled.model_flops
    found["bytes_per_device"] = compiled.costs.bytes
    found["collectives"] = [
      dataclasses.asdict(one) for one in compiled.costs.traffic
    ]
    found["trace_seconds"] = compiled.trace_seconds
    found["compile_seconds"] = compiled.compile_seconds
  if plan.roofline is not None:
    found["roofline"] = {
      **dataclasses.asdict(plan.roofline),
      "seconds": plan.roofline.seconds,
      "bound": plan.roofline.bound,
    }
  return found
