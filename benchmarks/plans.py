"""The table of plans: every benchmark config on pods and GPUs.

  python -m benchmarks.plans [--topologies v5e:16x16,h100:8] [--only coin_as]

Runs `python -m unloc_jax.plan` once per config and topology, minutes of CPU
each, and prints the table of docs/scaling.md. Plans that were made are kept in
--cache and not made again; only those of the same settings count.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
from typing import Any

CONFIGS = tuple(
  (name, size)
  for name in (
    *("anet_mr", "charades_mr", "qvhighlights_mr"),
    *("anet_tal", "coin_as", "kinetics_pretrain"),
  )
  for size in "BL"
)
TOPOLOGIES = ("v5e:16x16", "v5p:4x4x4", "h100:8")
HEADER = (
  *("config", "devices", "mesh", "memory GiB", "of", "TFLOP", "sent GB"),
  *("step s", "bound by", "MFU", "compile s"),
)


def plan(
  name: str, size: str, topology: str, settings: list[str], cache: pathlib.Path
) -> dict[str, Any]:
  """A plan's JSON, made now or before."""
  words = [name, size, topology, *settings]
  key = "_".join(w.strip("-").replace("/", "-") for w in words)
  out = cache / f"{key.replace(':', '_')}.json"
  if not out.exists():
    flags = [
      f"--config=configs/{name}.py:{size}",
      f"--topology={topology}",
      f"--json={out}",
    ]
    command = [sys.executable, "-m", "unloc_jax.plan", *flags, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, file=sys.stderr, flush=True)
    if not out.exists():
      message = done.stderr.strip().splitlines() or ["no plan"]
      return {"error": message[-1]}
  return json.loads(out.read_text())


def row(
  name: str, size: str, topology: str, found: dict[str, Any]
) -> list[str]:
  """Cells of the table."""
  label = [f"{name}:{size}"]
  if "error" in found:
    return [*label, topology, found["error"], *[""] * (len(HEADER) - 3)]
  mesh = "x".join(str(n) for n in found["mesh"].values())
  cells = [
    *label,
    topology,
    mesh,
    f"{found['needed_bytes'] / 2**30:.1f}",
    f"{found['capacity_bytes'] / 2**30:.0f}",
  ]
  if "roofline" not in found:
    return [*cells, found["message"][:60], *[""] * (len(HEADER) - 6)]
  sent = sum(one["sent"] for one in found["collectives"])
  best = found["roofline"]
  return [
    *cells,
    f"{found['flops_per_device'] / 1e12:.2f}",
    f"{sent / 1e9:.2f}",
    f"{best['seconds']:.3f}",
    best["bound"],
    f"{best['mfu']:.0%}",
    f"{found['compile_seconds']:.0f}",
  ]


def main() -> None:
  """Prints the table, a row a plan."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--topologies", default=",".join(TOPOLOGIES))
  parser.add_argument("--only", default="", help="config names, by comma")
  parser.add_argument("--cache", type=pathlib.Path, default="runs/plans")
  args, settings = parser.parse_known_args()
  args.cache.mkdir(parents=True, exist_ok=True)
  wanted = set(filter(None, args.only.split(",")))
  print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
  for topology in args.topologies.split(","):
    for name, size in CONFIGS:
      if wanted and not wanted & {name, f"{name}:{size}"}:
        continue
      found = plan(name, size, topology, settings, args.cache)
      cells = row(name, size, topology, found)
      print(f"| {' | '.join(cells)} |", flush=True)
  print(f"\n{datetime.date.today()}, {' '.join(settings) or 'as configured'}")


if __name__ == "__main__":
  main()
