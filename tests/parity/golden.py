"""One run of the reference implementation, and our model rebuilt from it.

A golden file is an .npz: the reference's configuration (`meta/json`),
parameters, batch, outputs, losses, gradients and detections.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from tests.parity.reference import from_reference
from unloc_jax.config.schema import base
from unloc_jax.models.build import build_model, build_pyramid
from unloc_jax.task.objective import LossSpec, Targets
from unloc_jax.task.sampling import Sampling
from unloc_jax.task.tasks import get_task
from unloc_jax.weights.merging import difference

TASKS = {
  "mr": "moment_retrieval",
  "hd": "highlight_retrieval",
  "tal": "temporal_localization",
  "seg": "action_segmentation",
}


def config_of(
  meta: Mapping[str, Any], params: Mapping[str, np.ndarray]
) -> ml_collections.ConfigDict:
  """The reference's configuration, said in ours."""
  theirs, config = meta["config"], base().unlock()
  data = theirs["dataset_configs"]
  task = get_task(TASKS[meta["flags"]["task"]])
  config.task = task.name
  config.data.num_frames = data["num_frames"]
  config.pyramid.ranges = ((0.0, float("inf")),)
  _set_model(config.model, theirs["model"], params)
  config.loss.update(relevance="sigmoid", relevance_weight=1.0)
  if task.has_displacement:
    ranges = data["feature_pyramid_config"]["regression_ranges"]
    config.pyramid.ranges = tuple(map(tuple, ranges))
    config.pyramid.radius = data["radius"]
    config.loss.update(
      relevance=theirs["classification_loss_type"],
      displacement=theirs["box_loss_type"],
      relevance_weight=theirs["classification_loss_alpha"],
      focal_gamma=theirs["focal_loss_gamma"],
      focal_alpha=theirs["focal_loss_alpha"],
    )
    config.decode.update(
      sigma=theirs["soft_nms_sigma"],
      score_threshold=theirs["score_threshold"],
      max_detections=theirs["max_detections"],
    )
  return config.lock()


def _set_model(
  ours: ml_collections.ConfigDict,
  theirs: Mapping[str, Any],
  params: Mapping[str, np.ndarray],
) -> None:
  (head,) = theirs["head_config"].values()
  video, text = theirs["video_tower_config"], theirs["text_tower_config"]
  fusion = theirs["video_text_fusion_config"]["config"]
  encoder = fusion["self_attention_encoder_config"]
  image = video["encoder_config"]["image_encoder_config"]
  words = text["encoder_config"]
  ours.width = video["projection_size"]
  ours.image_tower.update(
    patch=image["patches"]["size"][0],
    width=image["features"],
    num_layers=image["num_layers"],
    num_heads=image["num_heads"],
    classifier=image["classifier"],
    frozen=video["freeze"],
  )
  ours.text_tower.num_layers = words.get("num_layers", 0)
  if words:
    ours.text_tower.update(
      vocab_size=words["vocab_size"],
      max_tokens=len(params["text_tower/position_embedding"]),
      width=words["hidden_size"],
      num_heads=words["num_heads"],
      frozen=text["freeze"],
    )
  ours.fusion.update(
    kind=fusion["self_attention_encoder_name"],
    num_layers=encoder["num_layers"],
    num_heads=encoder["num_heads"],
    mlp_dim=encoder["mlp_dim"],
    downsampling=encoder.get("downsample_strategy", "max_pool"),
    dropout=encoder["dropout_rate"],
    attention_dropout=encoder["attention_dropout_rate"],
    stochastic_depth=encoder["stochastic_depth"],
  )
  ours.text_part = "all" if fusion.get("use_all_text_tokens") else "eos"
  ours.head.num_layers = head["config"].get("num_conv_layers", 0)
  ours.head.shared_across_levels = head["config"].get("weight_sharing", True)


class Golden:
  """A golden file, its run as our config and model would have it.

  Attributes:
    params: Flat, under our names.
    batch: What the model takes.
    step: Seconds between frames of the whole videos.
  """

  def __init__(self, path: pathlib.Path):
    with np.load(path, allow_pickle=False) as file:
      self.arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(self.arrays["meta/json"]))
    self.params = from_reference(self.under("params/"))
    self.config: ml_collections.ConfigDict = config_of(meta, self.params)
    self.task = get_task(self.config.task)
    self.spec = build_pyramid(self.config)
    self.model = build_model(self.config)
    self.loss = LossSpec(**self.config.loss.to_dict())
    self.batch = self._batch()
    self.step = meta["config"]["dataset_configs"]["secs_per_timestep"]

  def under(self, prefix: str) -> dict[str, np.ndarray]:
    """Arrays whose name starts with `prefix`, without it."""
    return {
      name.removeprefix(prefix): value
      for name, value in self.arrays.items()
      if name.startswith(prefix)
    }

  @property
  def inputs(self) -> tuple[dict[str, jax.Array], Any, jax.Array]:
    """What `model` is called with."""
    streams = {"frames": self.batch["frames"]}
    masks = {"frames": self.batch["frame_mask"]}
    return streams, masks, self.batch["texts"]

  @property
  def variables(self) -> dict[str, Any]:
    """The parameters as `model.apply` takes them."""
    return {"params": flax.traverse_util.unflatten_dict(self.params, sep="/")}

  @property
  def counts(self) -> np.ndarray:
    """Frames of the whole videos, [B]."""
    return self.arrays["batch/total_frames"].astype(np.int32)

  @property
  def sampling(self) -> Sampling:
    """Which of them the model sees."""
    return Sampling.from_config(self.config)

  def differences(self) -> list[str]:
    """Parameters that are not those of the model of the configuration."""
    shapes = jax.eval_shape(
      lambda key: self.model.init(key, *self.inputs), jax.random.key(0)
    )
    wanted = flax.traverse_util.flatten_dict(shapes["params"], sep="/")
    return difference(self.params, wanted)

  def _batch(self) -> dict[str, jax.Array]:
    inputs = self.under("batch/inputs/")
    frames, length = inputs["rgb"], self.spec.num_frames
    batch = {
      "frames": frames,
      "frame_mask": inputs["input_mask"][:, :length].astype(bool),
      "example_mask": self.arrays["batch/batch_mask"].astype(bool),
      "texts": self._texts(inputs),
    }
    if self.task.texts == "captions":
      mask = inputs.get("caption_mask", np.ones((len(frames), 1)))
      batch["query_mask"] = mask.astype(bool)
    return {name: jnp.asarray(value) for name, value in batch.items()}

  def _texts(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """int32 ids or float32 embeddings as the model takes them."""
    if self.task.texts == "classes":
      known = inputs.get(
        "class_names", inputs.get("class_names/input_word_ids")
      )
      return known[0]
    ids = inputs["caption/input_word_ids"]
    if self.task.train_pairing == "matched":
      return ids.reshape(ids.shape[0], -1, ids.shape[-1])
    return ids.reshape(-1, ids.shape[-1])

  def targets(self) -> Targets:
    """The file's own targets in our layout."""
    label = jnp.asarray(self.arrays["batch/label"].astype(bool))
    mask = self.spec.point_mask(self.batch["frame_mask"])[:, None]
    mask &= self.batch["example_mask"][:, None, None]
    if not self.task.has_displacement:
      return Targets(jnp.swapaxes(label, 1, 2), mask)
    distance = jnp.asarray(self.arrays["batch/displacements"])
    if self.pairs() is not None:
      return self._pair_targets(label[..., 0], mask, distance)
    labels = jnp.swapaxes(label, 1, 2)
    return Targets(labels, mask, labels & mask, jnp.swapaxes(distance, 1, 2))

  def _pair_targets(self, own, mask, distance) -> Targets:
    """Targets of every video with the captions of all videos.

    The reference weighs a pair by the frames of the *caption's* video, where
    the paper (and our training) counts the frames of the video itself. They
    differ only on padded videos; the file's losses are of the former.
    """
    num_videos, _, num_points = own.shape
    shown = mask & self.batch["query_mask"][:, :, None]  # [B, Qv, P]
    same = jnp.eye(num_videos, dtype=bool)[:, :, None, None]
    labels = (own[:, None] & same).reshape(num_videos, -1, num_points)
    slots = shown.reshape(1, -1, num_points)
    slots = slots & self.batch["example_mask"][:, None, None]
    return Targets(labels, slots, own & shown, distance)

  def pairs(self) -> jax.Array | None:
    """Texts whose displacement the reference's loss reads: own, or all."""
    if self.task.texts == "classes" or self.task.train_pairing == "matched":
      return None
    shape = self.batch["query_mask"].shape
    return jnp.arange(np.prod(shape), dtype=jnp.int32).reshape(shape)
