"""Scores two towers as a run is scored, so that every table can show both."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from unloc_jax.data.splits import Split
from unloc_jax.metrics import Report
from unloc_jax.models.unloc import UnLoc
from unloc_jax.parallel import sharding
from unloc_jax.task import detections, peaks
from unloc_jax.task.detections import Detections
from unloc_jax.task.sampling import Sampling, frame_edges
from unloc_jax.training import provenance
from unloc_jax.training.checkpoints import write_config
from unloc_jax.training.evaluation import Batch, Evaluator, Params, prompts_of
from unloc_jax.training.state import Parts, nest
from unloc_jax.use import untrained
from unloc_jax.use.questions import TextRows


class UntrainedEvaluator(Evaluator):
  """An Evaluator whose detections are of `unloc_jax.task.peaks`."""

  def _step_of(self, split: Split) -> Callable[[Params, Batch], Detections]:
    prompts = prompts_of(self._config, split)
    generic = jnp.asarray(TextRows(self._config).captions(untrained.POOL)[0])

    def compare(model: UnLoc, batch: Batch) -> list[jax.Array]:
      """Similarities of texts [B, Q, T] and generic ones [B, G, T]."""
      video = model.encode_video(batch["streams"])
      mask = model.video_mask(batch["masks"])
      if prompts is None:
        texts = model.encode_text(batch["text_ids"])
      else:
        texts = model.encode_prompts(prompts)
      asked = texts, model.encode_text(generic)
      return [model.localize(video, mask, each).relevance for each in asked]

    @jax.jit
    def run(params: Params, batch: Batch) -> Any:
      with sharding.over(self._mesh):
        return self._parts.model.apply(nest(params), batch, method=compare)

    def step(params: Params, batch: Batch) -> Detections:
      host = {k: v for k, v in batch.items() if k != "streams"}
      said, rest = jax.tree.map(np.asarray, run(params, batch))
      return found(self._parts, jax.tree.map(np.asarray, host), said, rest)

    return step


def found(
  parts: Parts, batch: Batch, said: np.ndarray, generic: np.ndarray
) -> Detections:
  """Detections of similarities [B, Q, T] and generic ones [B, G, T]."""
  steps = Sampling.from_config(parts.config).seconds_per_position(
    batch["frame_count"], batch["frame_rate"]
  )
  curves, logits = np.zeros(said.shape), np.zeros(said.shape)
  segments = np.zeros((*said.shape[:2], peaks.MOST, 2), np.float32)
  scores = np.zeros(segments.shape[:3], np.float32)
  texts = batch.get("query_mask", np.ones(said.shape[:2], bool))
  for b in np.flatnonzero(batch["example_mask"]):
    asked, count = texts[b], batch["frame_mask"][b].sum()
    seen, rest = peaks.calibrated(
      said[b, asked, :count], generic[b, :, :count], float(steps[b])
    )
    curves[b, asked, :count] = seen
    logits[b, asked, :count] = seen - rest.max(axis=0)
    times = np.arange(count) * float(steps[b])
    edges = frame_edges(times, float(batch["duration"][b]))
    segments[b, asked], scores[b, asked] = peaks.segments(seen, edges)
  curve = peaks.logistic(curves)
  if parts.task.decode == "per_video":
    return Detections(curves.mean(axis=2), None, None, curve)
  if parts.task.decode == "per_frame":
    return Detections(logits, None, None, curve)
  options = detections.DecodeSpec(**parts.config.decode.to_dict())
  return detections.suppress(
    options, *map(jnp.asarray, (segments, scores, curve))
  )


def evaluate(
  config: ml_collections.ConfigDict,
  weights: str,
  workdir: str,
  splits: Sequence[str],
) -> dict[str, Report]:
  """The report of every split, by its name; the folder looks like a run's.

  Raises ValueError where the weights are no pair or do not fit the data,
  FileExistsError where there is a run in the folder.
  """
  if (pathlib.Path(workdir) / "checkpoints").exists():
    raise FileExistsError(f"{workdir} holds a run; give another --workdir")
  if jax.process_count() > 1:
    raise ValueError("--training_free scores in one process; start one")
  export = untrained.as_export(weights, config)
  parts = Parts.from_config(export.config)
  model = parts.model.clone(displacement_head=None)
  parts = dataclasses.replace(parts, model=model)
  mesh = sharding.run_mesh(parts.config)
  evaluator = UntrainedEvaluator(parts, mesh, workdir)
  manifest = evaluator.split(splits[0]).manifest
  provenance.check_weights(parts.config, manifest)
  write_config(workdir, parts.config)
  params = export.params(parts, mesh)
  reports = {name: evaluator.run(params, name) for name in splits}
  evaluator.write_page()
  return reports
