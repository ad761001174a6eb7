"""A train step's time, work, memory and compile time, beside the reference's.

  python -m benchmarks.train_step [--steps=5] [--no-scan] [--remat=none]
  python -m benchmarks.train_step --topology v5e:4x4 --frames 128

JAX_OPTIMIZATION_LEVEL=O1 before it compiles faster, for a step that may be
slower; the level is printed.

The work: UnLoc-B/16, moment retrieval, nothing frozen, float32, 224 pixels.
On this machine: 8 frames, one video with one caption a step, stepped, with
layers scanned and their products kept. For a topology: 16 videos over 16
devices, recomputed backward, only compiled. The reference (Scenic's UnLoc) did
the same work with the same JAX on a machine of this kind: 2 CPU cores.

Nothing is taken from a compilation cache. FLOPs are those of matrix products,
counted in the compiled program with loops as often as they run.
"""

import argparse
import os
import resource
import statistics
import time

# Per (topology, frames): seconds a step, FLOPs, bytes, seconds to compile.
REFERENCE = {
  ("local", 8): (9.5, 847e9, 5.6e9, 31.0),
  ("v5e:4x4", 128): (None, 16.8e12, 13.2e9, 348.0),
  ("v5e:4x4", 32): (None, 4.2e12, 3.6e9, 189.0),
}
# Of the reference's figures at most these shares.
TARGETS = {
  "local": (0.75, 1.0, 0.7, 0.3),
  "v5e:4x4": (None, 1.0, 0.6, 0.15),
}


def work(args: argparse.Namespace):
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


def measure(args: argparse.Namespace) -> dict[str, float | None]:
  """Compiles the step, and runs it where the devices are there."""
  import jax

  from unloc_jax.parallel import sharding
  from unloc_jax.plan import costs, step_plan, topology

  jax.config.update("jax_enable_compilation_cache", False)
  config = work(args)
  devices = topology.open_topology(args.topology)
  mesh = sharding.run_mesh(config, devices.devices)
  started = time.perf_counter()
  lowered = step_plan.lower_for(step_plan.trace(config, mesh), devices)
  lowered_at, cpu = time.perf_counter(), time.process_time()
  compiled = step_plan.compile_for(lowered, devices)
  seconds = time.perf_counter() - lowered_at
  cpu_seconds = time.process_time() - cpu
  memory = step_plan.memory_of(compiled)
  counted = costs.count(compiled.as_text(), mesh.size)
  found: dict[str, float | None] = {
    "trace": lowered_at - started,
    "compile": seconds,
    "compile_cpu": cpu_seconds,
    "memory": memory.peak,
    "flops": counted.flops,
    "traffic": counted.bytes,
    "step": None,
  }
  if devices.local and args.steps:
    found["step"] = run(compiled, config, mesh, args.steps)
  return found


def run(compiled, config, mesh, steps: int) -> float:
  """Median seconds of a step on random frames, after one to warm up."""
  import jax
  import numpy as np

  from unloc_jax.data.batch import batch_spec
  from unloc_jax.parallel import sharding
  from unloc_jax.training import loop as train
  from unloc_jax.training import state

  parts = state.Parts.from_config(config)
  unit, total = train.run_length(config, config.train.num_videos)
  optimizer = train.make_optimizer(parts, total, unit)
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


def show(args: argparse.Namespace, found: dict[str, float | None]) -> None:
  """A line per figure, ours beside the reference's."""
  key = args.topology, args.frames
  reference = REFERENCE.get(key, (None,) * 4)
  targets = TARGETS.get(args.topology, (None,) * 4)
  level = os.environ.get("JAX_OPTIMIZATION_LEVEL", "default")
  print(
    f"B/16, {args.frames} frames, batch {args.batch}, remat {args.remat}, "
    f"scan {args.scan}, on {args.topology}, optimization {level}"
  )
  rows = (
    ("train step", "step", 1, "s"),
    ("work a device", "flops", 1e9, "GFLOP"),
    ("memory a device", "memory", 1e9, "GB"),
    ("compile", "compile", 1, "s"),
  )
  for (name, entry, unit, text), theirs, target in zip(
    rows, reference, targets, strict=True
  ):
    ours = found[entry]
    if ours is None:
      continue
    line = f"  {name}: {ours / unit:.4g} {text}"
    if theirs:
      line += f"; reference {theirs / unit:.4g}, ratio {ours / theirs:.2f}"
    if theirs and target:
      line += f" (target {target})"
    print(line)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  print(
    f"  memory traffic a device and step: {found['traffic'] / 1e9:.4g} GB\n"
    f"  before it: traced and lowered in {found['trace']:.1f} s; compiling "
    f"took {found['compile_cpu']:.1f} s of CPU; the process held "
    f"{peak / 1e9:.2f} GB at most; load {os.getloadavg()[0]:.1f}"
  )


def parse() -> argparse.Namespace:
  """The command line."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--topology", default="local")
  parser.add_argument("--frames", type=int)
  parser.add_argument("--batch", type=int)
  parser.add_argument("--steps", type=int, default=5, help="0: only compiled")
  parser.add_argument("--remat", choices=("none", "dots", "full"))
  parser.add_argument("--scan", action=argparse.BooleanOptionalAction)
  args = parser.parse_args()
  local = args.topology == "local"
  defaults = {
    "frames": 8 if local else 128,
    "batch": 1 if local else 16,
    "remat": "dots" if local else "full",
    "scan": True,
  }
  for name, value in defaults.items():
    if getattr(args, name) is None:
      setattr(args, name, value)
  return args


def main() -> None:
  args = parse()
  from unloc_jax.plan import topology

  topology.check_name(args.topology)
  topology.prepare(args.topology)
  show(args, measure(args))


if __name__ == "__main__":
  main()
