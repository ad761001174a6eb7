"""Compares our model with golden files of the reference implementation.

    python -m tests.parity.parity GOLDEN.npz [...]

Each file holds one run of the reference: its description, parameters, batch,
outputs, losses, gradients and detections. The model is rebuilt from the
description, its parameters are loaded, and the largest difference of every
quantity is printed. Exit status 1: one is past its tolerance.
"""

import argparse
import dataclasses
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.golden import Golden
from tests.parity.reference import from_reference
from unloc_jax.models.unloc import UnLoc
from unloc_jax.task import decode, sampling
from unloc_jax.task.objective import compute_losses, make_targets

OUTPUT_TOLERANCE = (5e-5, 1e-5)  # absolute or relative
GRADIENT_TOLERANCE = 1e-4  # relative to a tensor's largest entry
SECONDS_TOLERANCE = 1e-3
_EPSILON = float(np.finfo(np.float32).eps)


# Compiling is what a golden file costs; cheap code gives the same values.
_CHEAP_COMPILE = (
  "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


@dataclasses.dataclass(frozen=True)
class Difference:
  """How far one quantity is off.

  Attributes:
    name: Of the quantity.
    absolute: Largest absolute difference.
    relative: The same over the largest entry of the reference.
    passed: Within tolerance.
    note: What else there is to say.
  """

  name: str
  absolute: float
  relative: float
  passed: bool
  note: str = ""


def compare(name: str, ours: Any, theirs: Any) -> Difference:
  """Difference of outputs: absolute or relative tolerance will do."""
  absolute, relative = distance(ours, theirs)
  passed = absolute <= OUTPUT_TOLERANCE[0] or relative <= OUTPUT_TOLERANCE[1]
  return Difference(name, absolute, relative, passed)


def compare_gradient(
  name: str, ours: Any, theirs: Any, norm: float
) -> Difference:
  """Difference of gradients, relative to the tensor's largest entry.

  Args:
    name: Of the parameter.
    ours: Our gradient.
    theirs: Theirs.
    norm: Of the whole gradient. What is below its rounding error is zero, as
      is the gradient of attention's key biases, by construction.
  """
  absolute, relative = distance(ours, theirs)
  if relative <= GRADIENT_TOLERANCE:
    return Difference(name, absolute, relative, True)
  rounding = absolute <= _EPSILON * norm
  return Difference(name, absolute, relative, rounding, "zero but for rounding")


def compare_seconds(name: str, ours: Any, theirs: Any) -> Difference:
  """Difference of segments in seconds."""
  absolute, relative = distance(ours, theirs)
  return Difference(name, absolute, relative, absolute <= SECONDS_TOLERANCE)


def distance(ours: Any, theirs: Any) -> tuple[float, float]:
  """Largest absolute difference, and the same over theirs' largest entry."""
  ours = np.asarray(ours, np.float64)
  theirs = np.asarray(theirs, np.float64)
  if ours.shape != theirs.shape or not np.all(np.isfinite(ours)):
    return float("inf"), float("inf")
  if not theirs.size:
    return 0.0, 0.0
  absolute = float(np.max(np.abs(ours - theirs)))
  largest = float(np.max(np.abs(theirs)))
  return absolute, absolute / largest if largest else absolute


def outputs(golden: Golden) -> Iterator[Difference]:
  """Tokens, fused tokens and logits, whichever the file has."""
  batch, task = golden.batch, golden.task

  def run(model: UnLoc):
    video = model.encode_video(batch["frames"])
    text = model.encode_text(batch["texts"])
    tokens, mask = text.tokens, text.mask
    if tokens.ndim == 3:
      tokens, mask = tokens[None], mask[None]
    levels, _ = model.fusion(video, batch["frame_mask"], tokens, mask, True)
    words = batch["texts"]
    if model.text_tower is not None:
      words = model.encode_text_tokens(words)
    prediction = model.localize(video, batch["frame_mask"], text)
    return video, words, jnp.concatenate(levels, axis=2), prediction

  apply = jax.jit(functools.partial(golden.model.apply, method=run))
  video, words, fused, prediction = apply(golden.variables)
  theirs = golden.under("out/")
  if not task.has_displacement:
    fused = jnp.swapaxes(fused, 1, 2)
  if "text_tokens" in theirs and words.size == theirs["text_tokens"].size:
    words = words.reshape(theirs["text_tokens"].shape)
  ours = {
    "video_tokens": video,
    "text_tokens": words,
    "fused_video": fused,
    "eval_logits": _reference_logits(golden, prediction),
  }
  for name, value in ours.items():
    if name in theirs:
      yield compare(name, value, theirs[name])


def _reference_logits(golden: Golden, prediction) -> jax.Array:
  """Predictions in the layout of `out/eval_logits`."""
  relevance = prediction.relevance[..., None]
  if not golden.task.has_displacement:
    return jnp.swapaxes(relevance[..., 0], 1, 2)
  logits = jnp.concatenate([relevance, prediction.displacement], axis=-1)
  if golden.pairs() is not None:
    return logits
  logits = jnp.swapaxes(logits, 1, 2)
  return logits.reshape(*logits.shape[:2], -1)


def losses_and_gradients(golden: Golden) -> Iterator[Difference]:
  """Each loss, their sum, and the gradient of every parameter."""
  theirs = golden.under("loss/")
  gradients = golden.under("grad/")
  if golden.random_training and (theirs or gradients):
    note = "not compared: dropout or stochastic depth is on"
    yield Difference("losses and gradients", 0.0, 0.0, True, note)
    return
  run = functools.partial(_losses, golden, golden.targets())
  params = golden.variables["params"]
  if gradients:
    grad, parts = jax.jit(jax.grad(run, has_aux=True))(params)
  else:
    grad, (_, parts) = {}, jax.jit(run)(params)
  names = {"total": "total", "cls": "relevance", "box": "displacement"}
  for name, value in theirs.items():
    yield compare(f"loss/{name}", parts[names[name]], value)
  flat = flax.traverse_util.flatten_dict(grad, sep="/")
  ours = {name: np.asarray(value, np.float64) for name, value in flat.items()}
  norm = float(np.sqrt(sum(np.sum(value**2) for value in ours.values())))
  for name, value in from_reference(gradients).items() if gradients else ():
    yield compare_gradient(f"grad/{name}", ours[name], value, norm)
  if gradients and "grad_norm" in golden.arrays:
    yield compare("grad_norm", norm, golden.arrays["grad_norm"])


def _losses(golden: Golden, targets, params):
  """The total loss, and all losses by name."""
  prediction: Any = golden.model.apply(
    {"params": params},
    golden.batch["frames"],
    golden.batch["frame_mask"],
    golden.batch["texts"],
    golden.pairs(),
  )
  parts = compute_losses(golden.task, golden.loss, prediction, targets)
  return parts["total"], parts


def targets(golden: Golden) -> Iterator[Difference]:
  """Labels and displacements made from the file's segments."""
  arrays = golden.arrays
  key = "batch/segment_start_index"
  if not golden.task.has_displacement or key not in arrays:
    return
  start, end = arrays[key], arrays["batch/segment_end_index"]
  query = np.broadcast_to(np.arange(start.shape[1]), start.shape)
  query = arrays.get("batch/segment_label_index", query)
  segments = _to_sampled(golden, np.stack([start, end], axis=-1))
  batch = {
    **golden.batch,
    "segments": jnp.asarray(segments, jnp.float32),
    "segment_query": jnp.asarray(query, jnp.int32),
  }
  theirs = golden.targets()
  ours = make_targets(golden.task, golden.spec, batch, theirs.labels.shape[1])
  shown = np.broadcast_to(theirs.mask & ours.mask, theirs.labels.shape)
  yield compare(
    "targets/relevance",
    np.where(shown, ours.labels, 0),
    np.where(shown, theirs.labels, 0),
  )
  other = theirs.displacement
  assert ours.displacement is not None
  assert other is not None
  if golden.task.texts == "classes":
    index = jnp.maximum(batch["segment_query"], 0)[:, :, None, None]
    other = jnp.take_along_axis(other, index, axis=1)
  positive = np.asarray(ours.positive)[..., None]
  yield compare(
    "targets/displacement",
    np.where(positive, ours.displacement, 0),
    np.where(positive, other, 0),
  )


def _sampling(golden: Golden) -> tuple[bool, np.ndarray, int, np.ndarray]:
  """Whether frames are spread, frames in all, stride and first frame."""
  spread = golden.get("dataset_configs.sampling_strategy", "random")
  stride = golden.get("dataset_configs.stride", 1)
  total = golden.arrays["batch/total_frames"].astype(np.float64)
  rest = total - golden.spec.num_frames * stride
  return spread == "linspace", total, stride, np.maximum(0, rest // 2)


def _to_sampled(golden: Golden, segments: np.ndarray) -> np.ndarray:
  """Segments [B, S, 2] in frames of the whole video -> sampled positions."""
  spread, total, stride, first = _sampling(golden)
  if spread:
    ratio = (golden.spec.num_frames - 1) / (total - 1)
    return segments * ratio[:, None, None]
  return (segments - first[:, None, None]) / stride


def detections(golden: Golden) -> Iterator[Difference]:
  """Segments in seconds and scores, before and after soft-NMS."""
  theirs = golden.under("post/")
  if not theirs:
    return
  seconds, scores = _decoded(golden)
  mask = np.asarray(golden.spec.point_mask(golden.batch["frame_mask"]))
  for video in sorted({int(name.split("/")[0]) for name in theirs}):
    queries = np.arange(scores.shape[1])
    if "query_mask" in golden.batch:
      queries = queries[np.asarray(golden.batch["query_mask"])[video]]
    yield from _video_detections(
      golden,
      f"post/{video}",
      golden.under(f"post/{video}/"),
      seconds[video][queries],
      np.where(mask[video], scores[video][queries], -1.0),
    )


def _decoded(golden: Golden) -> tuple[np.ndarray, np.ndarray]:
  """Segments [B, Q, P, 2] in seconds and scores [B, Q, P] of own queries."""
  logits = golden.arrays["out/eval_logits"]
  pairs = golden.pairs()
  if pairs is not None:
    index = np.asarray(pairs)[..., None, None]
    logits = np.take_along_axis(logits, index, axis=1)
  else:
    logits = logits.reshape(*logits.shape[:2], -1, 3).swapaxes(1, 2)
  spec = golden.spec
  spread, total, stride, first = _sampling(golden)
  step = golden.get("dataset_configs.secs_per_timestep", 1.0)
  segments = decode.decode_segments(spec, jnp.asarray(logits[..., 1:]))
  if spread:
    seconds_per_position = step * (total - 1) / (spec.num_frames - 1)
  else:
    # There a displacement counts frames of the video, whatever the stride.
    away = spec.positions * (stride - 1) + first[:, None]
    segments = segments + away[:, None, :, None]
    seconds_per_position = np.full_like(total, step)
  seconds = sampling.to_seconds(
    segments,
    jnp.asarray(seconds_per_position, jnp.float32),
    jnp.asarray(total * step, jnp.float32),
  )
  return np.asarray(seconds), np.asarray(jax.nn.sigmoid(logits[..., 0]))


def _video_detections(golden, name, theirs, seconds, scores):
  """Compares one video's lists; a score of -1 marks a padded point."""
  options = {
    "sigma": golden.get("soft_nms_sigma", 0.3),
    "score_threshold": golden.get("score_threshold", 0.001),
    "max_detections": golden.get("max_detections", 100),
  }
  yield from _before_nms(golden, name, theirs, seconds, scores, options)
  run = decode.detect_per_query(seconds[None], scores[None], **options)
  segments, kept = (np.asarray(x)[0] for x in run)
  lists = {
    str(query): (segments[query][kept[query] > 0], kept[query][kept[query] > 0])
    for query in range(len(kept))
  }
  lists["multiclass"] = segments[kept > 0], kept[kept > 0]
  run = decode.detect_class_agnostic(seconds[None], scores[None], **options)
  segments, kept, classes = (np.asarray(x)[0] for x in run)
  lists["agnostic"] = segments[kept > 0], kept[kept > 0]
  for key, (segments, shown) in lists.items():
    if f"{key}/scores" in theirs:
      yield compare(f"{name}/{key}/scores", shown, theirs[f"{key}/scores"])
      yield compare_seconds(
        f"{name}/{key}/segments", segments, theirs[f"{key}/segments"]
      )
  if "agnostic/classes" in theirs:
    shown = classes[kept > 0]
    yield compare(f"{name}/agnostic/classes", shown, theirs["agnostic/classes"])


def _before_nms(golden, name, theirs, seconds, scores, options):
  """Compares what goes into soft-NMS: of real points, above the threshold."""
  if "pre_scores" not in theirs:
    return
  shape = theirs["pre_scores"].shape
  if golden.pairs() is None:
    seconds, scores = seconds.swapaxes(0, 1), scores.T
    chosen = scores >= options["score_threshold"]
  else:
    chosen = scores >= 0
  yield compare(
    f"{name}/pre_scores", _reshaped(scores[chosen], shape), theirs["pre_scores"]
  )
  yield compare_seconds(
    f"{name}/pre_segments",
    _reshaped(seconds[chosen], (*shape, 2)),
    theirs["pre_segments"],
  )


def _reshaped(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """`values` in that shape if they are as many."""
  return values.reshape(shape) if values.size == np.prod(shape) else values


def check(path: str) -> list[Difference]:
  """All differences of one golden file.

  Raises:
    ValueError: It is not a golden file of a model that ours can be.
  """
  try:
    golden = Golden(path)
    return [
      *outputs(golden),
      *targets(golden),
      *losses_and_gradients(golden),
      *detections(golden),
    ]
  except KeyError as error:
    raise ValueError(
      f"{path}: {error.args[0]} is missing or unknown"
    ) from error


def main(argv: list[str] | None = None) -> int:
  """Prints a table per file; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("golden", nargs="+", help="golden .npz files")
  os.environ.setdefault("XLA_FLAGS", _CHEAP_COMPILE)
  jax.config.update("jax_default_matmul_precision", "highest")
  status = 0
  for path in parser.parse_args(argv).golden:
    try:
      rows = check(path)
    except ValueError as error:
      print(error, file=sys.stderr)
      status = 1
      continue
    print(f"{path}\n  {'quantity':<58} {'absolute':>9} {'relative':>9}")
    for row in rows:
      verdict = row.note if row.passed else "past tolerance"
      line = f"  {row.name:<58} {row.absolute:9.1e} {row.relative:9.1e}"
      print(f"{line}  {verdict}".rstrip())
    failed = sum(not row.passed for row in rows)
    print(f"  {len(rows)} quantities compared, {failed} past tolerance")
    status |= failed > 0
  return int(status)


if __name__ == "__main__":
  sys.exit(main())
