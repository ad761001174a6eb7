"""Scores a run's best checkpoint, else its latest, or an export.

python -m unloc_jax.evaluate --workdir=RUN --split=test
"""

import sys
from collections.abc import Sequence

import jax
import ml_collections

from unloc_jax.config.flags import Parser
from unloc_jax.metrics import Report
from unloc_jax.parallel import processes, sharding
from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.training import provenance
from unloc_jax.training.checkpoints import Checkpoints, read_config
from unloc_jax.training.evaluation import Evaluator, summary
from unloc_jax.training.state import Parts
from unloc_jax.use import exports


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
  parser.add_argument("--workdir", required=True, help="run or export")
  parser.add_argument("--split", nargs="+", help="by default the config's")
  parser.add_argument("--data", help="built dataset, where it has moved")
  processes.add_flags(parser)
  flags = parser.parse_args(argv)
  with processes.joined(flags):
    _evaluate(flags.workdir, flags.data, flags.split)


def _evaluate(
  workdir: str, data: str | None, splits: Sequence[str] | None
) -> None:
  keep_programs()
  try:
    if exports.is_export(workdir):
      config = exports.read(workdir).config
    else:
      config = read_config(workdir)
    config.data.path = data or config.data.path
    reports = evaluate_run(config, workdir, splits or config.eval.splits)
  except (ValueError, OSError) as error:
    sys.exit(f"error: {' '.join(str(error).split())}")
  if jax.process_index() == 0:
    for name, report in reports.items():
      print(f"{name}: {summary(report)}")


if __name__ == "__main__":
  processes.run(main)
