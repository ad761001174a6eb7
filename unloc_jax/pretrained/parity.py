"""Compares our model with golden files of the reference implementation.

    python -m unloc_jax.pretrained.parity GOLDEN.npz [...]

Each file holds one run of the reference: its description, parameters, batch,
outputs, losses, gradients and detections. The model is rebuilt from the
description, its parameters are loaded, and the largest difference of every
quantity is printed. Exit status 1: one is past its tolerance.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax import decode
from unloc_jax.models.clip import ImageTower, TextTower
from unloc_jax.models.fusion import Fusion
from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.models.unloc import UnLoc
from unloc_jax.objective import (
  LossSpec,
  Targets,
  compute_losses,
  make_targets,
)
from unloc_jax.pretrained.reference import from_reference
from unloc_jax.pyramid import PyramidSpec
from unloc_jax.tasks import Task, get_task

TASK_NAMES = {
  "mr": "moment_retrieval",
  "hd": "highlight_retrieval",
  "tal": "temporal_localization",
  "seg": "action_segmentation",
}

OUTPUT_TOLERANCE = (5e-5, 1e-5)  # absolute or relative
GRADIENT_TOLERANCE = 1e-4  # relative to a tensor's largest entry
SECONDS_TOLERANCE = 1e-3

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Difference:
  """How far one quantity is off.

  Attributes:
    name: Of the quantity.
    absolute: Largest absolute difference.
    relative: The same over the largest entry of the reference.
    passed: Within tolerance.
  """

  name: str
  absolute: float
  relative: float
  passed: bool


def compare(name: str, ours: Any, theirs: Any) -> Difference:
  """Difference of outputs: absolute or relative tolerance will do."""
  absolute, relative = _distance(ours, theirs)
  passed = absolute <= OUTPUT_TOLERANCE[0] or relative <= OUTPUT_TOLERANCE[1]
  return Difference(name, absolute, relative, passed)


def compare_gradient(name: str, ours: Any, theirs: Any) -> Difference:
  """Difference of gradients, relative to the tensor's largest entry."""
  absolute, relative = _distance(ours, theirs)
  passed = absolute <= 1e-7 or relative <= GRADIENT_TOLERANCE
  return Difference(name, absolute, relative, passed)


def _distance(ours: Any, theirs: Any) -> tuple[float, float]:
  ours = np.asarray(ours, np.float64)
  theirs = np.asarray(theirs, np.float64)
  if ours.shape != theirs.shape:
    return float("inf"), float("inf")
  if not theirs.size:
    return 0.0, 0.0
  absolute = float(np.max(np.abs(ours - theirs)))
  largest = float(np.max(np.abs(theirs)))
  return absolute, absolute / largest if largest else absolute


class Golden:
  """One golden file: the reference's run, and our model rebuilt from it."""

  def __init__(self, path: str):
    with np.load(path, allow_pickle=False) as file:
      self.arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(self.arrays["meta/json"]))
    self.config = meta["config"]
    self.task: Task = get_task(TASK_NAMES[meta["flags"]["task"]])
    self.params = from_reference(self.under("params/"))
    self.spec = self._pyramid()
    self.model = self._model()
    self.batch = self._batch()
    self.loss = LossSpec(
      relevance=self.config.get("classification_loss_type", "sigmoid"),
      displacement=self.config.get("box_loss_type", "iou"),
      relevance_weight=self.config.get("classification_loss_alpha", 1.0),
      focal_gamma=self.config.get("focal_loss_gamma", 2.0),
      focal_alpha=self.config.get("focal_loss_alpha", 0.25),
    )

  def under(self, prefix: str) -> dict[str, np.ndarray]:
    """Arrays whose name starts with `prefix`, without it."""
    return {
      name[len(prefix) :]: value
      for name, value in self.arrays.items()
      if name.startswith(prefix)
    }

  @property
  def variables(self) -> dict[str, Any]:
    flat = {tuple(k.split("/")): v for k, v in self.params.items()}
    return {"params": flax.traverse_util.unflatten_dict(flat)}

  def _pyramid(self) -> PyramidSpec:
    data = self.config["dataset_configs"]
    pyramid = data.get("feature_pyramid_config")
    ranges = pyramid["regression_ranges"] if pyramid else [(0, float("inf"))]
    return PyramidSpec(
      num_frames=data["num_frames"],
      ranges=tuple((float(low), float(high)) for low, high in ranges),
      radius=data.get("radius", 3.0),
    )

  def _model(self) -> UnLoc:
    model = self.config["model"]
    video = model["video_tower_config"]
    text = model["text_tower_config"]
    fusion = model["video_text_fusion_config"]["config"]
    encoder = fusion["self_attention_encoder_config"]
    head = next(iter(model["head_config"].values()))["config"]
    heads = {
      "num_layers": head.get("num_conv_layers", 0),
      "shared_across_levels": head.get("weight_sharing", True),
    }
    has_text_tower = any(k.startswith("text_tower/") for k in self.params)
    return UnLoc(
      image_tower=self._image_tower(video),
      text_tower=self._text_tower(text) if has_text_tower else None,
      fusion=Fusion(
        kind=fusion["self_attention_encoder_name"],
        num_levels=self.spec.num_levels,
        num_layers=encoder["num_layers"],
        num_heads=encoder["num_heads"],
        mlp_dim=encoder["mlp_dim"],
        downsampling=encoder.get("downsample_strategy", "max_pool"),
      ),
      relevance_head=RelevanceHead(bias=0.0, **heads),
      displacement_head=DisplacementHead(bias=0.0, **heads)
      if self.task.has_displacement
      else None,
      width=self.params["image_projection/kernel"].shape[-1],
      freeze_image=video.get("freeze", False),
      freeze_text=text.get("freeze", False),
      text_part="all" if fusion.get("use_all_text_tokens") else "eos",
      readout=self.task.readout,
    )

  def _image_tower(self, video: dict[str, Any]) -> ImageTower | None:
    if not any(name.startswith("image_tower/") for name in self.params):
      return None
    tower = video["encoder_config"]["image_encoder_config"]
    return ImageTower(
      patch=tower["patches"]["size"][0],
      width=tower["features"],
      num_layers=tower["num_layers"],
      num_heads=tower["num_heads"],
      classifier=tower.get("classifier", "token"),
    )

  def _text_tower(self, text: dict[str, Any]) -> TextTower:
    tower = text["encoder_config"]
    return TextTower(
      vocab_size=tower["vocab_size"],
      max_tokens=self.params["text_tower/position_embedding"].shape[0],
      width=tower["hidden_size"],
      num_layers=tower["num_layers"],
      num_heads=tower["num_heads"],
    )

  def _batch(self) -> dict[str, jax.Array]:
    arrays = self.arrays
    frames = arrays["batch/inputs/rgb"]
    points = arrays["batch/inputs/input_mask"].astype(bool)
    num_videos = frames.shape[0]
    batch = {
      "frames": frames,
      "frame_mask": points[:, : self.spec.num_frames],
      "example_mask": arrays["batch/batch_mask"].astype(bool),
      "texts": self._texts(),
    }
    if self.task.texts == "captions":
      mask = arrays.get("batch/inputs/caption_mask", np.ones((num_videos, 1)))
      batch["query_mask"] = mask.astype(bool)
    return {name: jnp.asarray(value) for name, value in batch.items()}

  def _texts(self) -> np.ndarray:
    """int32 ids or float32 embeddings as the model takes them."""
    if self.task.texts == "captions":
      ids = self.arrays["batch/inputs/caption/input_word_ids"]
      length = ids.shape[-1]
      if self.task.train_pairing == "matched":
        return ids.reshape(ids.shape[0], -1, length)
      return ids.reshape(-1, length)
    for name in ("class_names", "class_names/input_word_ids"):
      if f"batch/inputs/{name}" in self.arrays:
        return self.arrays[f"batch/inputs/{name}"][0]
    raise KeyError("the golden file has no batch/inputs/class_names")

  def targets(self) -> Targets:
    """The file's own targets in our layout."""
    label = self.arrays["batch/label"].astype(bool)
    mask = self.spec.point_mask(self.batch["frame_mask"])[:, None]
    mask &= self.batch["example_mask"][:, None, None]
    if not self.task.has_displacement:
      return Targets(jnp.swapaxes(label, 1, 2), mask)
    distance = jnp.asarray(self.arrays["batch/displacements"])
    if self.task.name == "moment_retrieval":
      own = jnp.asarray(label[..., 0])  # [B, Qv, P]
      positive = own & mask & self.batch["query_mask"][:, :, None]
      num_videos, _, num_points = own.shape
      same = jnp.eye(num_videos, dtype=bool)[:, :, None, None]
      labels = (own[:, None] & same).reshape(num_videos, -1, num_points)
      mask = mask & self.batch["query_mask"].reshape(1, -1, 1)
      return Targets(labels, mask, positive, distance)
    labels = jnp.swapaxes(label, 1, 2)
    return Targets(labels, mask, labels & mask, jnp.swapaxes(distance, 1, 2))

  def pairs(self) -> jax.Array | None:
    """Texts whose displacement the reference's loss reads: own, or all."""
    if self.task.name != "moment_retrieval":
      return None
    shape = self.batch["query_mask"].shape
    return jnp.arange(np.prod(shape), dtype=jnp.int32).reshape(shape)


def outputs(golden: Golden) -> Iterator[Difference]:
  """Tokens, fused tokens and logits."""
  model, variables, batch = golden.model, golden.variables, golden.batch

  @jax.jit
  def run(variables):
    def all_of(module):
      video = module.encode_video(batch["frames"])
      text = module.encode_text(batch["texts"])
      prediction = module.localize(video, batch["frame_mask"], text)
      tokens, mask = text.tokens, text.mask
      if tokens.ndim == 3:
        tokens, mask = tokens[None], mask[None]
      levels, _ = module.fusion(video, batch["frame_mask"], tokens, mask, True)
      if module.text_tower is None:
        words = batch["texts"]
      else:
        words = module.encode_text_tokens(batch["texts"])
      return video, words, jnp.concatenate(levels, axis=2), prediction

    return model.apply(variables, method=all_of)

  video, words, fused, prediction = run(variables)
  theirs = golden.under("out/")
  yield compare("video_tokens", video, theirs["video_tokens"])
  words = words.reshape(theirs["text_tokens"].shape)
  yield compare("text_tokens", words, theirs["text_tokens"])
  if not golden.task.has_displacement:
    fused = jnp.swapaxes(fused, 1, 2)
  yield compare("fused_video", fused, theirs["fused_video"])
  logits = _reference_logits(golden.task, prediction)
  yield compare("eval_logits", logits, theirs["eval_logits"])


def _reference_logits(task: Task, prediction) -> jax.Array:
  """Predictions in the layout of `out/eval_logits`."""
  relevance = prediction.relevance[..., None]
  if not task.has_displacement:
    return jnp.swapaxes(relevance[..., 0], 1, 2)
  logits = jnp.concatenate([relevance, prediction.displacement], axis=-1)
  if task.name == "moment_retrieval":
    return logits
  logits = jnp.swapaxes(logits, 1, 2)
  return logits.reshape(*logits.shape[:2], -1)


def losses_and_gradients(golden: Golden) -> Iterator[Difference]:
  """Each loss, their sum, and the gradient of every parameter."""
  model, batch, targets = golden.model, golden.batch, golden.targets()
  pairs = golden.pairs()

  @jax.jit
  def run(params):
    def total(params):
      prediction = model.apply(
        {"params": params},
        batch["frames"],
        batch["frame_mask"],
        batch["texts"],
        pairs,
      )
      parts = compute_losses(golden.task, golden.loss, prediction, targets)
      return parts["total"], parts

    return jax.grad(total, has_aux=True)(params)

  gradients, parts = run(golden.variables["params"])
  names = {"total": "total", "cls": "relevance", "box": "displacement"}
  for name, value in golden.under("loss/").items():
    yield compare(f"loss/{name}", parts[names[name]], value)
  theirs = golden.under("grad/")
  if theirs:
    flat = flax.traverse_util.flatten_dict(gradients, sep="/")
    for name, value in from_reference(theirs).items():
      yield compare_gradient(f"grad/{name}", flat[name], value)


def targets(golden: Golden) -> Iterator[Difference]:
  """Labels and displacements made from the file's segments."""
  arrays = golden.arrays
  label_key = "batch/segment_label_index"
  if not golden.task.has_displacement:
    return
  start = arrays["batch/segment_start_index"].astype(np.float32)
  end = arrays["batch/segment_end_index"].astype(np.float32)
  segments = np.stack([start, end], axis=-1)
  segments = _to_sampled(golden, segments)
  if label_key in arrays:
    query = arrays[label_key]
  else:
    query = np.broadcast_to(np.arange(start.shape[1]), start.shape)
  batch = {
    **golden.batch,
    "segments": jnp.asarray(segments),
    "segment_query": jnp.asarray(query, jnp.int32),
  }
  theirs = golden.targets()
  ours = make_targets(golden.task, golden.spec, batch, theirs.labels.shape[1])
  shown = np.broadcast_to(theirs.mask, theirs.labels.shape)
  yield compare(
    "targets/relevance",
    np.where(shown, ours.labels, 0),
    np.where(shown, theirs.labels, 0),
  )
  own = ours.displacement
  other = theirs.displacement
  if golden.task.texts == "classes":
    index = jnp.maximum(query, 0)[:, :, None, None]
    other = jnp.take_along_axis(other, index, axis=1)
  positive = np.asarray(ours.positive)[..., None]
  yield compare(
    "targets/displacement",
    np.where(positive, own, 0),
    np.where(positive, other, 0),
  )


def _to_sampled(golden: Golden, segments: np.ndarray) -> np.ndarray:
  """Segments in frames of the whole video -> sampled positions."""
  data = golden.config["dataset_configs"]
  total = golden.arrays["batch/total_frames"].astype(np.float32)[:, None, None]
  num_frames = golden.spec.num_frames
  if data.get("sampling_strategy", "random") == "linspace":
    return segments * ((num_frames - 1) / (total - 1))
  stride = data.get("stride", 1)
  offset = np.maximum(0, (total - num_frames * stride) // 2)
  return (segments - offset) / stride


def detections(golden: Golden) -> Iterator[Difference]:
  """Segments in seconds and scores, before and after soft-NMS."""
  theirs = golden.under("post/")
  videos = sorted({int(name.split("/")[0]) for name in theirs})
  if not videos:
    return
  seconds, scores = _decoded(golden)
  for video in videos:
    mine = {
      k.split("/", 1)[1]: v
      for k, v in theirs.items()
      if k.startswith(f"{video}/")
    }
    yield from _video_detections(
      golden,
      f"post/{video}",
      mine,
      seconds[video],
      scores[video],
      np.asarray(golden.spec.point_mask(golden.batch["frame_mask"]))[video],
    )


def _decoded(golden: Golden) -> tuple[np.ndarray, np.ndarray]:
  """Segments [B, Q, P, 2] in seconds and scores [B, Q, P] of own queries."""
  logits = golden.arrays["out/eval_logits"]
  if golden.task.name == "moment_retrieval":
    num_videos, own = golden.batch["query_mask"].shape
    index = np.arange(num_videos * own).reshape(num_videos, own)
    logits = np.take_along_axis(logits, index[..., None, None], axis=1)
  else:
    logits = logits.reshape(*logits.shape[:2], -1, 3).swapaxes(1, 2)
  data = golden.config["dataset_configs"]
  total = golden.arrays["batch/total_frames"].astype(np.float32)
  step = data["secs_per_timestep"]
  segments = decode.decode_segments(golden.spec, jnp.asarray(logits[..., 1:]))
  num_frames = golden.spec.num_frames
  if data.get("sampling_strategy", "random") == "linspace":
    seconds_per_position = step * (total - 1) / (num_frames - 1)
  else:
    stride = data.get("stride", 1)
    offset = np.maximum(0, (total - num_frames * stride) // 2)
    segments = segments + (offset / stride)[:, None, None, None]
    seconds_per_position = np.full_like(total, step * stride)
  seconds = decode.to_seconds(
    segments, jnp.asarray(seconds_per_position), jnp.asarray(total * step)
  )
  return np.asarray(seconds), np.asarray(jax.nn.sigmoid(logits[..., 0]))


def _video_detections(golden, name, theirs, seconds, scores, mask):
  """Compares one video's lists; `mask` [P] are its valid points."""
  config = golden.config
  options = {
    "sigma": config.get("soft_nms_sigma", 0.3),
    "score_threshold": config.get("score_threshold", 0.001),
    "max_detections": config.get("max_detections", 100),
  }
  kept = np.where(mask, scores, 0.0)
  per_query = decode.detect_per_query(seconds[None], kept[None], **options)
  segments, lowered = (np.asarray(x)[0] for x in per_query)
  for query in sorted({k.split("/")[0] for k in theirs if k[0].isdigit()}):
    shown = lowered[int(query)] > 0
    yield compare(
      f"{name}/{query}/scores",
      lowered[int(query)][shown],
      theirs[f"{query}/scores"],
    )
    yield _compare_seconds(
      f"{name}/{query}/segments",
      segments[int(query)][shown],
      theirs[f"{query}/segments"],
    )
  if "multiclass/scores" in theirs:
    shown = lowered > 0
    yield compare(
      f"{name}/multiclass/scores", lowered[shown], theirs["multiclass/scores"]
    )
    yield _compare_seconds(
      f"{name}/multiclass/segments",
      segments[shown],
      theirs["multiclass/segments"],
    )
  if "agnostic/scores" in theirs:
    chosen, agnostic, classes = (
      np.asarray(x)[0]
      for x in decode.detect_class_agnostic(
        seconds[None], kept[None], **options
      )
    )
    shown = agnostic > 0
    yield compare(
      f"{name}/agnostic/scores", agnostic[shown], theirs["agnostic/scores"]
    )
    yield compare(
      f"{name}/agnostic/classes", classes[shown], theirs["agnostic/classes"]
    )
    yield _compare_seconds(
      f"{name}/agnostic/segments", chosen[shown], theirs["agnostic/segments"]
    )


def _compare_seconds(name: str, ours: Any, theirs: Any) -> Difference:
  absolute, relative = _distance(ours, theirs)
  return Difference(name, absolute, relative, absolute <= SECONDS_TOLERANCE)


def check(path: str) -> list[Difference]:
  """All differences of one golden file."""
  golden = Golden(path)
  return [
    *outputs(golden),
    *targets(golden),
    *losses_and_gradients(golden),
    *detections(golden),
  ]


def main(argv: list[str] | None = None) -> int:
  """Prints a table per file; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("golden", nargs="+", help="golden .npz files")
  status = 0
  for path in parser.parse_args(argv).golden:
    print(f"{path}\n  {'quantity':<58} {'absolute':>9} {'relative':>9}")
    for row in check(path):
      verdict = "" if row.passed else "  past tolerance"
      print(
        f"  {row.name:<58} {row.absolute:9.1e} {row.relative:9.1e}{verdict}"
      )
      status |= not row.passed
  return int(status)


if __name__ == "__main__":
  sys.exit(main())
