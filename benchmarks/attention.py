"""Time and memory of attention against length, whole and in blocks.

    python -m benchmarks.attention [--out attention.png] [--record]

Forward and gradient of 8 sequences with 8 heads of width 64, float32, on this
machine. Prints a table and draws it. Seconds are medians; a whole score matrix
past --most MB is compiled, for its memory, and not run.
"""

import argparse
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks import record
from unloc_jax.models import blocks

LENGTHS = (256, 512, 1024, 2048, 4096)
ROWS, HEADS, WIDTH = 8, 8, 64


def whole(*parts: jax.Array) -> jax.Array:
  """The plain form: the score matrix, its softmax, a product."""
  query, key, value = parts
  scores = jnp.einsum("bqhd,bkhd->bhqk", query, key).astype(jnp.float32)
  weights = jax.nn.softmax(scores).astype(value.dtype)
  return jnp.einsum("bhqk,bkhd->bqhd", weights, value)


def in_blocks(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
  """The same of `blocks`, whatever the size."""
  sums, total, _ = blocks.sums(query, key, value, None)
  return jnp.swapaxes(sums / total, 1, 2)


FORMS = {"whole": whole, "blocks": in_blocks}


def measure(
  form: str, length: int, steps: int, most: float
) -> tuple[float | None, float]:
  """Seconds (None where not run) and MB of temporaries."""
  shape = (ROWS, length, HEADS, WIDTH)
  keys = jax.random.split(jax.random.key(0), 3)
  parts = [jax.random.normal(key, shape) / 8 for key in keys]
  run = jax.grad(lambda *x: jnp.sum(jnp.sin(FORMS[form](*x))), (0, 1, 2))
  compiled = jax.jit(run).lower(*parts).compile()
  memory = compiled.memory_analysis().temp_size_in_bytes / 1e6
  if memory > most:
    return None, memory
  times = []
  for _ in range(steps + 1):
    started = time.perf_counter()
    jax.block_until_ready(compiled(*parts))
    times.append(time.perf_counter() - started)
  return statistics.median(times[1:]), memory


def draw(found: dict[str, list[tuple[float | None, float]]], out: str) -> None:
  """Two plots, seconds and MB, with logarithmic axes."""
  _, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
  for axis, label, place in zip(axes, ("seconds", "MB"), (0, 1), strict=True):
    for form, rows in found.items():
      axis.loglog(LENGTHS, [row[place] for row in rows], "o-", label=form)
    axis.set(xlabel="positions T", ylabel=label)
    axis.set_xticks(LENGTHS, map(str, LENGTHS))
    axis.minorticks_off()
    axis.legend()
  pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
  plt.savefig(out, dpi=150)


def main() -> None:
  """Prints the table and draws it."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--steps", type=int, default=5)
  parser.add_argument("--most", type=float, default=4000.0, help="MB")
  parser.add_argument("--out", default="runs/attention.png")
  parser.add_argument("--record", action="store_true", help="keep the table")
  args = parser.parse_args()
  found: dict[str, list[tuple[float | None, float]]] = {f: [] for f in FORMS}
  header = ("T", "whole s", "whole MB", "blocks s", "blocks MB")
  table = []
  for length in LENGTHS:
    for form, rows in found.items():
      rows.append(measure(form, length, args.steps, args.most))
    cells = [
      cell
      for (seconds, memory) in (rows[-1] for rows in found.values())
      for cell in (f"{seconds:.3f}" if seconds else "-", f"{memory:.0f}")
    ]
    table.append((str(length), *cells))
  print(record.markdown(header, table))
  draw(found, args.out)
  print(f"{jax.devices()[0].device_kind}; drawn in {args.out}")
  if args.record:
    draw(found, str(record.ROOT / "docs" / "attention.png"))
    command = "python -m benchmarks.attention --record"
    code = ["unloc_jax/models/blocks.py", "benchmarks/attention.py"]
    record.write("attention", command, code, header, table)


if __name__ == "__main__":
  main()
