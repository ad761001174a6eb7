"""A plan as lines for the terminal, and as a JSON object."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from unloc_jax.plan.step_plan import StepPlan

_UNITS = ("", "k", "M", "G", "T", "P", "E")
_SAVING = (
  "  to need less: model.fusion.query_chunk, remat, mesh.fsdp, "
  "train.accumulate, model.dtype=bfloat16, or more devices (docs/scaling.md)"
)


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


def lines(plan: StepPlan) -> Iterator[str]:
  """The plan for a terminal."""
  top = plan.topology
  kind = top.devices[0].device_kind
  yield f"{plan.config['name']} on {len(top.devices)} x {kind} ({top.name})"
  settings = {k: v for k, v in plan.config.items() if k != "name"}
  for named in (settings, plan.mesh):
    title = "mesh: " if named is plan.mesh else ""
    yield f"  {title}" + " ".join(f"{k}={v}" for k, v in named.items())
  verdict = "fits" if plan.fits else "does NOT fit"
  yield (
    f"  memory: {gib(plan.needed) if plan.needed else 'more than there is'} of "
    f"{gib(top.memory)} a device ({plan.needed / top.memory:.0%}): {verdict}"
  )
  if plan.message:
    yield f"    {plan.message}"
  else:
    yield from _compiled_lines(plan)
    yield from _time_lines(plan, kind)
    yield (
      f"  compiled in {plan.compile_seconds:.1f} s, traced in "
      f"{plan.trace_seconds:.1f} s"
    )
  if not plan.fits:
    yield _SAVING


def _compiled_lines(plan: StepPlan) -> Iterator[str]:
  size = {name: gib(count) for name, count in plan.memory.items()}
  yield (
    f"    arguments {size['arguments']}, temporaries {size['temporaries']}, "
    f"outputs {size['outputs']} ({size['reused']} of them in place of "
    "arguments)"
  )
  spent = plan.flops_per_device
  needed = plan.model_flops / len(plan.topology.devices)
  yield (
    f"  work: {si(spent, 'FLOP')} a device and step, {si(needed, 'FLOP')} of "
    f"them the model's, the rest recomputed or repeated "
    f"({spent / needed:.2f}x)"
  )
  moved = si(plan.bytes_per_device, "B")
  yield f"  memory traffic: {moved} a device and step"
  if not plan.collectives:
    yield "  collectives: none"
  for one in plan.collectives:
    yield (
      f"  {one.kind}: {one.count:.0f} of {si(one.payload, 'B')} in all, over "
      f"groups of {one.group}; {si(one.sent, 'B')} sent by a device"
    )


def _time_lines(plan: StepPlan, kind: str) -> Iterator[str]:
  best, chip = plan.roofline, plan.topology.chip
  if best is None or chip is None:
    yield f"  step time: the peaks of {kind!r} are not known, so not estimated"
    return
  yield (
    f"  step time at best: {seconds(best.seconds)}, bound by {best.bound} "
    f"(compute {seconds(best.compute)}, memory {seconds(best.memory)}, "
    f"interconnect {seconds(best.interconnect)})"
  )
  yield f"  MFU at best: {best.mfu:.1%} (peaks: {chip.source})"


def as_json(plan: StepPlan) -> dict[str, Any]:
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
  if not plan.message:
    found |= {
      "memory": plan.memory,
      "flops_per_device": plan.flops_per_device,
      "model_flops": plan.model_flops,
      "bytes_per_device": plan.bytes_per_device,
      "collectives": [dataclasses.asdict(one) for one in plan.collectives],
      "trace_seconds": plan.trace_seconds,
      "compile_seconds": plan.compile_seconds,
    }
  if plan.roofline is not None:
    found["roofline"] = dataclasses.asdict(plan.roofline)
  return found
