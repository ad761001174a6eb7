"""A train step's time, work, memory and compile time.

  python -m benchmarks.train_step [--steps=5] [--remat=none]
  python -m benchmarks.train_step --bfloat16 --reference SCENIC --record

JAX_OPTIMIZATION_LEVEL=O1 before it compiles faster, for a step that may be
slower; the level is printed.

The work: UnLoc-B/16, moment retrieval, nothing frozen, float32, 8 frames of 224
pixels, one video with one caption, layers scanned and their products kept.

--bfloat16 and --reference add columns: products in bfloat16, and the reference
implementation of a checkout of google-research/scenic. Each has a process of
its own; they step in turns. Memory is what arrays and temporaries need, and
what the process held at most, less what it held once all was imported.

Nothing is taken from a compilation cache. FLOPs are those of matrix products,
counted in the compiled program with loops as often as they run. What a step is
held against is measured in the same minutes: matrix products of the step's
own sizes, each for as long as its share of the step's FLOPs, in float32 and in
bfloat16, and copies of an array that no cache holds.
"""

import argparse
import collections
import functools
import multiprocessing
import os
import resource
import statistics
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import psutil

from benchmarks import clock, record, reference
from configs import anet_mr
from unloc_jax.costs import counting
from unloc_jax.data.batch import batch_spec
from unloc_jax.parallel import sharding
from unloc_jax.plan import step_plan, topology
from unloc_jax.training import loop, state

FRAMES, VIDEOS = 8, 1
REFERENCE = "reference"
BFLOAT16 = "ours, bfloat16"
_MEASURES = (
  "unloc_jax/models",
  "unloc_jax/training",
  "benchmarks/reference.py",
)


def work(remat: str, dtype: str) -> ml_collections.ConfigDict:
  """The config of the work."""
  c = anet_mr.get_config("B").copy_and_resolve_references().unlock()
  c.data.num_frames = FRAMES
  c.data.max_queries = 1
  c.train.batch_size = VIDEOS
  c.model.dtype = dtype
  c.model.image_tower.frozen = False
  c.model.image_tower.remat = remat
  c.model.scan_layers = True
  c.model.fusion.query_chunk = 0
  return c.lock()


def make(remat: str, dtype: str) -> tuple[Any, Any]:
  """Traces our step; its `compile`, and what makes a step of the program."""
  config = work(remat, dtype)
  devices = topology.open_topology("local")
  mesh = sharding.run_mesh(config, devices.devices)
  lowered = step_plan.lower(config, mesh, devices)
  compile_it = functools.partial(step_plan.compile_for, lowered, devices)
  return compile_it, lambda compiled: start(compiled, config, mesh)


def start(compiled: Any, config: Any, mesh: Any) -> Callable[[], None]:
  """A step on random streams."""
  parts = state.Parts.from_config(config)
  unit, total = loop.run_length(config, config.train.num_videos)
  optimizer = loop.make_optimizer(parts, total, unit)
  carried = [state.init_state(parts, optimizer, mesh)]
  rng = np.random.default_rng(0)
  batch = jax.tree.map(
    lambda x: rng.integers(0, 2, x.shape).astype(x.dtype),
    batch_spec(config, config.train.batch_size),
  )
  if "frames" in batch["streams"]:
    size = batch["streams"]["frames"].shape
    batch["streams"]["frames"] = rng.integers(0, 256, size, dtype=np.uint8)
  shape = step_plan.prompt_shape(config)
  prompts = shape and np.zeros(shape.shape, shape.dtype)
  for texts in (batch.get("text_ids"), prompts):
    if texts is not None:
      texts[...] = config.model.text_tower.vocab_size - 1
  sharded = sharding.shard_batch(batch, mesh)

  def run() -> None:
    carried[0], metrics = compiled(carried[0], sharded, prompts)
    jax.block_until_ready((carried, metrics))

  return run


def serve(pipe: Connection, side: str, args: argparse.Namespace) -> None:
  """Of a process: compiles a side's step, runs it when told, says its peak."""
  jax.config.update("jax_enable_compilation_cache", False)
  try:
    if side == REFERENCE:
      made = reference.make(args.reference, FRAMES, VIDEOS)
    else:
      made = make(args.remat, "bfloat16" if side == BFLOAT16 else "float32")
  except Exception as error:  # Of another project's code, anything.
    said = " ".join(str(error).split())
    pipe.send(f"{side}: {type(error).__name__}: {said}")
    return
  compile_it, begin = made
  before = psutil.Process().memory_info().rss
  compiled, seconds = clock.timed(compile_it)
  text = compiled.as_text()
  facts = {
    "compile": seconds,
    "costs": counting.count(text, 1),
    "memory": step_plan.peak(step_plan.memory_of(compiled)),
    "products": products(text),
  }
  run = begin(compiled)
  pipe.send(facts)
  while pipe.recv():
    pipe.send(clock.timed(run)[1][0])
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  pipe.send(peak - before)


def measure(args: argparse.Namespace, sides: list[str]) -> dict[str, Any]:
  """Facts of every side, with the seconds of its steps, taken in turns."""
  context = multiprocessing.get_context("spawn")
  pipes: dict[str, Connection] = {}
  found: dict[str, Any] = {}
  for side in sides:  # One compiles at a time.
    pipes[side], theirs = context.Pipe()
    context.Process(
      target=serve, args=(theirs, side, args), daemon=True
    ).start()
    theirs.close()
    found[side] = pipes[side].recv()
    if isinstance(found[side], str):
      for process in multiprocessing.active_children():
        process.kill()
      sys.exit(f"error: {found[side]}")
  times: dict[str, list[float]] = {side: [] for side in sides}
  for _ in range(args.steps + 1):  # The first warms up.
    for side, pipe in pipes.items():
      pipe.send(True)
      times[side].append(pipe.recv())
  for side, pipe in pipes.items():
    pipe.send(False)
    found[side] |= {"steps": times[side][1:], "process": pipe.recv()}
  return found


def table(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
  """Header and rows: what was measured, of every side."""
  header = ["", *found]
  if REFERENCE in found:
    header.append("ours / reference")

  def row(name: str, value: Callable[[Any], float]) -> list[str]:
    values = {side: value(facts) for side, facts in found.items()}
    cells = [name, *(f"{each:.3g}" for each in values.values())]
    if REFERENCE in found:
      cells.append(f"{values['ours'] / values[REFERENCE]:.2f}x")
    return cells

  rows = [
    row("step s, median", lambda f: statistics.median(f["steps"])),
    row("step s, least", lambda f: min(f["steps"])),
    row("step s, most", lambda f: max(f["steps"])),
    row("compile s", lambda f: f["compile"][0]),
    row("compile, s of CPU", lambda f: f["compile"][1]),
    row("arrays and temporaries GB", lambda f: f["memory"] / 1e9),
    row("process GB", lambda f: f["process"] / 1e9),
    row("products, GFLOP a step", lambda f: f["costs"].flops / 1e9),
    row("traffic, GB a step", lambda f: f["costs"].bytes / 1e9),
  ]
  return header, rows


def products(text: str, most: int = 12) -> dict[tuple[int, int, int], float]:
  """FLOPs by (rows, contracted, columns) of products, those with the most."""
  found: collections.Counter[tuple[int, int, int]] = collections.Counter()
  for sizes, flops in counting.products(text):
    found[sizes] += flops
  return dict(found.most_common(most))


def compare(facts: dict[str, Any]) -> None:
  """Prints a step as a share of what this machine can do now."""
  seconds, counted = statistics.median(facts["steps"]), facts["costs"]
  sizes = facts["products"]
  total = sum(sizes.values())
  for dtype in ("float32", "bfloat16"):
    needed = sum(
      flops / product_rate(*size, dtype) for size, flops in sizes.items()
    )
    rate = total / needed
    share = counted.flops / rate / seconds
    print(
      f"its matrix products alone, {dtype}: {rate / 1e9:.4g} GFLOP/s, "
      f"{counted.flops / rate:.4g} s, {share:.0%} of the step"
    )
  rate = copy_rate()
  print(
    f"its traffic alone: {rate / 1e9:.4g} GB/s, {counted.bytes / rate:.4g} s"
  )


def product_rate(rows: int, inner: int, columns: int, dtype: str) -> float:
  """FLOP/s of one matrix product, the best of 3."""
  left = jnp.ones((rows, inner), dtype)
  right = jnp.ones((inner, columns), dtype)
  return 2.0 * rows * inner * columns / best(jax.jit(jnp.matmul), left, right)


def copy_rate() -> float:
  """Bytes a second that a copy of 1 GB reads and writes."""
  x = jnp.ones(2**28, jnp.float32)
  return 2.0 * x.nbytes / best(jax.jit(lambda x: x + 1), x)


def best(function: Any, *arguments: Any) -> float:
  """Seconds of a call, the best of 3 after one to warm up."""
  taken = clock.in_turns(
    [lambda: jax.block_until_ready(function(*arguments))], 4
  )
  return float(taken[0, 1:, 0].min())


def main() -> None:
  """Measures what the command line asks for."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--steps", type=int, default=5)
  remats = ("none", "dots", "full")
  parser.add_argument("--remat", default="dots", choices=remats)
  parser.add_argument("--bfloat16", action="store_true")
  parser.add_argument("--reference", help="a checkout of Scenic")
  parser.add_argument("--record", action="store_true", help="keep the table")
  args = parser.parse_args()
  sides = ["ours"] + [BFLOAT16] * args.bfloat16
  found = measure(args, sides + [REFERENCE] * bool(args.reference))
  header, rows = table(found)
  print(
    f"B/16, {FRAMES} frames, remat {args.remat}, optimization "
    f"{os.environ.get('JAX_OPTIMIZATION_LEVEL', 'default')}, load "
    f"{os.getloadavg()[0]:.1f}\n\n{record.markdown(header, rows)}\n"
  )
  compare(found["ours"])
  if args.record:
    command = "python -m benchmarks.train_step --bfloat16 --reference SCENIC"
    record.write("train_step", command, _MEASURES, header, rows)


if __name__ == "__main__":
  main()
