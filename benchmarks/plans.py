"""The table of plans: every benchmark config on pods and GPUs.

  python -m benchmarks.plans [--topologies v5e:16x16,h100:8] [--only coin_as]

Runs `python -m unloc_jax.plan` once per config and topology, minutes of CPU
each, and prints the table of docs/scaling.md. Plans that were made are kept in
--cache and not made again; only those of the same settings count.
"""

import argparse
import datetime
import itertools
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

NAMES = (
  *("anet_mr", "charades_mr", "qvhighlights_mr"),
  *("anet_tal", "coin_as", "kinetics_pretrain"),
)
HEADER = (
  *("config", "devices", "mesh", "memory GiB", "of", "TFLOP", "sent GB"),
  *("step s", "bound by", "MFU", "compile s"),
)


def plan(
  config: str, topology: str, settings: list[str], cache: pathlib.Path
) -> dict[str, Any]:
  """A plan's JSON, made now or before."""
  words = [config, topology, *settings]
  key = "_".join(re.sub("[/:]", "_", word.strip("-")) for word in words)
  out = cache / f"{key}.json"
  if not out.exists():
    name, size = config.split(":")
    done = subprocess.run(
      [
        *(sys.executable, "-m", "unloc_jax.plan", f"--topology={topology}"),
        *(f"--config=configs/{name}.py:{size}", f"--json={out}", *settings),
      ],
      capture_output=True,
      text=True,
      check=False,
    )
    print(done.stdout, file=sys.stderr, flush=True)
    if not out.exists():
      message = done.stderr.strip().splitlines() or ["no plan"]
      return {"error": message[-1]}
  return json.loads(out.read_text())


def row(found: dict[str, Any]) -> list[str]:
  """Cells of a plan, behind its config and devices."""
  if "error" in found:
    return [found["error"]]
  cells = [
    "x".join(map(str, found["mesh"].values())),
    f"{found['needed_bytes'] / 2**30:.1f}",
    f"{found['capacity_bytes'] / 2**30:.0f}",
  ]
  if "roofline" not in found:
    return [*cells, found["message"][:60]]
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
  parser.add_argument("--topologies", default="v5e:16x16,v5p:4x4x4,h100:8")
  parser.add_argument("--only", default="", help="config names, by comma")
  parser.add_argument("--cache", type=pathlib.Path, default="runs/plans")
  args, settings = parser.parse_known_args()
  args.cache.mkdir(parents=True, exist_ok=True)
  wanted = set(filter(None, args.only.split(",")))
  print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
  for topology in args.topologies.split(","):
    for name, size in itertools.product(NAMES, "BL"):
      config = f"{name}:{size}"
      if wanted and not wanted & {config, name}:
        continue
      found = row(plan(config, topology, settings, args.cache))
      cells = [config, topology, *found, *[""] * len(HEADER)][: len(HEADER)]
      print(f"| {' | '.join(cells)} |", flush=True)
  print(f"\n{datetime.date.today()}, {' '.join(settings) or 'as configured'}")


if __name__ == "__main__":
  main()
