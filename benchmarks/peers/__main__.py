"""Other systems beside ours: same frozen towers, same splits, same CPU time.

    python -m benchmarks.peers --demo runs/demo --python PYTHON \
      --peer moment_detr=CHECKOUT --peer qd_detr=CHECKOUT \
      --workdir runs/peers [--rates 2e-4 5e-4 1e-3] [--times 1 4] [--record]

Ours is stage 2 of the demo with both towers frozen; its time is that of its
whole command, start and scoring included. A peer trains for as long, at each of
the rates (see detr.py; PYTHON has PyTorch and what it needs), and the rate is
taken that is best on `val`. All are scored by our metric; what is finished is
not run again.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
from typing import Any

from benchmarks import record
from benchmarks.peers import features
from configs import synthetic_mr
from unloc_jax.annotations import pairing
from unloc_jax.annotations.reading import Problems
from unloc_jax.metrics import recall

FIGURES = ("R1@0.5", "R1@0.7")
OURS = "ours"
_MEASURES = ("benchmarks/peers", "configs/synthetic_mr.py", "unloc_jax/models")


def cpu_seconds(command: list[Any]) -> float:
  """Runs a command to its end; the processor time that it took."""

  def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

  before = spent()
  subprocess.run([str(word) for word in command], check=True)
  return spent() - before


def ours(flags: argparse.Namespace, config: Any, times: int) -> dict[str, Any]:
  """Trains our heads; folders of results by split, and the time."""
  workdir = flags.workdir / f"{OURS}_{times}"
  done = workdir / "cpu.json"
  if not done.exists():
    command = [
      *(sys.executable, "-m", "unloc_jax.main"),
      f"--config={synthetic_mr.__file__}",
      f"--config.data.path={config.data.path}",
      f"--config.init.weights={config.init.weights}",
      "--config.model.text_tower.frozen=True",
      f"--config.train.length={config.train.length * times}",
      f"--config.eval.every={config.eval.every * times}",
      f"--config.checkpoint.every={config.checkpoint.every * times}",
      f"--workdir={workdir}",
    ]
    done.write_text(json.dumps({"cpu_seconds": cpu_seconds(command)}))
  return json.loads(done.read_text())


def peer(
  flags: argparse.Namespace,
  name: str,
  checkout: str,
  seconds: float,
  times: int,
) -> pathlib.Path:
  """Trains a peer at every rate; the folder of that best on val."""
  found = {}
  for rate in flags.rates:
    out = flags.workdir / f"{name}_{times}_{rate:g}"
    if not (out / "done.json").exists():
      script = pathlib.Path(__file__).with_name("detr.py")
      cpu_seconds(
        [
          *(flags.python, script, "--checkout", checkout, "--package", name),
          *("--features", flags.workdir / "features", "--out", out),
          *("--cpu_seconds", seconds, "--rate", rate, "--width", flags.width),
          *("--splits", *synthetic_mr.get_config().eval.splits),
        ]
      )
    found[out] = json.loads((out / "done.json").read_text())["val"]
  return max(found, key=lambda out: found[out])


def scored(path: pathlib.Path, truth: pathlib.Path) -> list[str]:
  """Figures of a file of predictions."""
  queries, _ = pairing.read(path, truth, Problems())
  values = recall.evaluate(queries).values
  return [f"{values[name].mean():.1f}" for name in FIGURES]


def compare(flags: argparse.Namespace) -> tuple[list[str], list[list[Any]]]:
  """Header and rows of the table."""
  config = synthetic_mr.get_config().unlock()
  [config.data.path] = map(str, flags.demo.glob("data/anet_captions/*"))
  config.init.weights = str(flags.demo / "seed_0" / "towers" / "weights")
  config = config.lock()
  splits = config.eval.splits[1:]
  folder = flags.workdir / "features"
  if not all((folder / f"{s}.jsonl").exists() for s in config.eval.splits):
    features.write(config, folder)
  rows = []
  for times in flags.times:
    seconds = ours(flags, config, times)["cpu_seconds"]
    results = flags.workdir / f"{OURS}_{times}" / "results"
    files = {OURS: lambda s, at=results: at / s / "predictions.jsonl"}
    for name, checkout in flags.peer:
      best = peer(flags, name, checkout, seconds, times)
      files[name] = lambda s, at=best: features.write_found(
        config, s, at / f"{s}.jsonl"
      )
    for name, file in files.items():
      cells = [
        cell
        for s in splits
        for cell in scored(file(s), results / s / "ground_truth.jsonl")
      ]
      rows.append([f"{seconds:.0f}", name, *cells])
  named = [f"{split} {figure}" for split in splits for figure in FIGURES]
  return ["seconds of CPU", "system", *named], rows


def draw(header: list[str], rows: list[list[Any]], path: pathlib.Path) -> None:
  """Recall against time, a line a system."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5, 3.2), layout="tight")
  axis = figure.subplots()
  for name in dict.fromkeys(row[1] for row in rows):
    mine = [(float(row[0]), float(row[2])) for row in rows if row[1] == name]
    axis.plot(*zip(*mine, strict=True), marker="o", label=name)
  axis.set(xlabel=header[0], ylabel=header[2], ylim=(0, 100))
  axis.legend()
  figure.savefig(path, dpi=120)


def main() -> None:
  """Prints, draws and, if asked to, keeps the comparison."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--demo", required=True, type=pathlib.Path, help="of `make demo`")
  add("--python", required=True, help="that the peers run with")
  add("--peer", action="append", default=[], metavar="PACKAGE=CHECKOUT")
  add("--workdir", required=True, type=pathlib.Path)
  add("--rates", nargs="+", type=float, default=[2e-4, 5e-4, 1e-3])
  add("--times", nargs="+", type=int, default=[1, 4], help="ours, so often")
  add("--width", type=int, default=64, help="of the peers; ours is 64")
  add("--record", action="store_true", help="keep table and plot")
  flags = parser.parse_args()
  flags.peer = [each.split("=", 1) for each in flags.peer]
  flags.workdir.mkdir(parents=True, exist_ok=True)
  header, rows = compare(flags)
  print(record.markdown(header, rows))
  draw(header, rows, flags.workdir / "peers.png")
  if flags.record:
    command = "python -m benchmarks.peers --demo runs/demo --record"
    record.write("peers", command, _MEASURES, header, rows, seeds=[0])
    draw(header, rows, record.ROOT / "docs" / "peers.png")


if __name__ == "__main__":
  main()
