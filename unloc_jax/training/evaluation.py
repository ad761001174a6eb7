"""Every example exactly once -> detections -> official figures and files."""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from jax.sharding import Mesh

from unloc_jax import files
from unloc_jax.data import pipeline, splits
from unloc_jax.data.class_texts import class_texts
from unloc_jax.metrics import Report, analysis, show
from unloc_jax.models.unloc import UnLoc
from unloc_jax.parallel import sharding
from unloc_jax.results import submissions
from unloc_jax.results.drawing import page
from unloc_jax.results.drawing.gallery import Gallery
from unloc_jax.task.detections import DecodeSpec, Detections, detect
from unloc_jax.task.predictions import Predictions
from unloc_jax.task.sampling import Sampling
from unloc_jax.task.tasks import get_task
from unloc_jax.training import console
from unloc_jax.training.state import Parts, nest

Params = Mapping[str, jax.Array]
Batch = Mapping[str, Any]


def eval_step(
  params: Params,
  batch: Batch,
  prompts: jax.Array | None,
  *,
  parts: Parts,
) -> Detections:
  """Detections of one batch; every video only meets its own captions."""

  def run(model: UnLoc) -> Predictions:
    video = model.encode_video(batch["streams"])
    if prompts is None:
      texts = model.encode_text(batch["text_ids"])
    else:
      texts = model.encode_prompts(prompts)
    return model.localize(video, model.video_mask(batch["masks"]), texts)

  predictions: Any = parts.model.apply(nest(params), method=run)
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


def eval_config(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """The config with the classes that evaluation asks for."""
  config = config.copy_and_resolve_references()
  config.data.classes = config.eval.classes or config.data.classes
  return config


def prompts_of(
  config: ml_collections.ConfigDict, split: splits.Split
) -> jax.Array | None:
  """Class prompts [R, C, ...] of a split; None where texts are captions."""
  if get_task(config.task).texts == "captions":
    return None
  return jnp.asarray(class_texts(config, split.classes))


class Evaluator:
  """Scores states on splits; opened splits and the program are kept.

  Results go to WORKDIR/results/SPLIT, a page of all to results/index.html.
  """

  def __init__(self, parts: Parts, mesh: Mesh, workdir: str):
    self._parts, self._mesh = parts, mesh
    self._config = eval_config(parts.config)
    self._workdir = pathlib.Path(workdir)
    self._splits: dict[str, splits.Split] = {}

    def step(
      params: Params, batch: Batch, prompts: jax.Array | None
    ) -> Detections:
      with sharding.over(mesh):
        return eval_step(params, batch, prompts, parts=parts)

    self._step = jax.jit(step)

  def split(self, name: str) -> splits.Split:
    """The opened split; ValueError where its data is wrong."""
    if name not in self._splits:
      self._splits[name] = splits.open_split(self._config, name)
    return self._splits[name]

  def run(
    self,
    params: Params,
    split_name: str,
    between: Callable[[], None] = lambda: None,
  ) -> Report:
    """Scores parameters on a split; writes the submission file and drawings.

    `between` is called between batches and may raise to stop. The report says
    how many examples of those expected were seen.
    """
    split = self.split(split_name)
    submission = submissions.make(split)
    gallery = Gallery(self._config, split)
    for batch, found in self._detections(params, split):
      between()
      submission.add(batch, found)
      gallery.add(batch, found)
    report = submission.score()
    if jax.process_index() == 0:
      known = analysis.intervals(report, analysis.RESAMPLES, seed=0)
      report = dataclasses.replace(report, intervals=known)
      folder = self._workdir / "results" / split_name
      folder.mkdir(parents=True, exist_ok=True)
      submission.write(folder)
      page.write_part(folder, report, gallery.write(folder))
      files.write_json(folder / "metrics.json", report.metrics)
      files.write_text(folder / "report.txt", show.text(report) + "\n")
      logging.info("%s: %s; see %s", split_name, summary(report), folder)
    return report

  def write_page(self) -> None:
    """Writes the page, with all that was scored and logged until now."""
    if jax.process_index() == 0:
      page.write(self._workdir, self._parts.config)

  def _step_of(self, split: splits.Split) -> Callable[..., Detections]:
    """What makes detections of (parameters, sharded batch) of a split."""
    prompts = prompts_of(self._config, split)
    return functools.partial(self._step, prompts=prompts)

  def _detections(
    self, params: Params, split: splits.Split
  ) -> Iterator[tuple[dict[str, np.ndarray], Detections]]:
    """Batches and what was found in them, whole on every process."""
    size = self._config.eval.batch_size
    step = self._step_of(split)
    rows = sharding.local_rows(self._mesh, size)
    batches = pipeline.make_eval(
      self._config, batch_size=size, split=split, rows=rows
    )
    shown = console.progress(batches, f"Scoring {split.name}")
    for batch in _or_all_end(shown):
      sharded = sharding.shard_batch(batch, self._mesh, size)
      found = step(params, sharded)
      if jax.process_count() > 1:
        sharded.pop("streams")
        batch = sharding.gather(sharded, self._mesh)
        found = sharding.gather(found, self._mesh)
      yield batch, jax.tree.map(np.asarray, found)


def _or_all_end(batches: Iterator[Any]) -> Iterator[Any]:
  """Ends a process that cannot read, for which others would wait."""
  try:
    yield from batches
  except Exception as error:
    if jax.process_count() == 1:
      raise
    sys.exit(f"error: {' '.join(str(error).split())}")


def figures(report: Report) -> dict[str, float]:
  """Headline figures: what is logged, and says which checkpoint is best."""
  return {
    name: float(value)
    for name, value in report.headline.items()
    if value is not None
  }


def summary(report: Report) -> str:
  """One line: the headline figures and how many examples were seen."""
  found = " ".join(f"{k} {v:.2f}" for k, v in figures(report).items())
  return f"{found} ({report.seen} of {report.expected} examples)"
