"""How fast a run is, and what it waits for: figures beside the losses."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from unloc_jax.costs import counting
from unloc_jax.costs.chips import chip_of_kind

_SIDE = 1024


class Meter:
  """Runs steps and measures them, from log line to log line.

  Args:
    step: The jitted step, whose FLOPs are counted.
    batch_size: Videos of a step.
    dtype: `model.dtype`.
  """

  def __init__(self, step: Any, batch_size: int, dtype: str):
    self._step, self._batch_size = step, batch_size
    self._compiled: Any = None
    self._peak = peak_flops(dtype)
    self._flops = 0.0
    self._steps = 0
    self._waited = 0.0
    self._since = 0.0

  def step(self, *arguments: Any) -> Any:
    """What the step returns; the first call compiles it."""
    if self._compiled is None:
      self._compiled = self._step.lower(*arguments).compile()
      # Reading a large program takes longer than its first steps.
      threading.Thread(target=self._count, daemon=True).start()
    return self._compiled(*arguments)

  def _count(self) -> None:
    text = self._compiled.as_text() or ""
    self._flops = counting.count(text, jax.device_count()).flops

  def waiting(self, batches: Iterator[Any]) -> Any:
    """The next batch; the time until it is there counts as waiting."""
    began = time.perf_counter()
    batch = next(batches)
    self._waited += time.perf_counter() - began
    self._steps += 1
    return batch

  def figures(self) -> dict[str, float]:
    """Since the last call; to be called once a step's figures are there."""
    now = time.perf_counter()
    steps, seconds, waited = self._steps, now - self._since, self._waited
    began, self._since = self._since, now
    self._steps, self._waited = 0, 0.0
    found = {"memory_gib": _memory() / 2**30}
    if not began:
      return found  # The first step was compiled meanwhile.
    found["steps_per_second"] = steps / seconds
    found["videos_per_second"] = steps * self._batch_size / seconds
    found["waiting_for_input"] = waited / seconds
    if self._flops and self._peak:
      found["mfu"] = steps * self._flops / seconds / self._peak
    return found


def peak_flops(dtype: str) -> float:
  """Of a device, FLOP/s: published or, of a CPU, measured; else 0."""
  device = jax.local_devices()[0]
  chip = chip_of_kind(device.device_kind)
  if chip is not None:
    return chip.peak_flops(dtype)
  if device.platform != "cpu":
    return 0.0
  x = jnp.ones((_SIDE, _SIDE), dtype)
  multiply = jax.jit(jnp.matmul).lower(x, x).compile()
  seconds = []
  for _ in range(5):
    began = time.perf_counter()
    jax.block_until_ready(multiply(x, x))
    seconds.append(time.perf_counter() - began)
  return 2 * _SIDE**3 / min(seconds) / jax.local_device_count()


def _memory() -> float:
  """Most bytes that a device, or a process on CPU, has held."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in stats:
    return float(stats["peak_bytes_in_use"])
  unit = 1 if sys.platform == "darwin" else 1024
  return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
