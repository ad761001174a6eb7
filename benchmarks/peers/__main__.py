"""Other systems beside ours: same frozen towers, same splits, same CPU time.

    python -m benchmarks.peers --task retrieval --data DATA --weights TOWERS \
      --python PYTHON --peer moment_detr=CHECKOUT --peer qd_detr=CHECKOUT \
      --workdir runs/peers [--rates 2e-4 5e-4 1e-3] [--times 1 4] [--record]

`--task localization` sets ActionFormer beside ours. Ours is stage 2 of the demo
with both towers frozen; its time is that of its whole command, start and
scoring included. A peer trains for as long, at each of the rates (detr.py,
actionformer.py; PYTHON has PyTorch and what it needs), and the rate is taken
that is best on the first split; longer runs are at the rate that the shortest
chose. All are scored by our metric; what is finished in WORKDIR/TASK is not run
again. One core each, so that no thread waits at a system's cost:
`taskset -c 0 python -m ...` on Linux.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
from typing import Any

from benchmarks import record
from benchmarks.peers import localization, retrieval
from configs import synthetic_mr, synthetic_tal
from unloc_jax import files

OURS = "ours"
# By task: its config, what is written, read and scored, and who runs the peers.
TASKS = {
  "retrieval": (synthetic_mr, retrieval, "detr"),
  "localization": (synthetic_tal, localization, "actionformer"),
}


def cpu_seconds(command: list[Any]) -> float:
  """Runs a command to its end; the processor time that it took."""

  def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

  before = spent()
  words = [str(word) for word in command]
  status = subprocess.run(words, check=False, cwd=record.ROOT).returncode
  if status:
    sys.exit(f"error: ended with status {status}: {' '.join(words)}")
  return spent() - before


def ours(flags: argparse.Namespace, config: Any, times: int) -> float:
  """Trains our heads; the time that it took."""
  workdir = flags.workdir / f"{OURS}_{times}"
  done = workdir / "cpu.json"
  if not done.exists():
    # What went on from a checkpoint would only have the time of its rest.
    shutil.rmtree(workdir, ignore_errors=True)
    source, _, _ = TASKS[flags.task]
    command = [
      *(sys.executable, "-m", "unloc_jax.main"),
      f"--config={source.__file__}",
      f"--config.data.path={config.data.path}",
      f"--config.init.weights={config.init.weights}",
      "--config.model.text_tower.frozen=True",
      f"--config.train.length={config.train.length * times}",
      f"--config.eval.every={config.eval.every * times}",
      f"--config.checkpoint.every={config.checkpoint.every * times}",
      f"--workdir={workdir}",
    ]
    files.write_json(done, {"cpu_seconds": cpu_seconds(command)})
  return float(json.loads(done.read_text())["cpu_seconds"])


def peer(
  flags: argparse.Namespace, config: Any, folder: str, rate: float, seconds: Any
) -> float:
  """Trains a peer at a rate; how good it is on the first split."""
  out = flags.workdir / f"{folder}_{rate:g}"
  if not (out / "done.json").exists():
    _, _, driver = TASKS[flags.task]
    name = folder.rsplit("_", 1)[0]
    cpu_seconds(
      [
        *(flags.python, "-m", f"benchmarks.peers.{driver}"),
        *("--checkout", flags.peer[name], "--out", out, "--rate", rate),
        *("--features", flags.workdir / "features", "--width", flags.width),
        *("--cpu_seconds", seconds, "--splits", *config.eval.splits),
      ]
    )
  return float(json.loads((out / "done.json").read_text())["val"])


def claim(flags: argparse.Namespace) -> None:
  """Keeps what a folder's runs are of; ends where it holds others."""
  names = ("data", "weights", "width", "rates")
  mine = {name: getattr(flags, name) for name in names}
  path = flags.workdir / "about.json"
  if path.exists() and (kept := json.loads(path.read_text())) != mine:
    sys.exit(f"error: {flags.workdir} holds runs of {kept}; take another")
  files.write_json(path, mine)


def compare(flags: argparse.Namespace) -> tuple[list[str], list[list[Any]]]:
  """Header and rows of the table."""
  source, kind, _ = TASKS[flags.task]
  config = source.get_config().unlock()
  config.data.path, config.init.weights = flags.data, flags.weights
  config = config.lock()
  splits = config.eval.splits[1:]
  features = flags.workdir / "features"
  if not (features / "done").exists():
    kind.write(config, features)
    (features / "done").touch()
  rows = []
  rates = dict.fromkeys(flags.peer, flags.rates)
  for times in sorted(flags.times):
    seconds = ours(flags, config, times)
    results = flags.workdir / f"{OURS}_{times}" / "results"
    for name in (OURS, *flags.peer):
      folder, shown = f"{name}_{times}", name
      if name != OURS:
        good = {
          rate: peer(flags, config, folder, rate, seconds)
          for rate in rates[name]
        }
        best = max(good, key=lambda rate: good[rate])
        rates[name], shown = [best], f"{name}, rate {best:g}"
        folder = f"{folder}_{best:g}"
      row = [f"{seconds:.0f}", shown]
      for split in splits:
        found = None
        if name != OURS:
          found = kind.write_found(config, split, flags.workdir / folder)
        row += [f"{x:.1f}" for x in kind.scored(results / split, found)]
      rows.append(row)
  named = [f"{split} {figure}" for split in splits for figure in kind.FIGURES]
  return ["seconds of CPU", "system", *named], rows


def draw(header: list[str], rows: list[list[Any]], path: pathlib.Path) -> None:
  """The first figure against time, a line a system."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5, 3.2), layout="tight")
  axis = figure.subplots()
  names = [row[1].split(",")[0] for row in rows]
  for name in dict.fromkeys(names):
    mine = [
      (float(row[0]), float(row[2]))
      for row, whose in zip(rows, names, strict=True)
      if whose == name
    ]
    axis.plot(*zip(*mine, strict=True), marker="o", label=name)
  axis.set(xlabel=header[0], ylabel=header[2], ylim=(0, 100))
  axis.legend()
  figure.savefig(path, dpi=120)


def main() -> None:
  """Prints, draws and, if asked to, keeps the comparison."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  add = parser.add_argument
  add("--task", choices=TASKS, default="retrieval")
  add("--data", required=True, help="the task's dataset, as `make demo` builds")
  add("--weights", required=True, help="of the demo's stage 1")
  add("--python", required=True, help="that the peers run with")
  add("--peer", action="append", default=[], metavar="NAME=CHECKOUT")
  add("--workdir", required=True, type=pathlib.Path)
  add("--rates", nargs="+", type=float, default=[2e-4, 5e-4, 1e-3])
  add("--times", nargs="+", type=int, default=[1, 4], help="ours, so often")
  add("--width", type=int, default=64, help="of the peers; ours is 64")
  add("--record", action="store_true", help="keep table and plot")
  flags = parser.parse_args()
  if not all("=" in each for each in flags.peer):
    parser.error("--peer: NAME=CHECKOUT")
  flags.peer = {
    name: os.path.abspath(checkout)
    for name, checkout in (each.split("=", 1) for each in flags.peer)
  }
  flags.data, flags.weights = map(os.path.abspath, (flags.data, flags.weights))
  flags.python = shutil.which(flags.python) or flags.python
  flags.workdir = (flags.workdir / flags.task).resolve()
  flags.workdir.mkdir(parents=True, exist_ok=True)
  claim(flags)
  header, rows = compare(flags)
  print(record.markdown(header, rows))
  draw(header, rows, flags.workdir / "peers.png")
  if flags.record:
    name = f"peers_{flags.task}"
    command = f"python -m benchmarks.peers --task {flags.task} --record"
    measures = ("benchmarks/peers", "unloc_jax/models", "unloc_jax/task")
    config = f"configs/{pathlib.Path(TASKS[flags.task][0].__file__).name}"
    record.write(name, command, (*measures, config), header, rows, seeds=[0])
    draw(header, rows, record.ROOT / "docs" / f"{name}.png")


if __name__ == "__main__":
  main()
