"""A train step's time, work, memory and compile time.

  python -m benchmarks.train_step [--steps=5] [--no-scan] [--remat=none]
  python -m benchmarks.train_step --topology v5e:4x4 --frames 128

JAX_OPTIMIZATION_LEVEL=O1 before it compiles faster, for a step that may be
slower; the level is printed.

The work: UnLoc-B/16, moment retrieval, nothing frozen, float32, 224 pixels.
On this machine: 8 frames, one video with one caption a step, stepped, with
layers scanned and their products kept. For a topology: 16 videos over 16
devices, recomputed backward, only compiled.

Nothing is taken from a compilation cache. FLOPs are those of matrix products,
counted in the compiled program with loops as often as they run. What a step is
held against is measured in the same process: matrix products of the step's
own sizes, each for as long as its share of the step's FLOPs, in float32 and in
bfloat16, and copies of an array that no cache holds.
"""

import argparse
import collections
import os
import resource
import statistics
import time
from typing import Any


def work(args: argparse.Namespace) -> Any:
  """The config of the work."""
  from configs import anet_mr

  c = anet_mr.get_config("B").copy_and_resolve_references().unlock()
  c.data.num_frames = args.frames
  c.data.max_queries = 1
  c.train.batch_size = args.batch
  c.model.image_tower.frozen = False
  c.model.image_tower.remat = args.remat
  c.model.scan_layers = args.scan
  c.model.fusion.query_chunk = 0
  return c.lock()


def measure(args: argparse.Namespace) -> None:
  """Compiles the step, runs it where the devices are there, and prints."""
  import jax

  from unloc_jax.costs import counting
  from unloc_jax.parallel import sharding
  from unloc_jax.plan import step_plan, topology

  jax.config.update("jax_enable_compilation_cache", False)
  config = work(args)
  devices = topology.open_topology(args.topology)
  mesh = sharding.run_mesh(config, devices.devices)
  started = time.perf_counter()
  lowered = step_plan.lower(config, mesh, devices)
  lowered_at, cpu = time.perf_counter(), time.process_time()
  compiled = step_plan.compile_for(lowered, devices)
  seconds = time.perf_counter() - lowered_at
  cpu_seconds = time.process_time() - cpu
  counted = counting.count(compiled.as_text(), mesh.size)
  print(
    f"B/16, {args.frames} frames, batch {args.batch}, remat {args.remat}, "
    f"scan {args.scan}, on {args.topology}, optimization "
    f"{os.environ.get('JAX_OPTIMIZATION_LEVEL', 'default')}"
  )
  if devices.local and args.steps:
    seconds_a_step = run(compiled, config, mesh, args.steps)
    print(f"  train step: {seconds_a_step:.4g} s")
    compare(seconds_a_step, counted, products(compiled.as_text()))
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  print(
    f"  a device: {counted.flops / 1e9:.4g} GFLOP a step, memory "
    f"{step_plan.peak(step_plan.memory_of(compiled)) / 1e9:.4g} GB, traffic "
    f"{counted.bytes / 1e9:.4g} GB a step\n"
    f"  compile: {seconds:.1f} s, {cpu_seconds:.1f} s of CPU, after "
    f"{lowered_at - started:.1f} s of tracing; the process held "
    f"{peak / 1e9:.2f} GB at most; load {os.getloadavg()[0]:.1f}"
  )


def products(text: str, most: int = 12) -> dict[tuple[int, int, int], float]:
  """FLOPs by (rows, contracted, columns) of products, those with the most."""
  from unloc_jax.costs import counting

  found: collections.Counter[tuple[int, int, int]] = collections.Counter()
  for sizes, flops in counting.products(text):
    found[sizes] += flops
  return dict(found.most_common(most))


def compare(
  seconds: float, counted: Any, sizes: dict[tuple[int, int, int], float]
) -> None:
  """Prints a step as a share of what this machine can do now."""
  total = sum(sizes.values())
  for dtype in ("float32", "bfloat16"):
    needed = sum(
      flops / product_rate(*size, dtype) for size, flops in sizes.items()
    )
    rate = total / needed
    share = counted.flops / rate / seconds
    print(
      f"  its matrix products alone, {dtype}: {rate / 1e9:.4g} GFLOP/s, "
      f"{counted.flops / rate:.4g} s, {share:.0%} of the step"
    )
  rate = copy_rate()
  print(
    f"  its traffic alone: {rate / 1e9:.4g} GB/s, {counted.bytes / rate:.4g} s"
  )


def product_rate(rows: int, inner: int, columns: int, dtype: str) -> float:
  """FLOP/s of one matrix product, the best of 3."""
  import jax
  import jax.numpy as jnp

  left = jnp.ones((rows, inner), dtype)
  right = jnp.ones((inner, columns), dtype)
  return 2.0 * rows * inner * columns / best(jax.jit(jnp.matmul), left, right)


def copy_rate() -> float:
  """Bytes a second that a copy of 1 GB reads and writes."""
  import jax
  import jax.numpy as jnp

  x = jnp.ones(2**28, jnp.float32)
  return 2.0 * x.nbytes / best(jax.jit(lambda x: x + 1), x)


def best(function: Any, *arguments: Any) -> float:
  """Seconds of a call, the best of 3 after one to warm up."""
  import jax

  times = []
  for _ in range(4):
    started = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    times.append(time.perf_counter() - started)
  return min(times[1:])


def run(compiled: Any, config: Any, mesh: Any, steps: int) -> float:
  """Median seconds of a step on random frames, after one to warm up."""
  import jax
  import numpy as np

  from unloc_jax.data.batch import batch_spec
  from unloc_jax.parallel import sharding
  from unloc_jax.training import loop, state

  parts = state.Parts.from_config(config)
  unit, total = loop.run_length(config, config.train.num_videos)
  optimizer = loop.make_optimizer(parts, total, unit)
  carried = state.init_state(parts, optimizer, mesh)
  rng = np.random.default_rng(0)
  batch = jax.tree.map(
    lambda x: rng.integers(0, 2, x.shape).astype(x.dtype),
    batch_spec(config, config.train.batch_size),
  )
  size = batch["streams"]["frames"].shape
  batch["streams"]["frames"] = rng.integers(0, 256, size, dtype=np.uint8)
  batch["text_ids"][...] = 49407
  sharded = sharding.shard_batch(batch, mesh)
  times = []
  for _ in range(steps + 1):
    started = time.perf_counter()
    carried, metrics = compiled(carried, sharded, None)
    jax.block_until_ready((carried, metrics))
    times.append(time.perf_counter() - started)
  return statistics.median(times[1:])


def main() -> None:
  """Measures what the command line asks for."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--topology", default="local")
  parser.add_argument("--frames", type=int, help="8 here, else 128")
  parser.add_argument("--batch", type=int, help="1 here, else 16")
  parser.add_argument("--steps", type=int, default=5, help="0: only compiled")
  parser.add_argument("--remat", choices=("none", "dots", "full"))
  parser.add_argument(
    "--scan", action=argparse.BooleanOptionalAction, default=True
  )
  args = parser.parse_args()
  local = args.topology == "local"
  args.frames = args.frames or (8 if local else 128)
  args.batch = args.batch or (1 if local else 16)
  args.remat = args.remat or ("dots" if local else "full")
  from unloc_jax.plan import topology

  topology.check_name(args.topology)
  topology.prepare(args.topology)
  measure(args)


if __name__ == "__main__":
  main()
