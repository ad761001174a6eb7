"""A plan as lines for the terminal."""

from collections.abc import Iterator

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
  settings = {k: v for k, v in plan.config.items() if k != "name"}
  yield (
    f"{plan.config['name']} on {plan.devices} x {plan.device_kind} "
    f"({plan.topology})"
  )
  for title, named in (("", settings), ("mesh: ", plan.mesh)):
    yield f"  {title}" + " ".join(f"{k}={v}" for k, v in named.items())
  needed, there = plan.needed_bytes, plan.capacity_bytes
  yield (
    f"  memory: {gib(needed) if needed else 'more than there is'} of "
    f"{gib(there)} a device ({needed / there:.0%}): "
    f"{'fits' if plan.fits else 'does NOT fit'}"
  )
  if plan.message:
    yield f"    {plan.message}"
  else:
    yield from _compiled_lines(plan)
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
  needed = plan.model_flops / plan.devices
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
  best, kind = plan.roofline, plan.device_kind
  if best is None:
    yield f"  step time: the peaks of {kind!r} are not known, so not estimated"
  else:
    yield (
      f"  step time at best: {seconds(best.seconds)}, bound by {best.bound} "
      f"(compute {seconds(best.compute)}, memory {seconds(best.memory)}, "
      f"interconnect {seconds(best.interconnect)})"
    )
    yield f"  MFU at best: {best.mfu:.1%} (peaks: {best.source})"
  yield (
    f"  compiled in {plan.compile_seconds:.1f} s, traced in "
    f"{plan.trace_seconds:.1f} s"
  )
