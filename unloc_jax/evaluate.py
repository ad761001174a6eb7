"""Every example exactly once -> detections -> official metrics and files.

    python -m unloc_jax.evaluate --workdir=RUN --split=test

scores a run's best or latest checkpoint; training calls `Evaluator` itself.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import tqdm
from absl import logging
from jax.sharding import Mesh

from unloc_jax.data import pipeline
from unloc_jax.data.class_texts import class_texts
from unloc_jax.metrics import Report, show
from unloc_jax.models.unloc import UnLoc
from unloc_jax.parallel import processes, sharding
from unloc_jax.results import submissions
from unloc_jax.results.drawing.gallery import Gallery
from unloc_jax.task.detections import (
  DecodeSpec,
  Detections,
  detect,
)
from unloc_jax.task.sampling import Sampling
from unloc_jax.training import provenance
from unloc_jax.training.checkpoints import Checkpoints, read_config
from unloc_jax.training.state import FlatParams, Parts, nest
from unloc_jax.use import exports


def eval_step(
  params: Mapping[str, jax.Array],
  batch: Mapping[str, jax.Array],
  prompts: jax.Array | None,
  *,
  parts: Parts,
) -> Detections:
  """Detections of one batch; every video only meets its own captions."""

  def run(model: UnLoc):
    frames = batch["frames"] if "frames" in batch else batch["embeddings"]
    video = model.encode_video(frames)
    if prompts is None:
      texts = model.encode_text(batch["text_ids"])
    else:
      texts = model.encode_prompts(prompts)
    return model.localize(video, batch["frame_mask"], texts)

  predictions: Any = parts.model.apply(nest(dict(params)), method=run)
  sampling = Sampling.from_config(parts.config)
  return detect(
    parts.task,
    parts.pyramid,
    DecodeSpec(**parts.config.decode.to_dict()),
    predictions,
    batch["frame_mask"],
    sampling.seconds_per_position(batch["frame_count"], batch["frame_rate"]),
    batch["duration"],
  )


def compile_eval_step(parts: Parts, mesh: Mesh) -> Callable[..., Detections]:
  """The jitted `eval_step`, split over the mesh."""

  def step(params, batch, prompts):
    with sharding.over(mesh):
      return eval_step(params, batch, prompts, parts=parts)

  return jax.jit(step)


def eval_config(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """The config with the classes that evaluation asks for."""
  config = config.copy_and_resolve_references()
  config.data.classes = config.eval.classes or config.data.classes
  return config


class Evaluator:
  """Scores states on splits; opened splits and programs are kept.

  Args:
    parts: Of the run.
    mesh: Devices.
    workdir: Results go to WORKDIR/results/SPLIT.
  """

  def __init__(self, parts: Parts, mesh: Mesh, workdir: str):
    self._parts = parts
    self._mesh = mesh
    self._results = pathlib.Path(workdir) / "results"
    self._splits: dict[str, pipeline.Split] = {}
    self._step = compile_eval_step(parts, mesh)

  def split(self, name: str) -> pipeline.Split:
    """The opened split."""
    if name not in self._splits:
      config = eval_config(self._parts.config)
      self._splits[name] = pipeline.open_split(config, name)
    return self._splits[name]

  def run(
    self,
    params: FlatParams,
    split_name: str,
    between: Callable[[], None] = lambda: None,
  ) -> Report:
    """Scores parameters on a split; writes the submission file and drawings.

    Args:
      params: {path: array}.
      split_name: As of `data.path`.
      between: Called between batches; may raise to stop.

    Returns:
      The benchmark's report; `seen` of `expected` examples were scored.
    """
    split = self.split(split_name)
    submission = submissions.make(self._parts, split)
    gallery = Gallery(self._parts, split)
    for batch, found in self._detections(params, split):
      between()
      submission.add(batch, found)
      gallery.add(batch, found)
    report = submission.score()
    if jax.process_index() == 0:
      folder = self._results / split_name
      folder.mkdir(parents=True, exist_ok=True)
      submission.write(folder)
      gallery.write(folder)
      write_json(folder / "metrics.json", report.metrics)
      (folder / "report.txt").write_text(show.text(report) + "\n")
      logging.info("%s: %s; see %s", split_name, summary(report), folder)
    return report

  def _detections(
    self, params: FlatParams, split: pipeline.Split
  ) -> Iterator[tuple[dict[str, np.ndarray], Detections]]:
    """Batches and what was found in them, whole on every process."""
    config = self._parts.config
    prompts = None
    if self._parts.task.texts == "classes":
      prompts = jnp.asarray(class_texts(config, split.classes))
    batches = pipeline.make_eval(
      split.config,
      batch_size=config.eval.batch_size,
      split=split,
      rows=sharding.local_rows(self._mesh, config.eval.batch_size),
    )
    progress = tqdm.tqdm(
      batches,
      total=batches.length,
      desc=f"Scoring {split.name}",
      unit="batch",
      disable=None,  # Silent where nobody is watching.
    )
    for batch in progress:
      sharded = sharding.shard_batch(batch, self._mesh, config.eval.batch_size)
      found = self._step(params, sharded, prompts)
      if jax.process_count() > 1:
        sharded.pop("frames", None)
        batch = sharding.gather(sharded, self._mesh)
        found = sharding.gather(found, self._mesh)
      yield batch, jax.tree.map(np.asarray, found)


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes beside, then renames."""
  beside = path.with_suffix(".tmp")
  beside.write_text(json.dumps(value, indent=2) + "\n")
  beside.rename(path)


def scalars(report: Report, split: str = "") -> dict[str, float]:
  """Headline figures for logs and for choosing the best checkpoint."""
  prefix = f"{split}/" if split else ""
  return {
    f"{prefix}{name}": float(value)
    for name, value in report.headline.items()
    if value is not None
  }


def summary(report: Report) -> str:
  """One line: the headline figures and how many examples were seen."""
  figures = " ".join(
    f"{name} {value:.2f}"
    for name, value in report.headline.items()
    if value is not None
  )
  return f"{figures} ({report.seen} of {report.expected} examples)"


def evaluate_run(
  config: ml_collections.ConfigDict, workdir: str, splits: Sequence[str]
) -> dict[str, Report]:
  """Scores a run's best checkpoint (else its latest), or an export."""
  parts = Parts.from_config(config)
  mesh = sharding.run_mesh(config)
  evaluator = Evaluator(parts, mesh, workdir)
  manifest = evaluator.split(splits[0]).manifest
  if exports.is_export(workdir):
    provenance.check(exports.read(workdir).source, manifest)
    params = exports.restore_params(workdir, parts, mesh)
  else:
    provenance.check_run(workdir, manifest)
    params = Checkpoints(workdir, config).restore_params(parts, mesh)
  return {name: evaluator.run(params, name) for name in splits}


def main(argv: Sequence[str] | None = None) -> None:
  """Scores a run and prints its figures."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--workdir", required=True, help="run or export")
  parser.add_argument("--split", nargs="+", help="by default the config's")
  parser.add_argument("--data", help="built dataset, where it has moved")
  processes.add_flags(parser)
  flags = parser.parse_args(argv)
  try:
    processes.start_from(flags)
  except ValueError as error:
    sys.exit(f"error: {' '.join(str(error).split())}")
  with processes.Watch():
    _evaluate(flags.workdir, flags.data, flags.split)


def _evaluate(
  workdir: str, data: str | None, splits: Sequence[str] | None
) -> None:
  try:
    if exports.is_export(workdir):
      config = exports.read(workdir).config
    else:
      config = read_config(workdir)
    config.data.path = data or config.data.path
    reports = evaluate_run(config, workdir, splits or config.eval.splits)
  except (ValueError, FileNotFoundError) as error:
    sys.exit(f"error: {error}")
  if jax.process_index() == 0:
    for name, report in reports.items():
      print(f"{name}: {summary(report)}")


if __name__ == "__main__":
  main()
