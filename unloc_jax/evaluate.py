r"""Scores a run's best checkpoint, else its latest, or an export.

python -m unloc_jax.evaluate --workdir=RUN --split=test

Or, as a baseline, towers that nobody trained for it, on the config's data;
results go to a folder like a run's, which benchmarks.synthetic reads, too:

python -m unloc_jax.evaluate --training_free --weights=weights/clip_b16 \
      --config=configs/anet_mr.py --workdir=runs/untrained
"""

import argparse
import sys
from collections.abc import Sequence

import jax
import ml_collections

from unloc_jax.config import flags as config_flags
from unloc_jax.config.parser import Parser
from unloc_jax.metrics import Report
from unloc_jax.parallel import processes, sharding
from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.training import provenance
from unloc_jax.training.checkpoints import Checkpoints, read_config
from unloc_jax.training.evaluation import Evaluator, summary
from unloc_jax.training.state import Parts
from unloc_jax.use import exports, untrained_evaluation


def evaluate_run(
  config: ml_collections.ConfigDict, workdir: str, splits: Sequence[str]
) -> dict[str, Report]:
  """The report of every split, by its name.

  Raises:
    ValueError: The data is wrong, or not what the run was trained on.
  """
  parts = Parts.from_config(config)
  mesh = sharding.run_mesh(config)
  evaluator = Evaluator(parts, mesh, workdir)
  manifest = evaluator.split(splits[0]).manifest
  if exports.is_export(workdir):
    export = exports.read(workdir)
    provenance.check(export.source, manifest)
    params = export.params(parts, mesh)
  else:
    provenance.check_run(workdir, manifest)
    params = Checkpoints(workdir, config).restore_params(parts, mesh)
  reports = {name: evaluator.run(params, name) for name in splits}
  evaluator.write_page()
  return reports


def main(argv: Sequence[str] | None = None) -> None:
  """Scores a run and prints its figures."""
  parser = Parser(__doc__)
  add = parser.add_argument
  add("--workdir", required=True, help="run or export")
  add("--split", nargs="+", help="by default the config's")
  add("--data", help="built dataset, where it has moved")
  add("--training_free", action="store_true", help="--weights, not a run")
  add("--weights", help="folder of an image and a text tower")
  processes.add_flags(parser)
  config = None
  if parser.parse_known_args(argv)[0].training_free:
    flags, config = config_flags.parse(parser, argv)
  else:
    flags = parser.parse_args(argv)
  if bool(flags.weights) != flags.training_free:
    parser.error("--training_free and --weights=FOLDER go together")
  with processes.joined(flags):
    _evaluate(flags, config)


def _evaluate(
  flags: argparse.Namespace, config: ml_collections.ConfigDict | None
) -> None:
  keep_programs()
  workdir = flags.workdir
  try:
    if config is not None:
      config = config.copy_and_resolve_references().unlock()
    elif exports.is_export(workdir):
      config = exports.read(workdir).config
    else:
      config = read_config(workdir)
    config.data.path = flags.data or config.data.path
    splits = flags.split or config.eval.splits
    if flags.training_free:
      score = untrained_evaluation.evaluate
      reports = score(config, flags.weights, workdir, splits)
    else:
      reports = evaluate_run(config, workdir, splits)
  except (ValueError, OSError) as error:
    sys.exit(f"error: {' '.join(str(error).split())}")
  if jax.process_index() == 0:
    for name, report in reports.items():
      print(f"{name}: {summary(report)}")


if __name__ == "__main__":
  processes.run(main)
